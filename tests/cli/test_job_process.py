"""What an error of the job means for its process."""

from __future__ import annotations

import pytest

from cli.job_process import _explain
from connectors.kafka_offsets import InputChanged
from groundswell.errors import Draining, SettingsError, StopJob, Unavailable
from groundswell.reports import CRASHED, REFUSED, STOPPED


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
def test_the_cause_decides_whether_a_restart_helps(error: Exception, how: str) -> None:
    wrapped = RuntimeError("the engine's own words")
    wrapped.__cause__ = error
    assert _explain(wrapped)[0] == how
    assert str(error) in _explain(wrapped)[1]
