"""Spreading tags over shards, and what a partition says of time."""

from __future__ import annotations

import pickle
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from groundswell.records import Batch, Deletion, Envelope, Mark, Origin, Post
from operators.tag_events import TagEvents, TagSpreader, shard_key, shard_of
from operators.trend_options import TrendOptions

_NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)


class _Clock:
    def __init__(self) -> None:
        self.now = _NOON

    def __call__(self) -> datetime:
        return self.now


def _batch(part: str, *posts: Post, records: int | None = None) -> Batch:
    changes: list[Envelope | Deletion] = [Envelope(Origin("s", 0, 0), b"", post) for post in posts]
    return Batch("s", 0, len(posts) if records is None else records, 0, changes, [], Counter(), part=part)


def _post(name: str, *tags: str, at: float = 0.0, author: str | None = "ann", original: tuple[str, ...] = ()) -> Post:
    return Post(name, "s", "text", _NOON + timedelta(seconds=at), author, hashtags=tags, original_hashtags=original)


def _by_tag(messages: list[tuple[str, TagEvents]]) -> dict[str, tuple[str, int, int]]:
    """Each tag with its shard's key, its pane and its author's hash."""
    return {
        tag: (key, int(message.panes[row]), int(message.authors[row]))
        for key, message in messages
        for row, tag in enumerate(message.tags)
    }


def test_every_shard_hears_of_time_and_of_its_own_tags_only() -> None:
    messages = TagSpreader(TrendOptions(), _Clock()).spread([_batch("p", _post("1", "ash", "birch", at=-25))])
    assert len(messages) == 16
    assert all(message.segments[0].newest == _NOON.timestamp() - 25 for _, message in messages)
    found = _by_tag(messages)
    assert {tag: key for tag, (key, _, _) in found.items()} == {
        tag: shard_key(shard_of(tag)) for tag in ("ash", "birch")
    }
    assert {pane for _, pane, _ in found.values()} == {int(_NOON.timestamp() - 25) // 10}


def test_a_repost_brings_the_tags_of_its_original_if_wanted() -> None:
    batch = _batch("p", _post("1", "ash", original=("ash", "birch")))
    for wanted, tags in ((True, {"ash", "birch"}), (False, {"ash"})):
        assert _by_tag(TagSpreader(TrendOptions(count_original=wanted), _Clock()).spread([batch])).keys() == tags


def test_a_post_without_an_author_is_its_own_and_marked() -> None:
    spreader = TagSpreader(TrendOptions(), _Clock())
    batch = _batch("p", _post("1", "a"), _post("2", "b"), _post("3", "c", author=None), _post("4", "d", author=None))
    authors = {tag: author for tag, (_, _, author) in _by_tag(spreader.spread([batch])).items()}
    assert authors["a"] == authors["b"]
    assert len({authors["a"], authors["c"], authors["d"]}) == 3
    assert [authors[tag] & 1 for tag in "abcd"] == [0, 0, 1, 1]


def test_a_post_from_the_future_moves_time_no_further_than_now() -> None:
    messages = TagSpreader(TrendOptions(disorder=10.0), _Clock()).spread([_batch("p", _post("1", "ash", at=7_200))])
    # The watermark lies the disorder behind it: at the clock.
    assert messages[0][1].segments[0].newest == _NOON.timestamp() + 10
    assert _by_tag(messages)["ash"][1] == int(_NOON.timestamp() + 7_200) // 10


def test_what_came_before_a_post_in_its_batch_is_told_with_it() -> None:
    batch = _batch("p", *(_post(str(number), "ash", at=at) for number, at in enumerate((-50, -20, -40, -10))))
    messages = TagSpreader(TrendOptions(), _Clock()).spread([batch])
    message = next(message for _, message in messages if message.tags)
    assert (message.before - _NOON.timestamp()).tolist() == [float("-inf"), -50.0, -20.0, -20.0]
    assert np.array_equal(message.segment, np.zeros(4))


def test_a_partition_of_deletions_alone_comes_to_hold_nobody_up() -> None:
    #   records   post  del   del   del          post
    #   clock     0 s   20 s  31 s  31 s (full)  40 s
    clock = _Clock()
    spreader = TagSpreader(TrendOptions(idle_timeout=30.0), clock)
    spreader.spread([_batch("p", _post("1", "ash"))])

    def after(seconds: float, batch: Batch) -> Mark | str | None:
        clock.now = _NOON + timedelta(seconds=seconds)
        messages = spreader.spread([batch])
        return messages[0][1].segments[0].mark if messages else "silence"

    assert after(20, _batch("p", records=3)) == "silence"
    assert after(31, _batch("p", records=3)) == Mark(idle_for=31.0)
    assert after(31, _batch("p", records=500)) == "silence"
    assert after(40, _batch("p", _post("2", "ash"))) is None
    assert after(69, _batch("p", records=3)) == "silence"


@pytest.mark.parametrize("name", ["1", "\ud83d"])
def test_a_message_is_the_same_in_another_process(name: str) -> None:
    batch = _batch("p", _post(name, "ash", "Ω"), _post("2", "ash", author=None, original=("ash",)))
    for key, message in TagSpreader(TrendOptions(), _Clock()).spread([batch]):
        again = pickle.loads(pickle.dumps(message))  # noqa: S301 (made here)
        assert (again.tags, list(again.posts), again.segments) == (
            message.tags,
            list(message.posts),
            message.segments,
        ), key
        assert np.array_equal(again.posts_of, message.posts_of)
