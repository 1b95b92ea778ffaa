from __future__ import annotations

import logging

import pytest

from groundswell.records import Analysis, ModelRef
from inference.device_watch import DeviceWatch
from inference.rows import CANCELLED, DEVICE, RowError

GOOD = Analysis(ModelRef("tiny", "1"), {})
BAD = RowError(DEVICE, "CUDA error 700")


def test_a_device_that_fails_on_every_text_is_named_once_and_so_is_its_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = DeviceWatch(in_a_row=4)
    with caplog.at_level(logging.INFO, "groundswell.models"):
        watch.observe([BAD, BAD, BAD])
        assert watch.trouble() is None
        for _ in range(3):
            watch.observe([BAD])
            assert watch.trouble() == (
                "the device fails on every text, so posts go on without an analysis: CUDA error 700"
            )
        watch.observe([BAD, GOOD])
        assert watch.trouble() is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_texts_that_fail_among_others_are_to_blame_themselves() -> None:
    watch = DeviceWatch(in_a_row=4)
    for _ in range(9):
        watch.observe([BAD, BAD, GOOD, BAD])
    watch.observe([BAD, BAD, BAD])
    watch.observe([])
    watch.observe([RowError(CANCELLED, "")] * 9)
    assert watch.trouble() is None
