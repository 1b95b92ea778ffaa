"""What an error of the job means for its process."""

from __future__ import annotations

import pytest

from cli.job_process import _explain
from connectors.kafka_offsets import InputChanged
from groundswell import metrics
from groundswell.errors import Draining, SettingsError, StopJob, Unavailable
from groundswell.reports import CRASHED, DRAINED, REFUSED, STOPPED


@pytest.mark.parametrize(
    ("error", "how"),
    [
        (StopJob("no such topic"), STOPPED),
        (SettingsError("no such file"), REFUSED),
        (Unavailable("sqlite", "locked"), STOPPED),
        (Draining("no answer"), CRASHED),
        (InputChanged("the topic has 4 partitions now"), CRASHED),
        (ValueError("a mistake"), CRASHED),
    ],
)
def test_the_cause_decides_whether_a_restart_helps(error: Exception, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "anything_read", lambda: True)
    wrapped = RuntimeError("the engine's own words")
    wrapped.__cause__ = error
    assert _explain(wrapped)[0] == how
    assert str(error) in _explain(wrapped)[1]


def test_told_to_stop_before_anything_was_read_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "anything_read", lambda: False)
    assert _explain(Draining("no answer"))[0] == DRAINED
