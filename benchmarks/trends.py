"""Hashtags a second through the operators of the posts flow: windows of 1,800 s every 10 s, top 20.

:mod:`benchmarks.trends_run` feeds decoded posts from memory, two hashtags each, 1,000 hashtags a
second of event time in four partitions, to the branch of the flow that counts, in Bytewax, with a
snapshot every second into a recovery store. *Everything* adds burst scores, distinct authors and
samples to the counting. It is measured once the window is full, per second of processor time, so
that one core is what it says; the two rows on processes are per second of wall time. The peer is
Bytewax's own sliding window with one key a tag (:mod:`benchmarks.naive_windows`), also per second
of processor time and with less to do. Flink SQL is compared by :mod:`benchmarks.flink_hop`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec
import redis
from confluent_kafka import Producer

from benchmarks.report import Row, options, print_rows
from benchmarks.trends_run import Figures, Plan
from groundswell.redis_keys import HASHTAGS
from groundswell.step_ids import SHARDS
from tests.dataflows.harness import ROOT, Run, write_settings
from tests.stack.ports import free_port
from tests.stack.session import Stack
from tests.waiting import wait_until

#: The usual number of live tags.
LIVE = 100_000
_MIB = 1024 * 1024
_PARTITIONS = 4
_PROBES = 8
_POSTS_PER_SECOND = 200


def main() -> None:
    """Print the rows."""
    given = options(__doc__)
    print_rows(quick_rows() if given.quick else all_rows(), given.json)


def quick_rows() -> list[Row]:
    """The two rates and the peer at the usual number of tags."""
    counting = run(Plan(LIVE, seconds=120))
    everything = run(Plan(LIVE, seconds=120, everything=True))
    return [_beside_windows(counting, 5.0), _beside_counting(LIVE, everything, counting)]


def all_rows() -> list[Row]:
    """Everything, one run after the other."""
    rows = []
    counting = {live: run(Plan(live)) for live in (1_000, LIVE, 1_000_000)}
    rows.append(_beside_windows(counting[LIVE], 30.0))
    rows += [
        Row(f"counting, {live:,} live tags", figures.processor_rate, None, "hashtags/s a core")
        for live, figures in counting.items()
        if live != LIVE
    ]
    everything = {live: run(Plan(live, everything=True)) for live in counting}
    rows += [_beside_counting(live, figures, counting[live]) for live, figures in everything.items()]
    behind = run(Plan(LIVE, behind=600, everything=True))
    rows.append(
        Row(
            "everything, a partition ten minutes behind, peer: none behind",
            behind.processor_rate,
            everything[LIVE].processor_rate,
            "hashtags/s a core",
        )
    )
    without = run(Plan(LIVE, everything=True, snapshots=False))
    rows.append(
        Row(
            "everything, peer: without snapshots",
            everything[LIVE].processor_rate,
            without.processor_rate,
            "hashtags/s a core",
        )
    )
    for name, plan, alone in (
        ("counting", Plan(LIVE), counting[LIVE]),
        ("everything", Plan(LIVE, everything=True), everything[LIVE]),
    ):
        two = run_processes(plan, 2)
        rows.append(Row(f"{name}, two processes, peer: one", two.rate, alone.rate, "hashtags/s of wall time"))
    rows += _state_rows()
    stack = Stack()
    try:
        rows += [
            Row("a post to its tag in Redis, slide 10 s, disorder 10 s, median", delay(stack, 10, 10.0), None, "s"),
            Row("a post to its tag in Redis, slide 1 s, disorder 1 s, median", delay(stack, 1, 1.0), None, "s"),
        ]
    finally:
        stack.close()
    return rows


def _beside_windows(figures: Figures, seconds: float) -> Row:
    command = [sys.executable, "-m", "benchmarks.naive_windows", str(LIVE), str(seconds)]
    peer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    name = f"counting, {LIVE:,} live tags, peer: Bytewax's sliding window"
    return Row(name, figures.processor_rate, float(peer), "hashtags/s a core")


def _beside_counting(live: int, everything: Figures, counting: Figures) -> Row:
    name = f"everything, {live:,} live tags, peer: counting alone"
    return Row(name, everything.processor_rate, counting.processor_rate, "hashtags/s a core")


def _state_rows() -> list[Row]:
    """Memory, snapshots and resuming with everything on."""
    rows = []
    for live in (LIVE, 1_000_000):
        grown = run(Plan(live, seconds=60, everything=True, from_disk=True)).grown
        rows.append(Row(f"memory of a live tag, {live:,} of them", grown / live, None, "bytes"))
    stopped = run(Plan(LIVE, seconds=60, everything=True, resume=True))
    rows += [
        Row("snapshot of one epoch, closed panes aside", stopped.hot / _MIB, None, "MiB"),
        Row("snapshot of a closed pane of 10,000 hashtags, once", stopped.cold * SHARDS / _MIB, None, "MiB"),
        Row(f"resume with {LIVE:,} live tags to the next window", stopped.resumed_after, None, "s"),
    ]
    return rows


def run(plan: Plan) -> Figures:
    """One run in a process of its own."""
    return _figures(_start(plan))


def run_processes(plan: Plan, processes: int) -> Figures:
    """One run on several processes; the first one's figures."""
    addresses = tuple(f"127.0.0.1:{free_port()}" for _ in range(processes))
    with tempfile.TemporaryDirectory(prefix="groundswell-bench-") as folder:
        started = [
            _start(msgspec.structs.replace(plan, addresses=addresses, process=process), folder)
            for process in range(processes)
        ]
        first, *_ = [_figures(process) for process in started]
        return first


