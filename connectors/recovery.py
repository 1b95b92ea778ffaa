"""The recovery store: made once, atomically, and never half."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

from bytewax.recovery import RecoveryConfig, init_db_dir

from groundswell.errors import SettingsError


def open_recovery(folder: Path, partitions: int) -> RecoveryConfig:
    """The recovery store in ``folder``, made with ``partitions`` files if there is none.

    Raises:
        SettingsError: the folder has another number of partitions than the settings
            say, which cannot be changed later, or cannot be written.
    """
    found = len(list(folder.glob("part-*.sqlite3"))) if folder.is_dir() else 0
    if found == 0:
        _make(folder, partitions)
    elif found != partitions:
        raise SettingsError(
            f"job.recovery_partitions = {partitions}: the recovery store {folder} was made with {found}, and the "
            "number is fixed; set it to that, or name another job.recovery_dir"
        )
    return RecoveryConfig(folder, timedelta(0))


def _make(folder: Path, partitions: int) -> None:
    staging = folder.with_name(f"{folder.name}.new")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        init_db_dir(staging, partitions)
        if folder.is_dir():
            folder.rmdir()
        staging.rename(folder)
    except OSError as error:
        raise SettingsError(f"job.recovery_dir = {str(folder)!r}: {error.strerror}") from None
