"""``kill -9`` at random moments while hashtags are counted: windows and trends are those of an undisturbed run.

The moments are random; the seed is printed and ``GROUNDSWELL_TEST_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import random
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.conftest import RedisDatabase
from tests.dataflows.harness import Run, Tables, run_to_end, write_settings
from tests.dataflows.trend_planting import (
    RULES,
    SKEW,
    TrendPlanter,
    TrendsInRedis,
    superseded_events,
    topic_events,
    trend_settings,
)
from tests.stack.kafka import KafkaServer
from tests.trends.oracle import count_windows
from tests.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.stack]

_POSTS = 150


def _settings(folder: Path, kafka: KafkaServer, redis: RedisDatabase, name: str, topic: str, processes: int) -> Path:
    """The job under its own name for the recovery store, the keys in Redis and the topic of trends."""
    basis: Tables = {
        "job": {
            "data_dir": str(folder / name),
            "processes": processes,
            "epoch_interval": 0.2,
            "restart_backoff": 0.05,
            "restart_backoff_max": 0.2,
            "max_restarts": 50,
        },
        "sources": {"use": ["kafka"]},
        "kafka": {"bootstrap_servers": kafka.bootstrap_servers, "topic": topic, "dead_topic": f"{topic}.dead"},
        "models": {"posts": ""},
        "observability": {"port": 0},
    }
    return write_settings(
        folder / f"{name}.toml", basis, trend_settings(redis.url, f"{name}:", f"{topic}.trends.{name}")
    )


def _await_moment(written: TrendsInRedis, pick: random.Random) -> str:
    """Return at a random moment: of the clock (start-up too is hit), or when some windows more have been written."""
    if pick.random() < 0.5:
        delay = pick.uniform(0, 2)
        moment = time.monotonic() + delay
        wait_until(lambda: time.monotonic() >= moment, 10, "the moment", interval=0.005)
        return f"after {delay:.2f} s"
    windows = written.window_count() + pick.randint(0, 1)
    wait_until(lambda: written.window_count() >= windows, 60, f"{windows} windows", interval=0.005)
    return f"at {windows} windows"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("processes", "kills"), [(1, 20), (2, 6)], ids=["20-kills", "one-of-two-processes"])
def test_kills_change_no_window_and_no_trend(
    tmp_path: Path, kafka: KafkaServer, redis: RedisDatabase, processes: int, kills: int
) -> None:
    """
    ::

        partition 0   ──minute 1──✗──minute 2──✗── ... ──▶     a minute of event time for each kill
        partition 1   ──minute 1──✗──minute 2──✗── ... ──▶     12 minutes ahead
        partition 2   ──minute 1──✗──minute 2──✗── ... ──▶     two days ahead
    """
    seed = int(os.environ.get("GROUNDSWELL_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"GROUNDSWELL_TEST_SEED={seed}")
    pick = random.Random(seed)
    topic = kafka.topic(len(SKEW))
    planter = TrendPlanter(kafka.bootstrap_servers, topic, seed)
    disturbed = _settings(tmp_path, kafka, redis, "disturbed", topic, processes)
    calm = _settings(tmp_path, kafka, redis, "calm", topic, 1)
    with ExitStack() as held:
        written = held.enter_context(closing(TrendsInRedis(redis.url, "disturbed:")))
        undisturbed = held.enter_context(closing(TrendsInRedis(redis.url, "calm:")))
        with Run(disturbed) as run:
            for number in range(kills):
                # More of event time for each of few kills: the burst is to come and go.
                for _ in range(max(1, 20 // kills)):
                    planter.plant(_POSTS)
                run.wait_for_job(processes)
                print(f"kill {number + 1}: {_await_moment(written, pick)}")
                run.wait_for_job(processes)
                run.kill_job_process(pick.randrange(processes))
            windows = count_windows(planter.posts, RULES)
            due = sum(end <= planter.watermark for end in windows)
            wait_until(lambda: written.window_count() >= due, 60, f"the {due} windows that are due")
            run.wait_for_job(processes)
            run.terminate()
            assert run.wait() == 0, run.reason
        run_to_end(disturbed)
        run_to_end(calm)
        print(f"{len(windows)} windows, {len(undisturbed.changes())} events; disturbed: {len(written.changes())}")
        assert undisturbed.windows() == windows
        assert written.windows() == windows
        assert written.hashtags() == undisturbed.hashtags()
        events = superseded_events(undisturbed.changes())
        assert ("began", "flood") in {event[:2] for event in events}
        assert superseded_events(written.changes()) ^ events == set()
        told = topic_events(kafka.bootstrap_servers, f"{topic}.trends.disturbed")
        assert superseded_events(told) ^ events == set()
        assert written.active() == undisturbed.active()
