"""The topics that are active now, in Redis: who re-reads documents puts them there, who scores fresh posts takes them.

::

    reclassify ── put ──▶ topics:active ── topics ──▶ posts (each process)
        ▲                                                │
        └───── reports ◀── topics:known:<process> ◀── report
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeVar, cast
from uuid import uuid4

import msgspec
import redis

from connectors.redis_client import translated
from groundswell import redis_keys
from groundswell.topics import Progress, Topic, TopicsKnown

_LOG = logging.getLogger("groundswell.topics")

#: A topic gives way to one that was made later, or again; of two times, the texts compare as the times do.
#: KEYS: topics, stamp. ARGV: tag, JSON, time it was made, new stamp.
_PUT: Final = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known and cjson.decode(known).made > ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[4])
return 1
"""
#: KEYS: topics, stamp. ARGV: tag, time up to which a topic goes, new stamp.
_REMOVE: Final = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known or cjson.decode(known).made > ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[3])
return 1
"""

T = TypeVar("T")


class _Entry(msgspec.Struct, frozen=True):
    """``made`` is the topic's time as a text that sorts like it."""

    made: str
    topic: Topic


class TopicBoard:
    """Topics, reports and progress below ``prefix``; a report lives for ``lifetime`` seconds.

    Everything raises :class:`~groundswell.errors.Unavailable` when Redis does not answer and
    :class:`~groundswell.errors.StopJob` when it never will.
    """

    def __init__(
        self,
        client: redis.Redis,
        prefix: str = "",
        *,
        lifetime: float = 15.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._lifetime = lifetime
        self._clock = clock
        self._topics = prefix + redis_keys.TOPICS_ACTIVE
        self._stamp = prefix + redis_keys.TOPICS_STAMP
        self._progress = prefix + redis_keys.TOPICS_PROGRESS
        self._known = prefix + redis_keys.TOPICS_KNOWN
        self._readers = prefix + redis_keys.TOPICS_READERS

    def put(self, topic: Topic) -> bool:
        """Have fresh posts scored against the topic; ``False`` where a newer one of its tag is there."""
        made = _sortable(topic.at)
        entry = msgspec.json.encode(_Entry(made, topic))
        return self._changed(_PUT, [topic.tag, entry, made, uuid4().hex])

    def remove(self, tag: str, until: datetime) -> bool:
        """Score no more fresh posts by a tag, unless its topic was made after ``until``."""
        return self._changed(_REMOVE, [tag, _sortable(until), uuid4().hex])

    def stamp(self) -> str:
        """A text that is another one after every change of the topics."""
        with translated():
            return cast("str | None", self._client.get(self._stamp)) or ""

    def topics(self) -> tuple[str, dict[str, Topic]]:
        """The stamp, and the topics by their tags as of that moment."""
        with translated():
            both = self._client.pipeline(transaction=True)
            both.get(self._stamp)
            both.hgetall(self._topics)
            stamp, values = both.execute()
        entries = {tag: _decoded(value, _Entry) for tag, value in values.items()}
        return stamp or "", {tag: entry.topic for tag, entry in entries.items() if entry is not None}

    def report(self, reader: str, known: TopicsKnown) -> None:
        """Say what one process scores fresh posts against."""
        now = self._clock()
        with translated():
            together = self._client.pipeline(transaction=True)
            together.set(self._known + reader, msgspec.json.encode(known), px=int(self._lifetime * 1000))
            together.zadd(self._readers, {reader: now + self._lifetime})
            together.zremrangebyscore(self._readers, "-inf", now - self._lifetime)
            together.execute()

    def leave(self, reader: str) -> None:
        """A process scores no more posts."""
        with translated():
            together = self._client.pipeline(transaction=True)
            together.unlink(self._known + reader)
            together.zrem(self._readers, reader)
            together.execute()

    def reports(self) -> dict[str, TopicsKnown]:
        """What each process said, as long as its word holds."""
        with translated():
            readers = cast("list[str]", self._client.zrange(self._readers, 0, -1))
            values = self._client.mget([self._known + reader for reader in readers]) if readers else []
        found = {
            reader: _decoded(value, TopicsKnown)
            for reader, value in zip(readers, cast("list[str | None]", values), strict=True)
            if value is not None
        }
        return {reader: known for reader, known in found.items() if known is not None}

    def put_progress(self, progress: Mapping[str, Progress]) -> None:
        """Say how far re-reading has come, by tag."""
        if progress:
            with translated():
                self._client.hset(
                    self._progress, mapping={tag: msgspec.json.encode(each) for tag, each in progress.items()}
                )

    def progress(self) -> dict[str, Progress]:
        """How far re-reading has come, by tag."""
        with translated():
            values = cast("dict[str, str]", self._client.hgetall(self._progress))
        found = {tag: _decoded(value, Progress) for tag, value in values.items()}
        return {tag: each for tag, each in found.items() if each is not None}

    def forget_progress(self, tag: str) -> None:
        """Drop what was said of a tag."""
        with translated():
            self._client.hdel(self._progress, tag)

    def _changed(self, script: str, arguments: list[str | bytes]) -> bool:
        with translated():
            return bool(self._client.eval(script, 2, self._topics, self._stamp, *arguments))


def _sortable(at: datetime) -> str:
    """UTC, always with its microseconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")


def _decoded(value: str, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.DecodeError as error:
        _LOG.warning("a %s in Redis was written by another version of groundswell: %s", kind.__name__, error)
        return None
