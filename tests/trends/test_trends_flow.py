"""The branch inside Bytewax counts what the oracle counts: any number of workers and processes, killed and rescaled."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from bytewax.inputs import AbortExecution

from groundswell.trends import TrendEvent, Window
from operators.local_trends import LocalTrends
from operators.trend_options import TrendOptions
from tests.trends.flow import (
    RULES,
    Emissions,
    Memory,
    bursting_stream,
    emissions,
    posts_of,
    run_flow,
    run_processes,
    sample_stream,
)
from tests.trends.oracle import Windows, count_windows
from tests.trends.streams import batch_of, ended, options_of, superseded

STREAM = sample_stream()
BURSTING = bursting_stream()
BURST_OPTIONS = TrendOptions(window=600, slide=30, top=10)
BATCHES = {part: list(map(batch_of, arrivals)) for part, arrivals in STREAM.items()}


@pytest.fixture(scope="module")
def expected() -> Windows:
    """What the oracle says of the stream: nothing in it is late."""
    windows = count_windows(posts_of(STREAM), RULES)
    assert len(windows) > 50
    return windows


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_counts_the_same(workers: int, expected: Windows) -> None:
    said: list[Window | TrendEvent] = []
    run_flow(Memory(BATCHES), Emissions(said.append), options_of(RULES), workers=workers)
    assert superseded(said) == expected


def _aborting_at(count: int) -> Callable[[], None]:
    """Ends the run at the given batch, as a crash would."""
    left = [count]

    def on_batch() -> None:
        left[0] -= 1
        if not left[0]:
            raise AbortExecution

    return on_batch


def test_a_run_that_is_cut_off_again_and_again_counts_the_same(tmp_path: Path, expected: Windows) -> None:
    """
    ::

        run 1   ──────────✗
        run 2          ────────────✗      from the last snapshot on
        run 3                  ─────────── ... ──▶ end
    """
    said: list[Window | TrendEvent] = []
    for cut in (1, 40, 3, 77, 58, 0):
        source = Memory(BATCHES, _aborting_at(cut))
        run_flow(source, Emissions(said.append), options_of(RULES), recovery=tmp_path / "recovery")
    assert superseded(said) == expected


def _events(said: Iterable[Window | TrendEvent]) -> set[tuple[object, ...]]:
    """What the events say in the end, of each trend and moment the last; words and samples aside."""
    newest = {(it.trend.id, it.at): it for it in said if isinstance(it, TrendEvent)}
    return {
        (
            event.event,
            event.trend.tag,
            f"{event.at:%H:%M:%S}",
            event.trend.count,
            event.trend.authors,
            event.trend.score,
        )
        for event in newest.values()
    }


def _bursts_in(turns: Sequence[str]) -> set[tuple[object, ...]]:
    """The events when the partitions are read in these turns."""
    queues = {part: iter(arrivals) for part, arrivals in BURSTING.items()}
    trends = LocalTrends(BURST_OPTIONS, list(BURSTING))
    arrivals = [*(next(queues[part]) for part in turns), *ended(BURSTING)]
    return _events(item for arrival in arrivals for item in trends.feed([batch_of(arrival)]))


def test_what_trends_depends_neither_on_the_turns_of_partitions_nor_on_restarts(tmp_path: Path) -> None:
    in_order = [part for part, arrivals in BURSTING.items() for _ in arrivals]
    wanted = _bursts_in(in_order)
    assert {kind for kind, tag, *_ in wanted if tag == "flood"} == {"began", "changed", "ended"}
    pick = random.Random(1)
    for _ in range(5):
        assert _bursts_in(pick.sample(in_order, len(in_order))) ^ wanted == set()
    batches = {part: list(map(batch_of, arrivals)) for part, arrivals in BURSTING.items()}
    said: list[Window | TrendEvent] = []
    for cut in (30, 25, 11, 0):
        source = Memory(batches, _aborting_at(cut))
        run_flow(source, Emissions(said.append), BURST_OPTIONS, recovery=tmp_path / "recovery")
    assert _events(said) ^ wanted == set()


def test_two_processes_count_the_same(tmp_path: Path, expected: Windows) -> None:
    run_processes(tmp_path, 2, workers=2)
    assert superseded(emissions(tmp_path)) == expected


@pytest.mark.faults
def test_rescaling_and_killing_processes_counts_the_same(tmp_path: Path, expected: Windows) -> None:
    """
    ::

        1 process    ───✗
        3 processes    ────✗ (the third of them)
        2 processes       ─────────▶ end
    """
    run_processes(tmp_path, 1, kill=0, after=70)
    run_processes(tmp_path, 3, kill=2, after=20)
    run_processes(tmp_path, 2)
    assert superseded(emissions(tmp_path)) == expected
