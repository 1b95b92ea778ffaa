"""Posts at hand for the evidence of tags: those that the window has yet to reach, and the last ones that it has.

What is collected of a tag in a window must not hold posts from behind its end, however
far ahead a partition has come, or a whole file was read at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from groundswell.records import Post
from operators.tag_events import Keys, TagEvents, by_pane

#: Occurrences held for panes to come; beyond that the earliest are taken as if their pane had come.
_AHEAD: Final = 65_536
#: Occurrences of panes that have come, for tags that are watched from now on.
_BEHIND: Final = 2_048


class Occurrences(NamedTuple):
    """Tags with the posts that carry them, and the posts' keys, in parallel."""

    tags: list[str]
    posts_of: Keys
    posts: list[Post]


class RecentPosts:
    """Occurrences by pane. Nothing of it is kept for recovery: it is at hand again in moments."""

    def __init__(self, ahead: int = _AHEAD, behind: int = _BEHIND) -> None:
        self._most_ahead = ahead
        self._most_behind = behind
        self._ahead: dict[int, list[Occurrences]] = {}
        self._ahead_count = 0
        self._first: int | None = None
        self._behind: deque[Occurrences] = deque()
        self._behind_count = 0

    def arrive(self, message: TagEvents) -> None:
        """Take the occurrences of a message."""
        for pane, rows in by_pane(message.panes):
            if rows is None:
                self._put(pane, Occurrences(message.tags, message.posts_of, message.posts))
            else:
                tags = [message.tags[row] for row in rows.tolist()]
                posts = [message.posts[row] for row in rows.tolist()]
                self._put(pane, Occurrences(tags, message.posts_of[rows], posts))

    def come(self, position: int) -> list[Occurrences]:
        """The occurrences of panes before ``position`` that had not come yet, the earliest first."""
        came: list[Occurrences] = []
        while self._first is not None and self._first < position:
            came += self._take_first(self._first)
        return came

    def beyond_room(self) -> list[Occurrences]:
        """The earliest, as if their pane had come, where more are ahead than are held."""
        came: list[Occurrences] = []
        while self._first is not None and self._ahead_count > self._most_ahead:
            came += self._take_first(self._first)
        return came

    def _take_first(self, first: int) -> list[Occurrences]:
        came = self._ahead.pop(first)
        self._first = min(self._ahead, default=None)
        self._ahead_count -= sum(len(occurrences.tags) for occurrences in came)
        for occurrences in came:
            self._behind.append(occurrences)
            self._behind_count += len(occurrences.tags)
        while self._behind_count > self._most_behind and len(self._behind) > 1:
            self._behind_count -= len(self._behind.popleft().tags)
        return came

    def of(self, tag: str) -> Iterator[tuple[int, Post]]:
        """The key and the post of each occurrence of a tag among the last that have come."""
        for occurrences in self._behind:
            if tag in occurrences.tags:
                for row, name in enumerate(occurrences.tags):
                    if name == tag:
                        yield int(occurrences.posts_of[row]), occurrences.posts[row]

    def _put(self, pane: int, occurrences: Occurrences) -> None:
        self._ahead.setdefault(pane, []).append(occurrences)
        self._ahead_count += len(occurrences.tags)
        self._first = pane if self._first is None else min(self._first, pane)
