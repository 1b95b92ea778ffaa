"""Alive: epochs advance, or the job waits for something it names. Ready: it could take work now."""

from __future__ import annotations

import threading

import pytest

from groundswell.health import Health
from groundswell.readiness import Check, Readiness
from groundswell.waits import Waits
from tests.waiting import wait_until


class Clock:
    """Time that only a test moves, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waits(clock: Clock) -> Waits:
    return Waits(clock)


@pytest.fixture
def health(waits: Waits, clock: Clock) -> Health:
    return Health(waits, 60.0, clock, startup_grace=300.0)


def test_a_starting_job_is_alive_until_its_grace_is_over(health: Health, clock: Clock) -> None:
    clock.move(299)
    assert health.alive() == (True, "starting")
    clock.move(2)
    assert health.alive() == (
        False,
        "stalled: no first epoch since the start for 301 s, and no dependency is waited for",
    )


def test_a_process_without_a_part_of_the_input_is_alive_though_it_sees_no_epoch(health: Health, clock: Clock) -> None:
    idle = True
    health.idle_when(lambda: idle)
    clock.move(3600)
    assert health.alive()[0]
    assert health.ready() == (True, {})
    assert health.epoch_age() == 0.0
    idle = False
    assert not health.alive()[0]
    assert health.epoch_age() == 3600.0


def test_epochs_that_advance_keep_it_alive(health: Health, clock: Clock) -> None:
    for _ in range(100):
        clock.move(59)
        health.epoch_closed()
        assert health.alive() == (True, "last progress 0.0 s ago")
    clock.move(60)
    assert health.alive() == (True, "last progress 60.0 s ago")
    clock.move(1)
    alive, reason = health.alive()
    assert not alive
    assert "no epoch was closed" in reason


def test_a_long_epoch_in_which_batches_finish_is_no_stall(health: Health, clock: Clock) -> None:
    health.epoch_closed()
    for _ in range(10):
        clock.move(50)
        health.working()
    assert health.alive()[0]
    assert health.epoch_age() == 500
    clock.move(61)
    assert not health.alive()[0]


def test_a_stall_with_a_named_dependency_is_alive(health: Health, waits: Waits, clock: Clock) -> None:
    health.epoch_closed()
    waits.begin("elasticsearch", "connection refused")
    clock.move(3600)
    assert health.alive() == (True, "waiting for elasticsearch: connection refused")


def test_a_wait_that_has_just_ended_still_explains_its_time(health: Health, waits: Waits, clock: Clock) -> None:
    """epoch ── waits for an hour ── ended ── 60 s to close the next epoch ── dead."""
    health.epoch_closed()
    waits.begin("kafka", "no broker")
    clock.move(3600)
    waits.end("kafka")
    clock.move(59)
    assert health.alive()[0]
    clock.move(2)
    assert not health.alive()[0]


def test_a_wait_beside_the_flow_excuses_no_stall(health: Health, waits: Waits, clock: Clock) -> None:
    health.epoch_closed()
    waits.begin("redis", "connection refused", "presence", blocking=False)
    clock.move(61)
    assert not health.alive()[0]
    waits.end("redis", "presence")
    assert not health.alive()[0]


def test_a_draining_job_is_alive_and_not_ready(health: Health, clock: Clock) -> None:
    health.epoch_closed()
    health.draining()
    clock.move(3600)
    assert health.alive() == (True, "draining")
    assert health.ready() == (False, {"job": "draining"})


def test_not_ready_names_failed_checks_waits_and_stalls(waits: Waits, clock: Clock) -> None:
    model: str | None = "not loaded yet"
    checks: dict[str, Check] = {}
    health = Health(waits, 60.0, clock, ready_when=checks)
    checks["model"] = lambda: model  # checks may be added while the job is put together
    health.epoch_closed()
    waits.begin("kafka", "no broker")
    assert health.ready() == (False, {"model": "not loaded yet", "kafka": "no broker"})
    waits.end("kafka")
    model = None
    clock.move(1)
    assert health.ready() == (True, {})
    clock.move(100)
    ready, troubles = health.ready()
    assert not ready
    assert troubles["job"].startswith("stalled")


def test_a_probe_storm_asks_each_check_once_a_second(clock: Clock) -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1

    readiness = Readiness({"store": check}, clock=clock)
    threads = [threading.Thread(target=readiness.troubles) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == 1
    clock.move(0.99)
    readiness.troubles()
    assert calls == 1
    clock.move(0.02)
    readiness.troubles()
    assert calls == 2


def test_a_check_that_raises_is_the_trouble_itself(clock: Clock) -> None:
    def check() -> str | None:
        raise ConnectionError("refused")

    assert Readiness({"store": check}, clock=clock).troubles() == {"store": "ConnectionError: refused"}


def test_a_check_that_hangs_is_named_and_never_doubled(clock: Clock) -> None:
    let_go = threading.Event()
    calls = 0

    def hangs() -> None:
        nonlocal calls
        calls += 1
        let_go.wait(30)

    readiness = Readiness({"store": hangs, "model": lambda: None}, deadline=0.05, hold=0, clock=clock)
    for _ in range(3):
        assert readiness.troubles() == {"store": "no answer within 0.05 s"}
    assert calls == 1
    let_go.set()
    wait_until(lambda: readiness.troubles() == {}, 5, "the check to answer")
