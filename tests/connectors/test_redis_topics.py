"""The board of active topics: the same on a real server and on the embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.embedded_redis import EmbeddedRedis
from connectors.redis_client import connect
from connectors.redis_topics import TopicBoard
from groundswell import redis_keys
from groundswell.errors import Unavailable
from groundswell.topics import Progress, Topic, TopicsKnown
from tests.conftest import RedisDatabase
from tests.waiting import wait_until

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)


def topic(tag: str = "flood", seconds: float = 0.0, phrase: str = "flood") -> Topic:
    return Topic(f"{tag}/1", tag, NOON + timedelta(seconds=seconds), phrase, f"{phrase}: river", (("river", 2.5),))


@pytest.fixture(params=["real", "embedded"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "real":
        database: RedisDatabase = request.getfixturevalue("redis")
        yield database.url
        return
    with EmbeddedRedis(tmp_path) as server:
        yield server.url


@pytest.fixture
def board(url: str) -> TopicBoard:
    return TopicBoard(connect(url))


def test_without_any_topic_there_is_no_stamp(board: TopicBoard) -> None:
    assert board.stamp() == ""
    assert board.topics() == ("", {})
    assert board.reports() == {}
    assert board.progress() == {}


def test_what_was_put_is_there_under_a_new_stamp(board: TopicBoard) -> None:
    assert board.put(topic())
    first = board.stamp()
    assert board.put(topic("выборы"))
    stamp, topics = board.topics()
    assert stamp == board.stamp() != first
    assert topics == {"flood": topic(), "выборы": topic("выборы")}


@pytest.mark.parametrize("seconds", [0.000001, 0.5, 1.0, 86_400.0])
def test_an_older_topic_never_replaces_a_newer_one(board: TopicBoard, seconds: float) -> None:
    newer = topic(seconds=seconds, phrase="floods")
    assert board.put(newer)
    stamp = board.stamp()
    assert not board.put(topic())
    assert not board.remove("flood", NOON)
    assert board.topics() == (stamp, {"flood": newer})
    assert board.put(newer), "the same once more is harmless"
    assert board.remove("flood", newer.at)
    assert not board.remove("flood", newer.at)
    assert board.topics()[1] == {}
    assert board.stamp() not in ("", stamp)


def test_prefixes_keep_boards_apart(url: str) -> None:
    one, other = TopicBoard(connect(url), "{one}:"), TopicBoard(connect(url), "{other}:")
    one.put(topic())
    assert other.topics() == ("", {})


def test_processes_say_what_they_know_until_their_word_expires(url: str) -> None:
    board = TopicBoard(connect(url), lifetime=0.4)
    lasting = TopicBoard(connect(url), lifetime=60.0)
    known = TopicsKnown({"flood": NOON}, {"flood": NOON + timedelta(seconds=1)}, NOON + timedelta(seconds=2))
    board.report("posts:1", known)
    lasting.report("posts:0", known)
    assert board.reports() == {"posts:0": known, "posts:1": known}
    wait_until(lambda: board.reports() == {"posts:0": known}, 5, "the word of posts:1 to expire")
    lasting.leave("posts:0")
    assert board.reports() == {}


def test_progress_is_told_by_tag(board: TopicBoard) -> None:
    progress = Progress("flood/1", "all documents", NOON, NOON, examined=1_000, scored=20, members=7, left=3_000)
    board.put_progress({"flood": progress})
    board.put_progress({})
    assert board.progress() == {"flood": progress}
    board.forget_progress("flood")
    assert board.progress() == {}


def test_what_another_release_wrote_is_passed_over(
    url: str, board: TopicBoard, caplog: pytest.LogCaptureFixture
) -> None:
    board.put(topic())
    connect(url).hset(redis_keys.TOPICS_ACTIVE, "storm", '{"made": "2026", "topic": 7}')
    assert set(board.topics()[1]) == {"flood"}
    assert "another version" in caplog.text


def test_a_server_that_is_gone_is_named(redis: RedisDatabase) -> None:
    board = TopicBoard(connect(redis.url, timeout=0.5, retries=0))
    board.put(topic())
    redis.stop()
    with pytest.raises(Unavailable):
        board.topics()
    with pytest.raises(Unavailable):
        board.put(topic())
