"""``groundswell topics``: the board and what the store holds, on a real Redis and both stores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.main import main
from connectors.configuration import load_settings
from connectors.embedded_redis import EmbeddedRedis
from connectors.redis_client import connect
from connectors.redis_topics import TopicBoard
from connectors.redis_trends import RedisTrendStore
from dataflows import assembly
from groundswell.records import document_id
from groundswell.topics import Progress, Topic
from groundswell.trends import Trend, TrendEvent
from groundswell.waits import Waits
from tests.connectors.documents import envelope, write
from tests.connectors.topics import declare, judged

NOW = datetime.now(UTC)
Topics = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["embedded and sqlite", pytest.param("real and elasticsearch", marks=pytest.mark.stack)])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    if request.param.startswith("real"):
        server = request.getfixturevalue("elasticsearch")
        redis = request.getfixturevalue("redis")
        yield [
            f"redis.url={redis.url}",
            "redis.prefix=blue:",
            f"documents.url={server.url}",
            f"documents.alias={server.prefix()}posts",
        ]
        return
    with EmbeddedRedis(tmp_path):
        yield [f"job.data_dir={tmp_path}", "redis.prefix=blue:", f"documents.url=sqlite:///{tmp_path}/posts.db"]


@pytest.fixture
def board(options: list[str], tmp_path: Path) -> TopicBoard:
    return TopicBoard(connect(address(options, tmp_path)), "blue:")


def address(options: list[str], tmp_path: Path) -> str:
    url = options[0].partition("=")[2]
    return url if url.startswith("redis:") else (tmp_path / "redis" / "address").read_text()


@pytest.fixture
def topics(options: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Topics:
    monkeypatch.setenv("COLUMNS", "200")
    store = assembly.open_documents(load_settings(overrides=options, environment={}), Waits())
    store.prepare()
    declare(store, "flood", "storm")
    write(
        store,
        envelope(1, "the [bold]river\x1b[31m is high", hashtags=("flood",), classification={"flood": judged(0.97)}),
        envelope(2, "my street is under water", classification={"flood": judged(0.8), "storm": judged(0.2)}),
        envelope(3, "what a good day", classification={"flood": judged(0.1)}),
        envelope(4, "coffee"),
    )
    store.close()

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["topics", *words, *(word for option in options for word in ("--set", option))])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def flood(**fields: object) -> Topic:
    given: dict[str, object] = {
        "words": (("river", 9.0), ("street", 4.5)),
        "vocabulary": {"river": 3.0},
        "posts": 20,
        "steps": ("only 20 different posts were collected",),
        "model": "topic-evidence@1",
        **fields,
    }
    return Topic("flood/1", "flood", NOW, "flood", "flood: river, street", **given)  # type: ignore[arg-type]


def test_each_topic_has_its_label_its_counts_and_its_best_documents(
    topics: Topics, board: TopicBoard, options: list[str], tmp_path: Path
) -> None:
    board.put(flood())
    board.put(Topic("storm", "storm", NOW - timedelta(minutes=5), "storm", "storm"))
    began = NOW - timedelta(seconds=10)
    board.put_progress({"flood": Progress("flood/1", "all documents", began, NOW, 200, 3, 2, 1, 50)})
    since = (NOW - timedelta(hours=2)).replace(microsecond=0)
    trends = RedisTrendStore(connect(address(options, tmp_path)), Waits(), prefix="blue:")
    trends.prepare()
    trends.write(
        [],
        [TrendEvent(1, "began", NOW, 0, Trend("flood/1", "flood", "Flood", since, 9.0, 20, 20, 20))],
        lambda: True,
    )
    trends.close()
    code, out, err = topics("--json")
    first, second = (json.loads(line) for line in out.splitlines())
    assert (code, err) == (0, "")
    best = first.pop("best")
    assert [(each["id"], each["score"], each["tagged"]) for each in best] == [
        (document_id("test", "1"), 0.97, True),
        (document_id("test", "2"), 0.8, False),
        (document_id("test", "3"), 0.1, False),
    ]
    assert {key: first[key] for key in ("tag", "label", "words", "field", "by_hand", "posts", "scored", "members")} == {
        "tag": "flood",
        "label": "flood: river, street",
        "words": ["river", "street"],
        "field": "classification_flood",
        "by_hand": False,
        "posts": 20,
        "scored": 3,
        "members": 2,
    }
    assert datetime.fromisoformat(first["since"]) == since
    assert first["progress"]["examined"] == 200
    assert (second["tag"], second["by_hand"], second["scored"], second["members"]) == ("storm", True, 1, 0)
    code, out, _ = topics("--best", "1")
    lines = out.splitlines()
    assert lines[0].rstrip() == "#flood  flood: river, street"
    assert " UTC, 2h" in lines[1]
    assert lines[1].endswith("; described from 20 posts")
    assert [line.strip() for line in lines[2:6]] == [
        "3 documents scored, 2 about it",
        "all documents: 200 candidates read, 20/s, 50 left, 1 judged",
        "words: river, street",
        "step: only 20 different posts were collected",
    ]
    assert lines[6].split() == ["0.970", "#", *lines[6].split()[2:4], "the", "[bold]river\ufffd[31m", "is", "high"]
    assert "asked for by hand since" in lines[9]
    assert "described without posts" in lines[9]
    assert lines[11].strip() == "re-reading has not begun"


def test_with_no_topic_it_says_what_documents_were_scored_by(topics: Topics) -> None:
    assert topics() == (1, "no topic is active\n", "documents have been scored by: #flood, #storm\n")
    assert topics("--json")[:2] == (1, "")


def test_a_tag_that_was_refused_says_why(topics: Topics, board: TopicBoard) -> None:
    board.put_progress({"quake": Progress("quake/1", "refused", NOW, NOW, refused="100 labels are live already")})
    code, out, err = topics()
    assert (code, out) == (1, "no topic is active\n")
    assert "#quake trends, and documents are not scored by it: 100 labels are live already" in err


def test_a_topic_whose_field_is_not_there_yet_has_nothing(topics: Topics, board: TopicBoard) -> None:
    board.put(Topic("quake/1", "quake", NOW, "quake", "quake"))
    code, out, _ = topics("--json")
    found = json.loads(out)
    assert (code, found["scored"], found["members"], found["best"]) == (0, 0, 0, [])


def test_without_redis_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for override, said in (
        ("redis.url=", "redis.url is empty, so no topics are kept there"),
        (f"job.data_dir={tmp_path}", "redis"),
        ("redis.url=redis://127.0.0.1:9", "redis"),
    ):
        assert main(["topics", "--set", override]) == 1
        assert said in capsys.readouterr().err.lower()
    assert main(["topics", "--best", "-1", "--set", "redis.url="]) == 2
