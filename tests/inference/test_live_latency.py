"""Engines that share a device: what they tell each other, and when backfill gives way."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell.errors import ModelError
from inference.engine import Engine
from inference.limits import Lane, Limits
from inference.live_latency import LONGEST, SLOTS, LiveLatency
from inference.live_signal import CLAIM, HOLD, LiveSignal
from inference.routing import FixedRouter
from tests.inference.words import Words, label
from tests.waiting import wait_until


class Clock:
    """Seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "not/there/yet/live-latency"


def test_each_hears_the_others_and_not_itself(path: Path, clock: Clock) -> None:
    one, two, three = (LiveLatency(path, clock=clock) for _ in range(3))
    one.claim(1001.0, 0.5)
    two.claim(1002.0, 0.25)
    assert one.others() == [(1002.0, 0.25)]
    assert two.others() == [(1001.0, 0.5)]
    assert three.others() == [(1001.0, 0.5), (1002.0, 0.25)]
    one.claim(0.0, 0.5)
    assert three.others() == [(1002.0, 0.25)]
    two.close()
    two.close()
    assert three.others() == []


def test_a_claim_runs_out_by_itself_and_is_never_long(path: Path, clock: Clock) -> None:
    one, two = LiveLatency(path, clock=clock), LiveLatency(path, clock=clock)
    one.claim(1e9, 1.0)
    assert two.others() == [(1000.0 + LONGEST, 1.0)]
    clock.now += LONGEST
    assert two.others() == []


def test_what_a_clock_before_the_last_start_wrote_is_not_believed(path: Path, clock: Clock) -> None:
    before = LiveLatency(path, clock=clock)
    before.claim(1001.0, 1.0)
    clock.now = 5.0
    now, other = LiveLatency(path, clock=clock), LiveLatency(path, clock=clock)
    assert now.others() == []
    now.claim(6.0, 1.0)
    assert other.others() == [(6.0, 1.0)]


def test_the_dead_leave_their_slots_to_the_living(path: Path, clock: Clock) -> None:
    gone = [LiveLatency(path, clock=clock) for _ in range(SLOTS)]
    for one in gone:
        one.claim(1001.0, 0.1)
    listener, late = LiveLatency(path, clock=clock), LiveLatency(path, clock=clock)
    assert len(listener.others()) == SLOTS
    # No slot is free: it cannot be heard now, and is once one is.
    late.claim(1001.0, 0.9)
    assert late.others() == listener.others()
    clock.now = 1002.0
    late.claim(1003.0, 0.9)
    assert listener.others() == [(1003.0, 0.9)]
    # Whose slot was taken finds another one.
    for one in gone[:3]:
        one.claim(1003.0, 0.2)
    assert sorted(listener.others()) == [(1003.0, 0.2)] * 3 + [(1003.0, 0.9)]


def test_a_file_that_cannot_be_shared_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"file/live-latency cannot be shared .* set models.live_latency"):
        LiveLatency(tmp_path / "file/live-latency")
    with pytest.raises(ModelError, match="cannot be shared"):
        LiveLatency(tmp_path)


# When backfill yields


def signals(path: Path, clock: Clock, share: float = 0.1) -> tuple[LiveSignal, LiveSignal]:
    return LiveSignal(LiveLatency(path, clock=clock), share), LiveSignal(LiveLatency(path, clock=clock), share)


def backfilled(signal: LiveSignal, clock: Clock, seconds: float) -> None:
    signal.dispatched(Lane.BACKFILL, clock.now, 0.0)
    clock.now += seconds
    signal.ended(Lane.BACKFILL, clock.now, live_waits=False)


def test_backfill_yields_from_the_arrival_of_live_rows_until_they_are_through(path: Path, clock: Clock) -> None:
    live, back = signals(path, clock)
    backfilled(back, clock, 1.0)
    assert not back.holds_backfill(clock.now)
    live.arrived(clock.now)
    assert back.holds_backfill(clock.now)
    assert not live.holds_backfill(clock.now)
    live.dispatched(Lane.LIVE, clock.now, 0.0)
    clock.now += 0.5
    live.ended(Lane.LIVE, clock.now, live_waits=True)
    assert back.holds_backfill(clock.now)
    live.dispatched(Lane.LIVE, clock.now, 0.0)
    live.ended(Lane.LIVE, clock.now, live_waits=False)
    assert not back.holds_backfill(clock.now)


def test_live_rows_that_had_to_wait_keep_backfill_out_of_their_gaps(path: Path, clock: Clock) -> None:
    live, back = signals(path, clock)
    backfilled(back, clock, 1.0)
    for _ in range(50):
        live.dispatched(Lane.LIVE, clock.now, 10.0)
        live.ended(Lane.LIVE, clock.now, live_waits=False)
    assert back.holds_backfill(clock.now)
    clock.now += HOLD
    assert not back.holds_backfill(clock.now)


