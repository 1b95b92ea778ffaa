"""``groundswell status``: what processes report of themselves, on a real Redis and on the embedded one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from connectors.embedded_redis import EmbeddedRedis
from connectors.presence import Presence
from connectors.redis_client import connect
from groundswell.reports import Status, Totals
from groundswell.waits import Waits
from tests.waiting import wait_until


@pytest.fixture(params=["real", "embedded"])
def overrides(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    if request.param == "real":
        yield [f"redis.url={request.getfixturevalue('redis').url}", "redis.prefix=blue:"]
        return
    with EmbeddedRedis(tmp_path):
        yield [f"job.data_dir={tmp_path}", "redis.prefix=blue:"]


def options(overrides: list[str]) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


@pytest.fixture
def reporting(overrides: list[str], tmp_path: Path) -> Iterator[Waits]:
    """Two processes that report; their common waits."""
    url = overrides[0].partition("=")[2]
    if not url.startswith("redis:"):
        url = (tmp_path / "redis" / "address").read_text()
    waits = Waits()
    totals = Totals(read=1200, documents=1190, dead={"not_json": 10})
    processes = [
        Presence(
            connect(url),
            waits,
            lambda: Status(
                totals, epochs=1, lag=7, waits={}, models=("encoder@3",), provider="cpu", embedding_space="minilm-1"
            ),
            job="posts",
            process=process,
            prefix="blue:",
            interval=0.05,
        )
        for process in range(2)
    ]
    for process in processes:
        process.start()
    client = connect(url)
    wait_until(lambda: client.zcard("blue:jobs") == 2, 10, "both processes to report")
    yield waits
    for process in processes:
        process.close()


def test_a_table_shows_each_process(
    reporting: Waits, overrides: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["status", *options(overrides)]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert " ".join(header.split()) == "process host pid state up seen posts/s docs dead lag model on space waits for"
    assert [row.split()[0] for row in rows] == ["posts/0", "posts/1"]
    assert re.search(rf" {os.getpid()} +running +[\dms ]+ +\d+s .* 1,190 +10 +7 +encoder@3 +cpu +minilm-1 *$", rows[0])


def test_json_is_one_object_a_process(
    reporting: Waits, overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--json", *options(overrides)]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["process"], second["process"]) == (0, 1)
    assert (first["state"], first["pid"]) == ("running", os.getpid())
    assert first["totals"]["documents"] == 1190
    assert (first["models"], first["provider"], first["embedding_space"]) == (["encoder@3"], "cpu", "minilm-1")


def test_it_says_what_is_waited_for(
    reporting: Waits, overrides: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    reporting.begin("kafka", "no broker [bold]")

    def shown() -> bool:
        main(["status", *options(overrides)])
        return "kafka: no broker [bold]" in capsys.readouterr().out

    wait_until(shown, 10, "the wait to be shown")


def test_nothing_running_exits_1(overrides: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", *options(overrides)]) == 1
    assert capsys.readouterr().out == "no process has reported itself lately\n"


def test_watch_goes_on_until_it_is_interrupted(reporting: Waits, overrides: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "status", "--watch", *options(overrides)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"FORCE_COLOR": "1", "COLUMNS": "200"},
    ) as process:
        assert process.stdout is not None
        assert any("posts/1" in line for line in iter(process.stdout.readline, ""))
        process.send_signal(2)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_where_no_job_runs_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--set", f"job.data_dir={tmp_path}"]) == 1
    assert "no job runs with job.data_dir" in capsys.readouterr().err
    assert main(["status", "--set", "redis.url="]) == 1
    assert "redis.url is empty" in capsys.readouterr().err
