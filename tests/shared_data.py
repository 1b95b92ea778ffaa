"""Where the public evaluation data lies, when it is there at all."""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path(os.environ.get("GROUNDSWELL_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def shared_data(relative: str) -> Path | None:
    """The file or folder below the shared data, or ``None`` in a clone without it."""
    path = _ROOT / relative
    return path if path.exists() else None
