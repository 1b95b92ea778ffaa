"""``groundswell trends replay``: windows and events of files, against a naive count."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from groundswell.records import Post
from tests.shared_data import shared_data
from tests.trends import real_streams
from tests.trends.oracle import Arrival, Rules, accept, count_windows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

Line = dict[str, Any]
Replay = Callable[..., list[Line]]


def post(number: int, seconds: float, *tags: str, author: str | None = None) -> Post:
    """A post so many seconds after noon."""
    time = NOON + timedelta(seconds=seconds)
    return Post(str(number), "test", "words " + " ".join(f"#{tag}" for tag in tags), time, author, hashtags=tags)


def record(post: Post) -> bytes:
    fields = {"id": post.id, "source": post.source, "text": post.text, "created_at": post.created_at.isoformat()}
    return json.dumps(fields | ({"author": post.author} if post.author else {})).encode()


def write(path: Path, posts: list[Post]) -> Path:
    lines = b"".join(record(post) + b"\n" for post in posts)
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


def lines_of(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def counted(lines: list[Line]) -> dict[int, list[tuple[str, int]]]:
    """Of each window the emission with the highest revision, as the oracle has it."""
    windows: dict[int, tuple[int, list[tuple[str, int]]]] = {}
    for line in lines:
        end = int(datetime.fromisoformat(line["window_end"]).timestamp())
        if end not in windows or line["revision"] > windows[end][0]:
            windows[end] = line["revision"], [(each["tag"], each["count"]) for each in line["top"]]
    return {end: top for end, (_, top) in windows.items()}


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    """Runs the command on files and returns the lines of the windows."""

    def run(*words: str | Path) -> list[Line]:
        out = tmp_path / "windows.jsonl"
        assert main(["trends", "replay", *map(str, words), "--out", str(out)]) == 0
        return lines_of(out)

    return run


def test_a_window_holds_what_happened_before_its_end_and_not_before_its_start(replay: Replay, tmp_path: Path) -> None:
    """::

    seconds   0         10        20        30        40
    posts     a         b    ab
    windows   (of 20 s, every 10 s)
      10      a
      20      a---------b----ab
      30                b----ab
    """
    file = write(tmp_path / "p.jsonl", [post(1, 0, "a"), post(2, 10, "b"), post(3, 15, "b", "a")])
    assert replay(file, "--window", "20", "--slide", "10") == [
        {"window_end": "2026-03-01T12:00:10Z", "revision": 0, "top": [{"tag": "a", "count": 1}]},
        {
            "window_end": "2026-03-01T12:00:20Z",
            "revision": 0,
            "top": [{"tag": "a", "count": 2}, {"tag": "b", "count": 2}],
        },
        {
            "window_end": "2026-03-01T12:00:30Z",
            "revision": 0,
            "top": [{"tag": "b", "count": 2}, {"tag": "a", "count": 1}],
        },
    ]


def test_windows_without_a_tag_are_left_out(replay: Replay, tmp_path: Path) -> None:
    """::

    seconds   0         3600
    posts     a         (no tag)   a at 7200
    """
    file = write(tmp_path / "p.jsonl", [post(1, 0, "a"), post(2, 3600), post(3, 7200, "a")])
    lines = replay(file, "--window", "10", "--slide", "10")
    assert [line["window_end"][11:19] for line in lines] == ["12:00:10", "14:00:10"]


def test_ties_go_by_code_point_and_the_top_is_cut_behind_them(replay: Replay, tmp_path: Path) -> None:
    file = write(tmp_path / "p.jsonl", [post(1, 0, "zebra", "ärger", "apple", "東京", "𠮷野", "！ａ")])
    (line,) = replay(file, "--window", "10", "--slide", "10", "--top", "3")
    assert [each["tag"] for each in line["top"]] == ["apple", "zebra", "ärger"]
    (line,) = replay(file, "--window", "10", "--slide", "10", "--top", "0")
    tags = [each["tag"] for each in line["top"]]
    assert tags == sorted(tags)
    assert len(tags) >= 5


def some_posts(seed: int, count: int, span: float) -> list[Post]:
    """Posts in no order, some of them twice."""
    chance = random.Random(seed)
    tags = [f"tag{number}" for number in range(40)]
    posts = [
        post(number, chance.random() * span, *dict.fromkeys(chance.choices(tags[: 1 + number % 40], k=number % 4)))
        for number in range(count)
    ]
    posts += chance.sample(posts, count // 20)
    chance.shuffle(posts)
    return posts


@pytest.mark.parametrize(("window", "slide", "top"), [(1800, 10, 20), (90, 60, 3), (300, 300, 0), (70, 30, 5)])
def test_every_window_is_that_of_the_oracle(replay: Replay, tmp_path: Path, window: int, slide: int, top: int) -> None:
    posts = some_posts(window, 3_000, 7_000)
    files = [write(tmp_path / "1.jsonl", posts[:1000]), write(tmp_path / "2.jsonl.gz", posts[1000:])]
    lines = replay(*files, "--window", str(window), "--slide", str(slide), "--top", str(top))
    rules = Rules(window=window, slide=slide, top=top)
    ends = [line["window_end"] for line in lines]
    assert ends == sorted(set(ends))
    assert {line["revision"] for line in lines} == {0}
    assert counted(lines) == count_windows(sorted(posts, key=lambda post: post.created_at), rules)


@pytest.mark.parametrize(
    ("disorder", "lateness", "some_late", "corrected"),
    [(0, 0, True, False), (30, 0, True, False), (30, 120, False, True), (600, 60, False, False)],
)
def test_as_is_counts_what_a_live_job_would_have_counted(
    replay: Replay,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    disorder: int,
    lateness: int,
    some_late: bool,
    corrected: bool,
) -> None:
    chance = random.Random(disorder)
    parts = {}
    for name in ("1.jsonl", "2.jsonl", "3.jsonl"):
        posts = sorted(some_posts(disorder + ord(name[0]), 1_200, 7_000), key=lambda post: post.created_at)
        jitter = {id(post): chance.random() * 150 for post in posts}
        posts.sort(key=lambda post: post.created_at.timestamp() + jitter[id(post)])
        parts[str(write(tmp_path / name, posts))] = posts
    rules = Rules(window=600, slide=60, disorder=disorder, lateness=lateness)
    arrivals = [
        Arrival(part, tuple(posts[first : first + 500]))
        for first in range(0, 1_500, 500)
        for part, posts in parts.items()
        if posts[first : first + 500]
    ]
    accepted, late = accept(arrivals, list(parts), rules)

    words = ["--as-is", "--window", "600", "--slide", "60", "--disorder", str(disorder), "--lateness", str(lateness)]
    lines = replay(*parts, *words)

    hashtags = sum(len(post.hashtags) for post in late)
    assert bool(hashtags) is some_late
    assert (f"{hashtags:,} hashtags came too late" in capsys.readouterr().err) is some_late
    assert counted(lines) == count_windows(accepted, rules)
    assert any(line["revision"] for line in lines) is corrected


def test_events_are_what_began_and_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """::

    minutes   0    10   20   30   40   50   60
    calm      ................................      two posts a second
    burst               #######                     one in two posts, another author each
    """
    posts = [
        post(
            second,
            second / 2,
            *([f"calm{second % 5}"] + (["burst"] if 1200 <= second // 2 < 1620 and second % 2 else [])),
            author=f"a{second % 2000}",
        )
        for second in range(2 * 3_600)
    ]
    events = tmp_path / "events.jsonl"
    file = write(tmp_path / "p.jsonl", posts)
    words = ["trends", "replay", str(file), "--window", "600", "--out", os.devnull, "--events", str(events)]
    assert main(words) == 0
    lines = [line for line in lines_of(events) if line["event"] != "changed"]
    assert [(line["event"], line["tag"]) for line in lines] == [("began", "burst"), ("ended", "burst")]
    assert set(lines[0]) == {"event", "tag", "at", "score", "count", "authors"}
    began, ended = (datetime.fromisoformat(line["at"]) for line in lines)
    assert NOON + timedelta(seconds=1200) < began < NOON + timedelta(seconds=1500)
    assert began < ended
    assert lines[0]["count"] >= lines[0]["authors"] > 8
    assert "1 trends began, 1 ended" in capsys.readouterr().err


def test_bad_records_are_counted_and_summed_up(
    replay: Replay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "p.jsonl"
    file.write_bytes(b"\n".join([record(post(1, 0, "a")), b"{broken", b'{"id": 1}', record(post(2, 5, "a"))]))
    assert len(replay(file, "--window", "10", "--slide", "10")) == 1
    summary = capsys.readouterr().err
    assert summary.startswith("4 records: 2 posts, 2 refused, 0 skipped, 0 deletions in ")
    assert "  refused not_json: 1\n" in summary
    assert summary.endswith("1 windows that end from 2026-03-01 12:00:10 to 2026-03-01 12:00:10 UTC; "
                            "0 trends began, 0 ended\n")  # fmt: skip


def test_files_of_every_format_with_a_mapping(replay: Replay, tmp_path: Path) -> None:
    csv = tmp_path / "p.csv"
    csv.write_bytes('nr,who,said,when\n1,me,"caf\xe9 #B\xfccher",03/01/26 12:00\n'.encode("cp1252"))
    mapping = ["id=nr", "text=said", "author=who", "created_at=when", 'date_formats=["%m/%d/%y %H:%M"]']
    words = [word for each in mapping for word in ("--set", f"decode.mapping.{each}")]
    lines = replay(
        csv, "--shape", "generic", "--window", "10", "--slide", "10", *words, "--set", "files.encoding=cp1252"
    )
    assert [line["top"] for line in lines] == [[{"tag": "bücher", "count": 1}]]


def test_dash_is_standard_output_and_holds_nothing_else(tmp_path: Path) -> None:
    file = write(tmp_path / "p.jsonl", [post(1, 0, "a")])
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "trends", "replay", str(file), "--out", "-", "--slide", "600"],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["top"] for line in done.stdout.splitlines()] == [[{"tag": "a", "count": 1}]] * 3


def test_nothing_at_all_makes_empty_files(replay: Replay, tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").touch()
    events = tmp_path / "events.jsonl"
    assert replay(tmp_path / "none.jsonl", "--events", str(events)) == []
    assert replay(tmp_path / "none.jsonl", "--events", str(events), "--as-is") == []
    assert events.read_bytes() == b""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["missing.jsonl", "--out", "-"], 2, "there is no file or folder 'missing.jsonl'"),
        (["/dev/null", "--out", "-"], 2, "/dev/null is no plain file"),
        (["{file}", "--out", "-", "--window", "0"], 2, "trends.window = 0"),
        (["{file}", "--out", "-", "--top", "-1"], 2, "trends.top = -1"),
        (["{file}", "--out", "-", "--slide", "60", "--window", "10"], 2, "slide"),
        (["{file}", "--out", "-", "--shape", "morse"], 2, "decode.shape = 'morse'"),
        (["{file}", "--out", "-", "--events", "-"], 2, "two places"),
        (["{file}", "--out", "-", "--plot", "x.txt"], 2, "a picture ends in .png"),
        (["{file}", "--out", "-", "--plot", "none/x.png"], 2, "there is no folder 'none'"),
        (["{file}", "--out", "none/x.jsonl"], 1, "No such file or directory"),
        (["{file}", "--out", "p.jsonl"], 2, "--out p.jsonl is also a file to be read and would be overwritten"),
        (["{file}", "--out", "-", "--events", "{file}"], 2, "is also a file to be read and would be overwritten"),
        (["{file}", "--out", "x", "--events", "../{folder}/x"], 2, "/x is also --out and would be overwritten"),
        (["{file}", "--out", "x.png", "--plot", "x.png"], 2, "--plot x.png is also --out"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_counted(
    words: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "p.jsonl", [post(1, 0, "a")])
    assert main(["trends", "replay", *(word.format(file=file, folder=tmp_path.name) for word in words)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]


def test_settings_before_and_behind_the_name_of_the_part_count_both(tmp_path: Path) -> None:
    file = write(tmp_path / "p.jsonl", [post(1, 0, "a")])
    out = tmp_path / "out.jsonl"
    (tmp_path / "g.toml").write_text("[trends]\nslide = 100\nwindow = 200\n")
    words = ["-c", str(tmp_path / "g.toml"), "--set", "trends.window=100"]
    assert main(["trends", *words, "replay", str(file), "--out", str(out), "--set", "trends.top=1"]) == 0
    assert len(lines_of(out)) == 1


def test_a_picture_is_drawn(replay: Replay, tmp_path: Path) -> None:
    file = write(tmp_path / "p.jsonl", some_posts(1, 2_000, 3_000))
    for name, magic in (("p.png", b"\x89PNG"), ("p.svg", b"<?xml"), ("p.pdf", b"%PDF")):
        replay(file, "--window", "600", "--slide", "60", "--plot", str(tmp_path / name), "--top", "2")
        assert (tmp_path / name).read_bytes().startswith(magic)


def test_without_a_hashtag_there_is_nothing_to_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "p.jsonl", [post(1, 0)])
    picture = tmp_path / "p.png"
    assert main(["trends", "replay", str(file), "--out", os.devnull, "--plot", str(picture)]) == 1
    assert "nothing to draw" in capsys.readouterr().err
    assert not picture.exists()


def test_only_who_draws_needs_matplotlib(tmp_path: Path) -> None:
    """Where it is not installed, a replay works and a picture is refused with what to do."""
    file = write(tmp_path / "p.jsonl", [post(1, 0, "a")])
    program = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, *rest):\n"
        "        return None if name.partition('.')[0] == 'matplotlib' else super().find_spec(name, *rest)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = Without\n"
        "from cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program, "trends", "replay", str(file), "--out", os.devnull, *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert run().returncode == 0
    refused = run("--plot", str(tmp_path / "p.png"))
    assert refused.returncode == 1
    assert refused.stderr == "groundswell: --plot needs matplotlib: pip install 'groundswell[plot]'\n"


def test_a_real_stream_is_counted_as_the_oracle_counts_it(replay: Replay, tmp_path: Path) -> None:
    """The minutes of a football match, from the CSV as it was published: decoding included."""
    root = shared_data("tweets_trend")
    if root is None:
        posts = some_posts(7, 2_000, 2_000)
        lines = replay(write(tmp_path / "p.jsonl", posts))
        posts.sort(key=lambda post: post.created_at)
    else:
        name = "soccer_2015/swaeve.csv.gz"
        posts = real_streams.load(root, name)
        mapping = ["id=timestamp", "text=text", "author=user", "created_at=timestamp"]
        words = [word for each in mapping for word in ("--set", f"decode.mapping.{each}")]
        lines = replay(root / name, "--shape", "generic", *words)
        # The file has no ids: two posts of one moment are taken for one.
        posts = [Post(str(p.created_at.timestamp()), "x", p.text, p.created_at, hashtags=p.hashtags) for p in posts]
    assert counted(lines) == count_windows(posts, Rules())
