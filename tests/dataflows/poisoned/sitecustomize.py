"""Loaded by every Python process that has this folder on its path: makes the job crash on command.

``GROUNDSWELL_TEST_CRASH=record`` ends the process when a record with ``_MARK`` is decoded,
``start`` whenever a job starts.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_MARK = b"poisonous-record"
_CRASH = os.environ.get("GROUNDSWELL_TEST_CRASH")


def _crash_on_record() -> None:
    from operators.shapes.reader import Reader

    read = Reader.read

    def crash_or_read(self: Reader, value: bytes, *arguments: Any, **named: Any) -> Any:
        if _MARK in value:
            os._exit(86)
        return read(self, value, *arguments, **named)

    Reader.read = crash_or_read  # type: ignore[method-assign]


def _crash_at_start() -> None:
    from dataflows.job import Job

    def crash(_self: Job) -> None:
        os._exit(87)

    Job.run = crash  # type: ignore[assignment,method-assign]


if "cli.job_process" in sys.orig_argv:
    if _CRASH == "record":
        _crash_on_record()
    elif _CRASH == "start":
        _crash_at_start()
