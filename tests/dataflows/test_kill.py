"""``kill -9`` at random moments: every accepted post is exactly one document or one dead letter.

The moments and victims are random; the seed is printed and ``GROUNDSWELL_TEST_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import random
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.dataflows.harness import Cluster, Run, run_to_end, sqlite_dead_letters, sqlite_documents, write_settings
from tests.dataflows.planting import identity, write_file
from tests.waiting import wait_until

pytestmark = pytest.mark.faults

_VICTIMS = ("job process", "job process", "supervisor", "everything")


def _chance() -> random.Random:
    seed = int(os.environ.get("GROUNDSWELL_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"GROUNDSWELL_TEST_SEED={seed}")
    return random.Random(seed)


def _await_moment(cluster: Cluster, pick: random.Random, planted: int) -> str:
    """Return at a random moment: of the clock (start-up too is hit), or of the stream (under full load)."""
    if pick.random() < 0.4:
        delay = pick.uniform(0, 2)
        moment = time.monotonic() + delay
        wait_until(lambda: time.monotonic() >= moment, 10, "the moment", interval=0.005)
        return f"after {delay:.2f} s"
    before = cluster.written()
    threshold = pick.randint(min(before, planted), planted)
    wait_until(lambda: cluster.written() >= threshold, 60, f"{threshold} documents", interval=0.01)
    return f"at {cluster.written()} documents, {before} before"


@pytest.mark.stack
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("processes", "workers", "kills", "posts"),
    [(1, 1, 20, 50_000), (2, 1, 6, 15_000), (1, 2, 5, 12_500)],
    ids=["20-kills", "two-processes", "two-workers"],
)
def test_kills_lose_and_double_nothing(cluster: Cluster, processes: int, workers: int, kills: int, posts: int) -> None:
    """Posts arrive in portions; somewhere in each of them something is killed."""
    pick = _chance()
    settings = cluster.settings({"job": {"processes": processes, "workers": workers}})
    # One of two processes killed is what that layout is about.
    victims = _VICTIMS if processes == 1 else _VICTIMS[:1]
    with ExitStack() as runs:
        run = runs.enter_context(Run(settings))
        for number in range(kills):
            cluster.planter.plant(posts // kills)
            moment = _await_moment(cluster, pick, len(cluster.planter.ids))
            victim = pick.choice(victims)
            print(f"kill {number + 1}: {victim} {moment}")
            if victim == "job process":
                run.wait_for_job(processes)
                run.kill_job_process(pick.randrange(processes))
                continue
            if victim == "supervisor":
                run.kill_supervisor()
            else:
                run.kill_everything()
            run = runs.enter_context(Run(settings))
        cluster.wait_for_documents(len(cluster.planter.ids))
        run.wait_for_job(processes)  # a supervisor killed last may have left nothing to do to the one just started
        run.terminate()
        assert run.wait() == 0, run.reason
    summary = run_to_end(settings)
    assert summary["read"] == summary["documents"] + summary["duplicates"] + sum(summary["dead"].values())
    cluster.assert_all_accounted_for()


@pytest.mark.timeout(300)
def test_kills_of_an_embedded_run(tmp_path: Path) -> None:
    """Files into SQLite, with no server at all."""
    pick = _chance()
    folder = tmp_path / "posts"
    folder.mkdir()
    posts, files, kills = 20_000, 8, 5
    planted = {
        number: write_file(folder / f"{number}.jsonl", range(number, posts, files), bad_every=101)
        for number in range(files)
    }
    database = tmp_path / "documents.db"
    settings = write_settings(
        tmp_path / "settings.toml",
        {
            "job": {"data_dir": str(tmp_path / "data"), "epoch_interval": 0.1, "restart_backoff": 0.05},
            "sources": {"use": ["files"], "credit_records": 1000},
            "files": {"paths": [str(folder)]},
            "documents": {"url": f"sqlite:///{database}"},
            "redis": {"url": ""},
            "models": {"posts": ""},
            "observability": {"port": 0},
        },
    )
    for number in range(kills):
        with Run(settings) as run:
            delay = pick.uniform(0.3, 2)
            print(f"kill {number + 1}: everything after {delay:.2f} s")
            moment = time.monotonic() + delay
            wait_until(lambda moment=moment: time.monotonic() >= moment, 10, "the moment")  # type: ignore[misc]
            run.kill_everything()
    run_to_end(settings)
    documents = sqlite_documents(database)
    assert documents == dict.fromkeys(map(identity, range(posts)), 1)
    assert sorted(sqlite_dead_letters(database)) == sorted(
        letter for dead in planted.values() for letter in dead.items()
    )
