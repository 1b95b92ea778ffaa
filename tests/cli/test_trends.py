"""``groundswell trends``: what the job keeps in Redis, on a real server and on the embedded one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.main import main
from connectors.embedded_redis import EmbeddedRedis
from connectors.redis_client import connect
from connectors.redis_trends import RedisTrendStore
from groundswell.trends import TagCount, Trend, TrendEvent, Window
from groundswell.waits import Waits

Write = Callable[[list[Window], list[TrendEvent]], None]

SIZE, SLIDE = 600, 10


@pytest.fixture(params=["real", "embedded"])
def overrides(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    if request.param == "real":
        yield [f"redis.url={request.getfixturevalue('redis').url}", "redis.prefix=blue:"]
        return
    with EmbeddedRedis(tmp_path):
        yield [f"job.data_dir={tmp_path}", "redis.prefix=blue:"]


@pytest.fixture
def write(overrides: list[str], tmp_path: Path) -> Write:
    """Writes as a job does."""

    def write(windows: list[Window], events: list[TrendEvent]) -> None:
        url = overrides[0].partition("=")[2]
        if not url.startswith("redis:"):
            url = (tmp_path / "redis" / "address").read_text()
        store = RedisTrendStore(connect(url), Waits(), prefix="blue:")
        store.prepare()
        store.write(windows, events, lambda: True)
        store.close()

    return write


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def options(overrides: list[str]) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


def window(end: int, *counts: tuple[str, int], error: int = 0) -> Window:
    return Window(1, end, 0, SIZE, tuple(TagCount(tag, count) for tag, count in counts), error)


def began(end: int, tag: str, score: float, count: int) -> TrendEvent:
    at = datetime.fromtimestamp(end, UTC)
    return TrendEvent(1, "began", at, 0, Trend(f"{tag}-1", tag, tag.title(), at, score, count, count, count - 1))


def recent() -> int:
    """A window end of just now."""
    return int(time.time()) // SLIDE * SLIDE


def test_a_table_shows_the_top_tags_and_what_trends(
    write: Write, overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """::

    window ends    -590 ........... -300 ........... 0
    storm                            1 .. rising .. 59
    tea             7 .............. 7 ............. 7
    """
    end = recent()
    ends = range(end - SIZE + SLIDE, end + SLIDE, SLIDE)
    windows = [window(at, ("tea", 7), *([("storm", 2 * (29 - (end - at) // SLIDE) + 1)] if at > end - 300 else []))
               for at in ends]  # fmt: skip
    write(windows, [began(end - 100, "storm", 12.34, 40), began(end - 50, "rain[bold]", 9.5, 3)])

    assert main(["trends", *options(overrides)]) == 0

    heading, header, *rows = capsys.readouterr().out.splitlines()
    assert heading.startswith(f"10m up to {datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M:%S} UTC, ")
    assert "not" not in heading
    assert header.split() == ["#", "tag", "count", "authors", "score", "trends", "since", "10m"]
    since = f"{datetime.fromtimestamp(end - 100, UTC):%d %b %H:%M}"
    assert rows[0].split()[:8] == ["1", "#storm", "59", "39", "12.3", *since.split()]
    assert rows[0].rstrip().endswith("  ▁▂▂▃▄▄▅▆▆▇██")
    assert rows[1].split() == ["2", "#tea", "7", "█" * 24]
    assert rows[2].split()[:4] == ["#rain[bold]", "3", "2", "9.5"]


def test_a_line_without_gaps_has_no_more_columns_than_windows(
    write: Write, overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """::

    window ends    -550  -500 ....  0
    tea               1     2 .... 12
    """
    end = recent()
    write([window(end - 50 * back, ("tea", 12 - back)) for back in range(11, -1, -1)], [])
    assert main(["trends", "--json", *options(overrides)]) == 0
    assert json.loads(capsys.readouterr().out)["top"][0]["history"] == list(range(1, 13))


def test_where_room_is_short_the_tag_is_cut_and_nothing_else(
    write: Write, overrides: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    end = recent()
    write([window(end - 10, ("storms" * 9, 1)), window(end, ("storms" * 9, 3))], [began(end, "storms" * 9, 123.45, 3)])
    assert main(["trends", *options(overrides)]) == 0
    _, header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["#", "tag", "count", "authors", "score", "trends", "since", "10m"]
    assert row.split()[1].startswith("#storms")
    assert row.split()[1].endswith("…")
    assert row.split()[2:5] == ["3", "2", "123.5"]
    assert row.endswith("▇")
    assert len(row) <= 80


def test_json_is_one_object_with_everything(
    write: Write, overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write([window(1_000_000_000, ("a", 3), ("b", 2), ("c", 1))], [began(1_000_000_000, "a", 12.5, 3)])
    assert main(["trends", "--json", "--limit", "2", *options(overrides)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["window_end"], shown["size"], shown["revision"], shown["error"]) == (
        "2001-09-09T01:46:40Z",
        SIZE,
        0,
        0,
    )
    assert [(line["rank"], line["tag"], line["count"]) for line in shown["top"]] == [(1, "a", 3), (2, "b", 2)]
    assert shown["top"][0]["history"] == [None] * 23 + [3]
    (trend,) = shown["trends"]
    assert (trend["tag"], trend["label"], trend["score"], trend["authors"]) == ("a", "A", 12.5, 2)


def test_a_stale_window_says_how_old_it_is(
    write: Write, overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write([window(recent() - 7_200, ("a", 3), error=4)], [])
    assert main(["trends", *options(overrides)]) == 0
    heading = capsys.readouterr().out.splitlines()[0]
    assert " UTC, 2h ago: nothing in it is current" in heading
    assert heading.endswith("counts may be up to 4 too low")


def test_a_window_without_tags_says_so(write: Write, overrides: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write([window(recent())], [])
    assert main(["trends", *options(overrides)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "no tag is left in it"


def test_nothing_counted_yet_exits_1(overrides: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trends", *options(overrides)]) == 1
    assert capsys.readouterr().out == "no window has been counted yet\n"


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_watch_goes_on_until_it_is_interrupted(write: Write, overrides: list[str], form: list[str]) -> None:
    end = recent()
    write([window(end, ("first", 3))], [])
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "trends", "--watch", *form, *options(overrides)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"FORCE_COLOR": "1", "COLUMNS": "200"},
    ) as process:
        assert process.stdout is not None
        assert any("first" in line for line in iter(process.stdout.readline, ""))
        write([window(end + SLIDE, ("second", 3))], [])
        assert any("second" in line for line in iter(process.stdout.readline, ""))
        process.send_signal(2)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_where_no_job_runs_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trends", "--set", f"job.data_dir={tmp_path}"]) == 1
    assert "no job runs with job.data_dir" in capsys.readouterr().err
    assert main(["trends", "--set", "redis.url="]) == 1
    assert "redis.url is empty" in capsys.readouterr().err
    assert main(["trends", "--set", "redis.url=redis://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.startswith("groundswell: redis: ")
    assert main(["trends", "--limit", "0"]) == 2
    assert "--limit 0" in capsys.readouterr().err
