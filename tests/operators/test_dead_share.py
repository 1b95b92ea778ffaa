"""A wrong mapping must not drain the topic into the dead letters."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from groundswell.errors import StopJob
from groundswell.records import DeadLetter, Origin
from operators.dead_share import DeadShare


def count(share: DeadShare, good: int, bad: int) -> None:
    letters = [
        DeadLetter(Origin("posts", 0, n), "decode", "json", "no JSON", datetime.now(UTC), b"x") for n in range(bad)
    ]
    share.count(good + bad, letters)


def test_stops_above_the_share_and_names_the_cause() -> None:
    share = DeadShare(0.5, window=100)
    count(share, 50, 49)
    with pytest.raises(StopJob, match=r"53 of the last 104 records are dead letters \(json: 53"):
        count(share, 1, 4)


def test_does_not_judge_before_the_window_is_full() -> None:
    count(DeadShare(0.5, window=100), 0, 99)


def test_old_trouble_is_forgotten() -> None:
    share = DeadShare(0.5, window=100)
    count(share, 10, 40)
    for _ in range(20):
        count(share, 50, 1)


def test_the_whole_share_turns_it_off() -> None:
    count(DeadShare(1.0, window=10), 0, 1000)