def _start(plan: Plan, folder: str = "") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.trends_run", msgspec.json.encode(plan).decode()]
    return subprocess.Popen([*command, folder] if folder else command, cwd=ROOT, stdout=subprocess.PIPE)


def _figures(process: subprocess.Popen[bytes]) -> Figures:
    printed, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    # Before it a process that waits for another one says so.
    return msgspec.json.decode(printed.splitlines()[-1], type=Figures)


def delay(stack: Stack, slide: int, disorder: float) -> float:
    """Seconds from a post's arrival in Kafka, where a steady stream flows, until Redis has its tag; the median."""
    topic = stack.kafka.topic(_PARTITIONS)
    url = stack.redis.database()
    client = redis.Redis.from_url(url)
    producer = Producer({"bootstrap.servers": stack.kafka.bootstrap_servers, "linger.ms": 0})
    number = 0

    def produce(tag: str) -> None:
        nonlocal number
        number += 1
        post = {
            "id": str(number),
            "source": "bench",
            "author": f"author{number % 1000}",
            "text": f"#{tag}",
            "created_at": datetime.now(UTC).isoformat(),
        }
        producer.produce(topic, json.dumps(post).encode(), partition=number % _PARTITIONS)
        producer.poll(0)

    with tempfile.TemporaryDirectory(prefix="groundswell-bench-") as folder, ExitStack() as exit_stack:
        settings = write_settings(
            Path(folder, "settings.toml"),
            {
                "job": {"data_dir": str(Path(folder, "data"))},
                "sources": {"use": ["kafka"]},
                "kafka": {
                    "bootstrap_servers": stack.kafka.bootstrap_servers,
                    "topic": topic,
                    "dead_topic": f"{topic}.dead",
                    "trends_topic": f"{topic}.trends",
                },
                "redis": {"url": url},
                "trends": {"slide": slide, "disorder": disorder},
                "models": {"posts": ""},
                "observability": {"port": 0},
            },
        )
        exit_stack.enter_context(Run(settings))
        exit_stack.callback(client.close)
        sent: dict[str, float] = {}
        seen: dict[str, float] = {}
        began = time.monotonic()
        every = (slide + disorder) / _PROBES * 1.1

        def step() -> bool:
            passed = time.monotonic() - began
            while number < passed * _POSTS_PER_SECOND:
                produce(f"steady{number % 8}")
            ready = client.zcard(HASHTAGS) > 0
            if ready and len(sent) < _PROBES and (not sent or time.monotonic() > max(sent.values()) + every):
                probe = f"probe{len(sent)}"
                sent[probe] = time.monotonic()
                produce(probe)
            for tag in sent.keys() - seen.keys():
                if client.zscore(HASHTAGS, tag) is not None:
                    seen[tag] = time.monotonic()
            return len(seen) == _PROBES

        wait_until(step, 240, "the tags in Redis", interval=0.005)
        producer.flush()
    return median(seen[tag] - sent[tag] for tag in seen)


if __name__ == "__main__":
    main()
