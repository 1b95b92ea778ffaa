"""Posts sorted by time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from groundswell.records import Batch, Deletion, Envelope, Geo, Mark, Origin, Post
from operators.sorted_posts import SortedPosts

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def batch_of(posts: list[Post]) -> Batch:
    changes: list[Envelope | Deletion] = [
        Envelope(Origin("f", 0, number), b"raw", post) for number, post in enumerate(posts)
    ]
    return Batch("f", 0, len(posts), 0, changes, [], Counter())


@given(
    times=st.lists(st.integers(0, 10_000_000), max_size=60),
    cut=st.integers(1, 20),
    size=st.integers(1, 20),
)
def test_they_come_by_time_and_those_of_one_time_as_they_came(times: list[int], cut: int, size: int) -> None:
    # Microseconds far from 1970: neighbours must not be taken for equal.
    posts = [Post(str(number), "s", "t", NOON + timedelta(microseconds=us // 3)) for number, us in enumerate(times)]
    held = SortedPosts()
    for first in range(0, len(posts), cut):
        held.add(batch_of(posts[first : first + cut]))
    assert len(held) == len(posts)

    *batches, last = held.batches("p", size)

    given_back = [change.post for batch in batches for change in batch.changes if isinstance(change, Envelope)]
    assert given_back == sorted(posts, key=lambda post: post.created_at)
    assert all(batch.records == len(batch.changes) <= size and batch.part == "p" for batch in batches)
    assert (last.part, last.records, last.mark) == ("p", 0, Mark(ended=True))


def test_nothing_of_a_post_is_lost() -> None:
    post = Post(
        "1", "s", "zażółć 👍", NOON, "me", "pl", ("a", "ß"), "http://x", "0", "9", Geo(1.5, -2.0), ("original",)
    )
    held = SortedPosts()
    held.add(batch_of([post]))
    held.add(Batch("f", 0, 1, 0, [Deletion("s", "1")], [], Counter()))
    first, _ = held.batches("p", 10)
    (envelope,) = first.changes
    assert isinstance(envelope, Envelope)
    assert (envelope.post, envelope.raw) == (post, b"")
