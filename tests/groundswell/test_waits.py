from __future__ import annotations

from groundswell import metrics
from groundswell.waits import Waits


def _up(dependency: str) -> float | None:
    return metrics.REGISTRY.get_sample_value("groundswell_dependency_up", {"dependency": dependency})


def test_a_dependency_is_up_again_when_the_last_holder_has_ended_its_wait() -> None:
    waits = Waits()
    waits.begin("d", "first reason", "a")
    waits.begin("d", "second reason", "b")
    assert waits.current() == {"d": "second reason"}
    assert _up("d") == 0
    waits.end("d", "b")
    assert waits.current() == {"d": "first reason"}
    waits.end("d", "a")
    assert waits.current() == {}
    assert _up("d") == 1


def test_the_end_of_a_wait_that_never_began_means_up() -> None:
    waits = Waits()
    waits.end("e")
    assert waits.current() == {}
    assert _up("e") == 1
