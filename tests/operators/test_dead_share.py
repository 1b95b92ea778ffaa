"""A wrong mapping must not drain the topic into the dead letters."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from groundswell.errors import StopJob
from groundswell.records import Batch, DeadLetter, Deletion, Origin
from operators.dead_share import DeadShare


def batch(good: int, bad: int) -> Batch:
    letters = [
        DeadLetter(Origin("posts", 0, n), "decode", "json", "no JSON", datetime.now(UTC), b"x") for n in range(bad)
    ]
    return Batch("posts", 0, good + bad, 0, [Deletion("s", str(n)) for n in range(good)], letters, Counter())


def test_stops_above_the_share_and_names_the_cause() -> None:
    share = DeadShare(0.5, window=100)
    share.observe(batch(50, 49))
    with pytest.raises(StopJob, match=r"53 of the last 104 records are dead letters \(json: 53"):
        share.observe(batch(1, 4))


def test_does_not_judge_before_the_window_is_full() -> None:
    DeadShare(0.5, window=100).observe(batch(0, 99))


def test_old_trouble_is_forgotten() -> None:
    share = DeadShare(0.5, window=100)
    share.observe(batch(10, 40))
    for _ in range(20):
        share.observe(batch(50, 1))


def test_the_whole_share_turns_it_off() -> None:
    DeadShare(1.0, window=10).observe(batch(0, 1000))
