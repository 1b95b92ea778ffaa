"""Posts at hand: those of panes to come wait, and no more of them than there is room for."""

from __future__ import annotations

import numpy as np

from operators.recent_posts import Occurrences, RecentPosts
from operators.tag_events import TagEvents
from tests.trends.streams import post


def _message(*panes: int) -> TagEvents:
    """One post with one tag in each pane."""
    count = len(panes)
    return TagEvents(
        segments=(),
        tags=["ash"] * count,
        panes=np.array(panes, np.int64),
        posts_of=np.array(panes, np.uint64),
        authors=np.zeros(count, np.uint32),
        segment=np.zeros(count, np.int64),
        before=np.zeros(count),
        stream={},
        posts=[post(float(pane), "ash") for pane in panes],
        background=[],
    )


def _keys(came: list[Occurrences]) -> list[int]:
    return [key for occurrences in came for key in occurrences.posts_of.tolist()]


def test_posts_come_with_their_panes() -> None:
    posts = RecentPosts()
    posts.arrive(_message(3, 1, 2, 1))
    assert (_keys(posts.come(1)), _keys(posts.come(3)), _keys(posts.come(9))) == ([], [1, 1, 2], [3])
    assert [key for key, _ in posts.of("ash")] == [1, 1, 2, 3]


def test_of_too_many_to_come_the_earliest_are_taken_as_if_they_had() -> None:
    """While a partition that does not answer holds event time back, the others may bring any number."""
    posts = RecentPosts(ahead=5, behind=3)
    taken = []
    for pane in range(20):
        posts.arrive(_message(pane))
        taken += _keys(posts.beyond_room())
    assert taken == list(range(15))
    assert [key for key, _ in posts.of("ash")] == [12, 13, 14]
