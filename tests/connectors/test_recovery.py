"""The recovery store exists whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.recovery import open_recovery
from groundswell.errors import SettingsError


def test_is_made_once_and_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "recovery"
    open_recovery(folder, 3)
    parts = {path.name: path.stat().st_ino for path in folder.iterdir()}
    open_recovery(folder, 3)
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == parts
    assert len(parts) == 3


def test_a_creation_that_was_interrupted_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "recovery.new").mkdir()
    (tmp_path / "recovery.new" / "part-0.sqlite3").write_bytes(b"half")
    open_recovery(tmp_path / "recovery", 2)
    assert len(list((tmp_path / "recovery").glob("part-*.sqlite3"))) == 2


def test_another_number_of_partitions_is_refused(tmp_path: Path) -> None:
    open_recovery(tmp_path / "recovery", 2)
    with pytest.raises(SettingsError, match="was made with 2"):
        open_recovery(tmp_path / "recovery", 4)
