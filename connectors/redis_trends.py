"""Windows and trends in Redis, for people, dashboards and other jobs.

What lies there at most: ``window_ttl / slide`` windows of ``top`` tags each, however fast
history is replayed; the trends that are active and those that ended within the last hour, up
to a megabyte each with their sample posts (some 60 kB with 300 short posts); ``changes``
entries of the stream, a kilobyte or two each (a few more: Redis trims whole nodes); and the
fences of the events of the last ``horizon`` seconds of event time, 200 bytes each.

The server must not evict keys without a time to live (``noeviction`` or a ``volatile-``
policy): a fence that is gone lets an old write through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import redis
from redis.exceptions import NoPermissionError, NoScriptError

from connectors import redis_trend_scripts as scripts
from connectors.patience import Patience
from connectors.redis_address import has_hash_tag
from connectors.redis_client import CLUSTER_ADVICE, REDIS, is_cluster_client, translated
from connectors.trend_json import encode_trend, encode_within, plain
from connectors.trend_store import KeepWaiting
from groundswell import redis_keys
from groundswell.errors import SettingsError, Unavailable
from groundswell.trends import TrendEvent, Window
from groundswell.waits import Waits

#: How long the sample posts of an ended trend are kept, in seconds.
_ENDED_TTL = 3600
#: Most bytes of a trend with its sample posts, and of an entry of the stream.
_TREND_BYTES = 1_048_576
_CHANGE_BYTES = 65_536
#: A pipeline is sent when it holds so many calls or bytes.
_CALLS = 500
_BYTES = 1_000_000


class _Call:
    """A script with its keys and arguments."""

    def __init__(self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> None:
        self.script = script
        self.keys = keys
        self.arguments = arguments

    @property
    def size(self) -> int:
        """Roughly its bytes on the wire."""
        return sum(len(each) if isinstance(each, str | bytes) else 20 for each in self.arguments)


class RedisTrendStore:
    """Writes atomically per window and per event; each write is fenced (:mod:`connectors.redis_trend_scripts`).

    ``window_ttl`` is how long a window is kept in seconds, by the clock and by event time
    alike. ``horizon`` is how far back in event time an event may still be told again or
    corrected, in seconds; it must exceed the size of the window plus disorder and lateness.
    ``changes`` are the entries of the stream that are kept.
    """

    name = REDIS

    def __init__(
        self,
        client: redis.Redis,
        waits: Waits,
        *,
        prefix: str = "",
        window_ttl: int = 86_400,
        horizon: int = 7_200,
        changes: int = 10_000,
    ) -> None:
        self._client = client
        self._waits = waits
        self._prefix = prefix
        self._window_ttl = window_ttl
        self._horizon = horizon
        self._changes = changes
        # In the order in which the scripts take them.
        self._state = self._keys(redis_keys.TRENDS_FENCE, redis_keys.TRENDS_FENCE_AGES, redis_keys.TRENDS_ACTIVE)
        self._fence = self._state[0]
        self._hashtags, self._windows, self._stream = self._keys(
            redis_keys.HASHTAGS, redis_keys.WINDOWS, redis_keys.TRENDS_CHANGES
        )

    def prepare(self) -> None:
        """Ask whether the server answers, and whether it belongs to a cluster.

        Raises ``Unavailable``, ``StopJob``, and ``SettingsError`` for a cluster over which
        the keys would be spread: a script sees those of one slot only.
        """
        with translated():
            clustered = is_cluster_client(self._client)
            self._client.ping()
            if not clustered:
                try:
                    clustered = bool(self._client.info("cluster").get("cluster_enabled"))
                except NoPermissionError:
                    # Not every user may ask. Were it a cluster, the first write would say so.
                    return
                if clustered:
                    raise SettingsError(f"the Redis of redis.url belongs to a cluster: {CLUSTER_ADVICE}")
        if clustered and not has_hash_tag(self._prefix):
            raise SettingsError(f"redis.prefix = {self._prefix!r} spreads the keys over a cluster: {CLUSTER_ADVICE}")

    def write(self, windows: Sequence[Window], events: Sequence[TrendEvent], keep_waiting: KeepWaiting) -> None:
        """Return once Redis holds all of it, or something newer. See :class:`connectors.trend_store.TrendStore`.

        Of each window end only the newest of ``windows`` is written.
        """
        newest: dict[int, Window] = {}
        for window in windows:
            known = newest.get(window.end)
            if known is None or _fence(window) > _fence(known):
                newest[window.end] = window
        patience = Patience(REDIS, self._waits, keep_waiting)
        # The oldest first: what is too old is known by what is newer.
        for calls in _pipelines(self._window_call(newest[end]) for end in sorted(newest)):
            answers = self._insist(calls, patience)
            stale = answers[-1]
            while stale:
                stale = self._insist([self._prune_call(stale)], patience)[0]
        for calls in _pipelines(map(self._event_call, events)):
            self._insist(calls, patience)

    def close(self) -> None:
        """Free the connections."""
        self._client.close()

    def _insist(self, calls: Sequence[_Call], patience: Patience) -> list[Any]:
        """The answers to the calls, all of them made again until all are answered."""
        while True:
            try:
                answers = self._run(calls)
            except Unavailable as error:
                patience.pause(error.reason)
            else:
                patience.succeeded()
                return answers

    def _run(self, calls: Sequence[_Call]) -> list[Any]:
        with translated():
            try:
                return self._send(calls)
            except NoScriptError:
                # A server that was started anew, or took another one's place, knows no scripts.
                for script in {call.script for call in calls}:
                    self._client.script_load(script)
                return self._send(calls)

    def _send(self, calls: Sequence[_Call]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            # A cluster's pipeline has no evalsha, since keys may lie on several nodes; these do not.
            parts = ("EVALSHA", _sha(call.script), len(call.keys), *call.keys, *call.arguments)
            pipeline.execute_command(*parts)  # type: ignore[no-untyped-call]
        return pipeline.execute()

    def _window_call(self, window: Window) -> _Call:
        keys = (*self._state, self._hashtags, self._windows, *self._of_window(window.end))
        head = (window.generation, window.end, window.revision, window.size, window.error, self._window_ttl)
        top = [part for count in window.top for part in (count.count, plain(count.tag))]
        return _Call(scripts.WINDOW, keys, (*head, *top))

    def _prune_call(self, ends: Sequence[str]) -> _Call:
        keys = [key for end in ends for key in self._of_window(end)]
        return _Call(scripts.PRUNE, (self._fence, self._windows, *keys), (self._window_ttl, *ends))

    def _event_call(self, event: TrendEvent) -> _Call:
        trend = event.trend
        brief = msgspec.structs.replace(trend, samples=())
        whole = encode_within(event, _TREND_BYTES)[0] if trend.samples else b""
        change, _ = encode_within(msgspec.structs.replace(event, trend=brief), _CHANGE_BYTES)
        return _Call(
            scripts.EVENT,
            (*self._state, self._stream, *self._keys(redis_keys.TREND + plain(trend.id))),
            (
                *(event.generation, int(event.at.timestamp()), event.revision, event.event),
                *(plain(trend.tag), plain(trend.id), encode_trend(brief), change, whole),
                *(self._horizon, self._changes, self._window_ttl, min(_ENDED_TTL, self._window_ttl)),
            ),
        )

    def _of_window(self, end: int | str) -> list[str]:
        return self._keys(f"{redis_keys.WINDOW}{end}", f"{redis_keys.WINDOW_FENCE}{end}")

    def _keys(self, *names: str) -> list[str]:
        return [self._prefix + name for name in names]


def _fence(window: Window) -> tuple[int, int]:
    return window.generation, window.revision


def _sha(script: str) -> str:
    """The name under which the server caches a script."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def _pipelines(calls: Iterable[_Call]) -> Iterator[list[_Call]]:
    """Cut into what is sent at a time."""
    held: list[_Call] = []
    size = 0
    for call in calls:
        held.append(call)
        size += call.size
        if len(held) >= _CALLS or size >= _BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held
