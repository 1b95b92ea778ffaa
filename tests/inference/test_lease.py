"""One writer at a time where there is only an object store between them."""

from __future__ import annotations

import pytest

from groundswell.errors import Unavailable
from inference.lease import Lease
from inference.objects import Objects
from tests.inference.places import FAULTY, FaultyStore

PATH = "tiny/.publishing"


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def objects() -> Objects:
    FaultyStore.reset()
    return Objects(f"{FAULTY}://models")


def take(objects: Objects, clock: Clock, patience: float = 0) -> Lease:
    return Lease(objects, PATH, term=100, patience=patience, clock=clock, sleep=clock.sleep)


def test_the_second_waits_and_then_gives_up(objects: Objects) -> None:
    clock = Clock()
    take(objects, clock)
    with pytest.raises(Unavailable, match="another publisher is at work"):
        take(objects, clock, patience=20)
    assert 1020 <= clock.now <= 1021


def test_the_second_has_it_once_the_first_lets_go(objects: Objects) -> None:
    clock = Clock()
    take(objects, clock).release()
    take(objects, clock).release()
    assert not objects.has(PATH)


def test_a_dead_holder_is_taken_over_from_and_notices_if_it_was_only_slow(objects: Objects) -> None:
    clock = Clock()
    slow = take(objects, clock)
    clock.now += 101
    second = take(objects, clock)
    with pytest.raises(Unavailable, match="too slow"):
        slow.keep()
    slow.release()
    assert objects.has(PATH)
    second.renew()


def test_a_holder_that_keeps_it_is_never_taken_over_from(objects: Objects) -> None:
    clock = Clock()
    holder = take(objects, clock)
    for _ in range(10):
        clock.now += 60
        holder.keep()
        with pytest.raises(Unavailable, match="at work"):
            take(objects, clock)


def test_keeping_asks_the_store_only_when_a_third_of_the_term_is_over(objects: Objects) -> None:
    clock = Clock()
    holder = take(objects, clock)
    FaultyStore.silent = True
    clock.now += 33
    holder.keep()
    clock.now += 1
    with pytest.raises(Unavailable, match="nobody answers"):
        holder.keep()


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_a_claim_that_was_half_written_holds_nobody_up(objects: Objects, content: bytes) -> None:
    objects.write(PATH, content)
    take(objects, Clock()).renew()
