"""What the trends engine left in Redis, for people and jobs that ask for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import redis

from connectors.redis_client import translated
from groundswell import redis_keys
from groundswell.trends import TagCount, Trend, TrendEvent, Window

_LOG = logging.getLogger("groundswell.trends")

#: Before every change.
BEGINNING = "0-0"

T = TypeVar("T")


class Change(msgspec.Struct, frozen=True):
    """An event of a trend, without sample posts, and where it stands in the stream of changes."""

    id: str
    event: TrendEvent


class TrendsNow(msgspec.Struct, frozen=True):
    """One look: the newest window (``None`` before the first), what trends, and windows up to the newest.

    ``active`` goes by score, the highest first, without sample posts; ``history`` by window
    end, the newest last. ``last_id`` is the place of the newest change, from which
    :meth:`TrendReader.changes` goes on.
    """

    window: Window | None
    active: tuple[Trend, ...]
    history: tuple[Window, ...]
    last_id: str


class TrendReader:
    """Reads what a job writes with the same ``prefix``.

    Everything raises :class:`~groundswell.errors.Unavailable` when Redis does not answer and
    :class:`~groundswell.errors.StopJob` when it never will.
    """

    def __init__(self, client: redis.Redis, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix

    def now(self, history: int = 0) -> TrendsNow:
        """Everything as of one moment, and the last ``history`` windows.

        The windows are fetched after it by their ends: one that expired in between is left out.
        """
        with translated():
            # Together, so that window and counts are of one write.
            together = self._client.pipeline(transaction=True)
            together.hmget(self._key(redis_keys.TRENDS_FENCE), ["generation", "newest"])
            together.zrange(self._key(redis_keys.HASHTAGS), 0, -1, withscores=True)
            together.hgetall(self._key(redis_keys.TRENDS_ACTIVE))
            together.xrevrange(self._key(redis_keys.TRENDS_CHANGES), count=1)
            if history > 0:
                together.zrange(self._key(redis_keys.WINDOWS), -history, -1)
            (generation, newest), hashtags, active, last, *ends = together.execute()
        window = None
        if generation and newest:
            end, revision, size, error = map(int, newest.split())
            window = Window(int(generation), end, revision, size, _top(hashtags), error)
        trends = [trend for value in active.values() if (trend := _decoded(value, Trend)) is not None]
        return TrendsNow(
            window,
            tuple(sorted(trends, key=lambda trend: (-trend.score, trend.tag))),
            tuple(self.windows([int(end) for end in ends[0]])) if ends else (),
            last[0][0] if last else BEGINNING,
        )

    def windows(self, ends: Sequence[int]) -> list[Window]:
        """The windows with these ends that are still there, in this order."""
        if not ends:
            return []
        with translated():
            fetch = self._client.pipeline(transaction=False)
            for end in ends:
                fetch.get(self._key(f"{redis_keys.WINDOW_FENCE}{end}"))
                fetch.zrange(self._key(f"{redis_keys.WINDOW}{end}"), 0, -1, withscores=True)
            answers = fetch.execute()
        found = []
        for end, fence, counts in zip(ends, answers[::2], answers[1::2], strict=True):
            if fence is not None:
                generation, revision, size, error = map(int, fence.split())
                found.append(Window(generation, end, revision, size, _top(counts), error))
        return found

    def changes(self, after: str = BEGINNING, *, limit: int = 1000, wait_seconds: float = 0.0) -> list[Change]:
        """At most ``limit`` changes after the place ``after``, the oldest first.

        Waits up to ``wait_seconds`` for the first one, which must be less than the client's timeout.
        """
        while entries := self._entries_after(after, limit, wait_seconds):
            changes = [change for place, fields in entries if (change := _change(place, fields)) is not None]
            if changes:
                return changes
            after = entries[-1][0]
        return []

    def last(self, trend_id: str) -> TrendEvent | None:
        """The last event of a trend that had sample posts, with them; for an hour longer than it trends."""
        with translated():
            value = self._client.get(self._key(redis_keys.TREND + trend_id))
        return None if value is None else _decoded(str(value), TrendEvent)

    def _entries_after(self, place: str, limit: int, wait_seconds: float) -> list[tuple[str, dict[str, str]]]:
        # 0 would mean: without end.
        block = max(1, int(wait_seconds * 1000)) if wait_seconds > 0 else None
        with translated():
            answer: Any = self._client.xread({self._key(redis_keys.TRENDS_CHANGES): place}, count=limit, block=block)
        if isinstance(answer, dict):  # the client's newer protocol
            return [entry for batches in answer.values() for batch in batches for entry in batch]
        return [entry for _, batch in answer or () for entry in batch]

    def _key(self, name: str) -> str:
        return self._prefix + name


def _top(counts: Sequence[tuple[str, float]]) -> tuple[TagCount, ...]:
    found = [TagCount(tag, int(count)) for tag, count in counts]
    return tuple(sorted(found, key=lambda each: (-each.count, each.tag)))


def _change(place: str, fields: dict[str, str]) -> Change | None:
    event = _decoded(fields.get("data", ""), TrendEvent)
    return None if event is None else Change(place, event)


def _decoded(value: str, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.DecodeError as error:
        _LOG.warning("a %s in Redis was written by another version of groundswell: %s", kind.__name__, error)
        return None
