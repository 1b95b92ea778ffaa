"""What the job waits for, by dependency and holder."""

from __future__ import annotations

from groundswell.metrics import REGISTRY
from groundswell.waits import Waits


def up(dependency: str) -> float | None:
    return REGISTRY.get_sample_value("groundswell_dependency_up", {"dependency": dependency})


def test_a_dependency_is_up_again_when_its_last_holder_is_done() -> None:
    waits = Waits()
    waits.begin("kafka", "partition 0: no leader", "0")
    waits.begin("kafka", "partition 1: no leader", "1")
    assert waits.current() == {"kafka": "partition 1: no leader"}
    waits.end("kafka", "1")
    assert waits.current() == {"kafka": "partition 0: no leader"}
    assert up("kafka") == 0
    waits.end("kafka", "0")
    assert waits.current() == {}
    assert up("kafka") == 1


def test_the_end_of_a_wait_that_never_began_changes_nothing() -> None:
    waits = Waits()
    waits.end("redis")
    assert waits.current() == {}
    assert waits.blocked_until() is None


def test_only_waits_that_hold_up_the_flow_are_blocking() -> None:
    now = 5.0
    waits = Waits(lambda: now)
    waits.begin("redis", "refused", "presence", blocking=False)
    assert waits.current() == {"redis": "refused"}
    assert waits.blocking() == {}
    waits.begin("redis", "timed out", "sink")
    assert waits.blocking() == {"redis": "timed out"}
    waits.end("redis", "sink")
    assert waits.blocked_until() == 5.0
    now = 9.0
    waits.end("redis", "presence")
    assert waits.blocked_until() == 5.0