@given(st.sampled_from([0.05, 0.1, 0.5]), st.lists(st.floats(0.01, 1.0), min_size=1, max_size=10))
@settings(deadline=None, max_examples=20)
def test_backfill_has_its_share_of_the_time_whatever_is_claimed(
    tmp_path_factory: pytest.TempPathFactory, share: float, batches: list[float]
) -> None:
    clock = Clock()
    live, back = signals(tmp_path_factory.mktemp("share") / "file", clock, share)
    began = clock.now
    for seconds in batches:
        backfilled(back, clock, seconds)
        while True:
            live.dispatched(Lane.LIVE, clock.now, 0.1)
            if not back.holds_backfill(clock.now):
                break
            clock.now += 0.01
    live.close()
    back.close()
    # Each wait is looked at every 10 ms.
    assert sum(batches) >= share * (clock.now - began - 0.011 * len(batches)) - 1e-6


def test_a_claim_is_renewed_before_it_runs_out(path: Path, clock: Clock) -> None:
    live, back = signals(path, clock)
    backfilled(back, clock, 10.0)
    for _ in range(20):
        live.arrived(clock.now)
        assert back.holds_backfill(clock.now)
        clock.now += CLAIM / 4


def test_without_a_file_nothing_is_said_or_heard(clock: Clock) -> None:
    alone = LiveSignal(None, 0.1)
    alone.arrived(clock.now)
    backfilled(alone, clock, 1.0)
    assert not alone.holds_backfill(clock.now)
    alone.close()


# Between processes

LIVE = """
import sys, time
from pathlib import Path
from inference.live_latency import LiveLatency

line = LiveLatency(Path(sys.argv[1]))
for said in sys.stdin:
    line.claim(time.monotonic() + float(said), 0.5)
    print("said", flush=True)
"""


class Process:
    """Another process, which claims the device for as many seconds as it is told."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", LIVE, str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def claim(self, seconds: float) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "said\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def processes(path: Path, count: int) -> Iterator[list[Process]]:
    started = [Process(path) for _ in range(count)]
    try:
        yield started
    finally:
        for one in started:
            one.kill()


def test_processes_hear_each_other_and_a_killed_one_is_forgotten(path: Path) -> None:
    here = LiveLatency(path)
    with processes(path, 3) as others:
        for other in others:
            other.claim(4.0)
        assert len(here.others()) == 3
        others[0].claim(0.0)
        assert len(here.others()) == 2
        others[1].kill()
        wait_until(lambda: len(here.others()) <= 1, 30, "the claim of the dead to run out")
        others[2].claim(0.0)
        assert here.others() == []


def test_writers_at_once_lose_nothing(path: Path) -> None:
    lines = [LiveLatency(path) for _ in range(16)]
    together = threading.Barrier(16)

    def write(line: LiveLatency, number: int) -> None:
        together.wait(30)
        for _ in range(200):
            line.claim(line._clock() + 4.0, float(number))

    threads = [threading.Thread(target=write, args=(line, number)) for number, line in enumerate(lines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claim.wait for claim in LiveLatency(path).others()) == [float(number) for number in range(16)]


def test_an_engine_s_backfill_gives_way_to_live_texts_of_another_process_but_goes_on(path: Path) -> None:
    reader = Words()
    limits = Limits(batch_rows=4, linger=0.0, backfill_share=0.01)
    with (
        processes(path, 1) as (other,),
        Engine(FixedRouter(reader), limits, live_latency=LiveLatency(path)) as engine,
    ):
        other.claim(4.0)
        # Although another is live all the time, it is through in the end; and its own live texts need not wait.
        back: list[int] = []
        thread = threading.Thread(
            target=lambda: back.append(len(engine.submit(["b"] * 8, ["sentiment"], Lane.BACKFILL)))
        )
        thread.start()
        assert [label(answer) for answer in engine.submit(["live"], ["sentiment"])] == ["live"]
        while not back:
            other.claim(4.0)
        thread.join()
    assert back == [8]


def _begun(reader: Words, batches: int) -> None:
    wait_until(lambda: len(reader.seen) >= batches, 30, f"batch {batches}", interval=0.001)


def test_an_engine_claims_the_device_for_live_texts_only(path: Path) -> None:
    reader = Words()
    line = LiveLatency(path)
    with Engine(FixedRouter(reader), Limits(linger=0.0), live_latency=LiveLatency(path)) as engine:
        for lane, claims in ((Lane.BACKFILL, 0), (Lane.LIVE, 1)):
            reader.gate.clear()
            thread = threading.Thread(target=engine.submit, args=(["text"], ["sentiment"], lane))
            batches = len(reader.seen)
            thread.start()
            _begun(reader, batches + 1)
            assert len(line.others()) == claims
            reader.gate.set()
            thread.join()
    assert line.others() == []
