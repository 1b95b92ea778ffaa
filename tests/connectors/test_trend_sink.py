"""The sink of windows and trends: what is durable when a batch is written, and who writes it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource, cluster_main

from connectors.recovery import open_recovery
from connectors.redis_client import connect
from connectors.trend_reader import TrendReader
from connectors.trend_sink import TrendSink
from connectors.trend_store import KeepWaiting
from groundswell.errors import StopJob
from groundswell.metrics import REGISTRY
from groundswell.trends import TrendEvent, Window
from tests.conftest import RedisDatabase
from tests.connectors.trend_sink_process import PARTITIONS, window
from tests.connectors.trends import trend_event
from tests.stack.ports import free_port
from tests.stack.process import spawn
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


class Kept:
    """A store in memory that notes every write in a list that several share."""

    def __init__(self, name: str, writes: list[tuple[str, list[Window], list[TrendEvent]]]) -> None:
        self.name = name
        self.broken: Exception | None = None
        self._writes = writes

    def prepare(self) -> None:
        """Nothing is missing."""

    def write(self, windows: Sequence[Window], events: Sequence[TrendEvent], keep_waiting: KeepWaiting) -> None:
        if self.broken is not None:
            raise self.broken
        self._writes.append((self.name, list(windows), list(events)))

    def close(self) -> None:
        """Nothing is held."""


def sample(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(name, labels)
    assert value is not None
    return value


def test_an_activation_is_one_write_to_each_store_in_their_order() -> None:
    writes: list[tuple[str, list[Window], list[TrendEvent]]] = []
    now = [1000.0]
    sink = TrendSink([Kept("topic", writes), Kept("redis", writes)], lambda: True, owner=True, now=lambda: now[0])
    assert sink.list_parts() == ["00"]
    part = sink.build_part("trends", "00", None)
    before = [
        sample("groundswell_windows_written_total"),
        sample("groundswell_trend_events_written_total", event="began"),
        sample("groundswell_trend_events_written_total", event="ended"),
        sample("groundswell_step_seconds_count", step="trends"),
    ]
    began, ended = trend_event(event="began"), trend_event("b", event="ended")
    part.write_batch([window(960), began, window(970), ended])
    assert part.snapshot() is None
    wanted = ([window(960), window(970)], [began, ended])
    assert writes == [("topic", *wanted), ("redis", *wanted)]
    after = [
        sample("groundswell_windows_written_total"),
        sample("groundswell_trend_events_written_total", event="began"),
        sample("groundswell_trend_events_written_total", event="ended"),
        sample("groundswell_step_seconds_count", step="trends"),
    ]
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 1, 1, 1]
    assert sample("groundswell_window_age_seconds") == 30
    now[0] = 1060.0
    part.write_batch([window(950)])
    assert sample("groundswell_window_age_seconds") == 90
    part.close()


def test_a_process_that_is_not_the_owner_has_no_partition() -> None:
    assert TrendSink([], lambda: True, owner=False).list_parts() == []


def test_a_store_that_gives_up_ends_the_flow_with_its_reason(tmp_path: Path) -> None:
    writes: list[tuple[str, list[Window], list[TrendEvent]]] = []
    first, second = Kept("topic", writes), Kept("redis", writes)
    second.broken = StopJob("no such user")
    flow = Dataflow("trends")
    windows = op.input("windows", flow, TestingSource([("trends", window(end)) for end in range(1, 5)]))
    op.output("trends", windows, TrendSink([first, second], lambda: True, owner=True))
    with pytest.raises(StopJob, match="no such user"):
        cluster_main(flow, [], 0, recovery_config=open_recovery(tmp_path / "recovery", 1))
    assert [name for name, *_ in writes] == ["topic"]


class Cluster:
    """The processes of one run of the flow in ``trend_sink_process``."""

    def __init__(self, folder: Path, redis_url: str, until: int, processes: int, workers: int) -> None:
        # Made once: processes that start at the same time must not race for it.
        open_recovery(folder / "recovery", 2)
        order = {
            "addresses": [f"127.0.0.1:{free_port()}" for _ in range(processes)] if processes > 1 else [],
            "workers": workers,
            "recovery_dir": str(folder / "recovery"),
            "redis_url": redis_url,
            "until": until,
        }
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self.processes: list[subprocess.Popen[bytes]] = [
                spawn(
                    [
                        *(sys.executable, "-m", "tests.connectors.trend_sink_process"),
                        json.dumps(order | {"process": process}),
                    ],
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                )
                for process in range(processes)
            ]

    def finish(self) -> None:
        assert [process.wait(120) for process in self.processes] == [0] * len(self.processes), self._log.read_text()

    def kill(self, victim: int) -> None:
        """One process dies, and the others with it, as under the supervisor."""
        for process in (self.processes[victim], *self.processes):
            process.send_signal(signal.SIGKILL)
            process.wait(30)


def wanted(until: int) -> list[Window]:
    return [window(end) for end in range(len(PARTITIONS), len(PARTITIONS) * (until + 1))]


@pytest.mark.stack
def test_one_process_writes_for_all_and_goes_on_after_a_rescale(redis: RedisDatabase, tmp_path: Path) -> None:
    # two processes: the other lists no partition; then one with two workers; then three processes
    reader = TrendReader(connect(redis.url))
    until = 0
    for processes, workers in ((2, 1), (1, 2), (3, 1)):
        until += 40
        Cluster(tmp_path, redis.url, until, processes, workers).finish()
        assert list(reader.now(history=1000).history) == wanted(until)


@pytest.mark.stack
@pytest.mark.faults
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_loses_nothing(redis: RedisDatabase, tmp_path: Path, victim: int) -> None:
    reader = TrendReader(connect(redis.url))
    started = Cluster(tmp_path, redis.url, 20_000, 2, 1)
    seen = wait_until(lambda: reader.now(history=2).history, 60, "the first windows")
    started.kill(victim)
    assert seen[-1].end < len(PARTITIONS) * 20_000
    # What the first run had read is at most what it had reached; the second goes on to that and a little further.
    newest = reader.now().window
    assert newest is not None
    until = newest.end // len(PARTITIONS) + 50
    Cluster(tmp_path, redis.url, until, 2, 1).finish()
    assert list(reader.now(history=100_000).history) == wanted(until)
