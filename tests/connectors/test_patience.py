"""Waiting for a dependency, and giving up."""

from __future__ import annotations

import pytest

from connectors.patience import Patience
from groundswell.errors import Draining
from groundswell.waits import Waits


def test_a_hiccup_is_not_named_but_the_second_failure_is() -> None:
    waits = Waits()
    patience = Patience("store", waits, lambda: True, base=0)
    patience.pause("no answer")
    assert waits.current() == {}
    patience.pause("still no answer")
    assert waits.current() == {"store": "still no answer"}
    patience.succeeded()
    assert waits.current() == {}


def test_two_callers_wait_for_the_same() -> None:
    waits = Waits()
    first, second = (Patience("store", waits, lambda: True, base=0) for _ in range(2))
    for patience in (first, second):
        patience.pause("no answer")
        patience.pause("no answer")
    first.succeeded()
    assert waits.current() == {"store": "no answer"}
    second.succeeded()
    assert waits.current() == {}


def test_a_job_that_may_not_wait_gives_up_in_the_middle_of_a_pause() -> None:
    asked: list[bool] = []

    def keep_waiting() -> bool:
        asked.append(True)
        return len(asked) < 3

    waits = Waits()
    patience = Patience("store", waits, keep_waiting, base=3600, cap=3600)
    with pytest.raises(Draining, match="gave up waiting for store: no answer"):
        patience.pause("no answer")
    assert waits.current() == {}
