"""Telling a device that has failed for good from texts that it cannot read.

A text that a device cannot read is halved out of its batch and answers with an error; when
all texts do, one after the other, it is the device that is to blame.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Final

from groundswell.records import Analysis
from inference.rows import DEVICE, RowError

#: So many texts in a row, and none that could be read between them, are not all to blame themselves.
IN_A_ROW: Final = 64

_LOG = logging.getLogger("groundswell.models")


class DeviceWatch:
    """Sees all answers of a device, on any thread."""

    def __init__(self, in_a_row: int = IN_A_ROW) -> None:
        self._in_a_row = in_a_row
        self._lock = threading.Lock()
        self._failed = 0
        self._trouble: str | None = None

    def observe(self, answers: Iterable[Analysis | RowError]) -> None:
        """The answers to one submit; says in the log when the device has failed, and when it is back."""
        failed, detail = 0, ""
        for answer in answers:
            if type(answer) is Analysis:
                self._read()
                return
            if isinstance(answer, RowError) and answer.cause == DEVICE:
                failed += 1
                detail = answer.detail
        if failed:
            self._add(failed, detail)

    def trouble(self) -> str | None:
        """What is wrong, or ``None`` while the device reads texts."""
        return self._trouble

    def _read(self) -> None:
        if not self._failed:
            return
        with self._lock:
            self._failed = 0
            if self._trouble is not None:
                self._trouble = None
                _LOG.info("the model's device reads texts again")

    def _add(self, failed: int, detail: str) -> None:
        with self._lock:
            self._failed += failed
            if self._failed >= self._in_a_row and self._trouble is None:
                self._trouble = f"the device fails on every text, so posts go on without an analysis: {detail}"
                _LOG.error("%s; a restart may bring it back", self._trouble)
