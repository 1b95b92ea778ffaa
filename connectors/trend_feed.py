"""The events of trends as another job reads them: first what holds now, then every change.

Nothing is kept of where one was: what holds now is asked anew at each start, so that a
feed can neither lose its place nor be read from the wrong one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Protocol

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from connectors.kafka_client import KAFKA, ClientSettings, client_log, never_heals, stop_for
from connectors.kafka_topic import KafkaTopic
from connectors.patience import Patience
from connectors.source import StopFlag
from connectors.trend_reader import BEGINNING, TrendReader
from groundswell.errors import Draining, Unavailable
from groundswell.trends import TrendEvent, newest_events
from groundswell.waits import Waits

_LOG = logging.getLogger("groundswell.trends")
_DECODER = msgspec.json.Decoder(TrendEvent)

PARTITION: Final = "00"
#: Pause of a feed that has nothing new.
_PAUSE: Final = timedelta(milliseconds=20)
#: Longest wait for the end of the topic at the start, in seconds.
_TIMEOUT: Final = 15.0


class TrendFeed(Protocol):
    """Where events come from; used by one thread. Raises ``Unavailable`` and ``StopJob``."""

    @property
    def name(self) -> str:
        """The dependency that it asks."""
        ...

    def begin(self) -> list[TrendEvent]:
        """The newest event of each trend that is known, ended ones included; first, and again after an outage."""
        ...

    def changes(self) -> list[TrendEvent]:
        """What has changed since, in order; empty when nothing has. Does not wait."""
        ...

    def close(self) -> None:
        """Free connections."""
        ...


class RedisTrendFeed:
    """Events from the stream of changes, with the sample posts that Redis keeps of each trend."""

    name = "redis"

    def __init__(self, reader: TrendReader) -> None:
        self._reader = reader
        self._place = BEGINNING

    def begin(self) -> list[TrendEvent]:
        newest: dict[str, TrendEvent] = {}
        self._place = BEGINNING
        while found := self._after():
            newest = newest_events([*newest.values(), *found])
        return [self._with_samples(event) for event in _of_this_generation(newest)]

    def changes(self) -> list[TrendEvent]:
        return [self._with_samples(event) for event in self._after()]

    def close(self) -> None:
        """Nothing is this object's own."""

    def _after(self) -> list[TrendEvent]:
        changes = self._reader.changes(self._place)
        if changes:
            self._place = changes[-1].id
        return [change.event for change in changes]

    def _with_samples(self, event: TrendEvent) -> TrendEvent:
        """The event, with the samples of the newest one that had any."""
        if event.event == "ended" or event.trend.samples:
            return event
        last = self._reader.last(event.trend.id)
        if last is None:
            return event
        return msgspec.structs.replace(event, trend=msgspec.structs.replace(event.trend, samples=last.trend.samples))


class KafkaTrendFeed:
    """Events from the compacted topic; ``client`` holds further librdkafka settings (TLS, SASL)."""

    name = KAFKA

    def __init__(self, bootstrap_servers: str, topic: str, *, client: ClientSettings | None = None) -> None:
        self._topic = KafkaTopic(bootstrap_servers, topic, client=client)
        self._consumer: Consumer | None = None
        self._trouble: KafkaError | None = None

    def begin(self) -> list[TrendEvent]:
        self.close()
        partitions = self._topic.partitions()
        if not partitions:
            raise Unavailable(KAFKA, f"there is no topic {self._topic.name} yet: the posts job makes it")
        self._consumer = Consumer(
            self._topic.client_settings(
                {
                    "group.id": f"groundswell-{self._topic.name}",
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "isolation.level": "read_committed",
                    "enable.partition.eof": True,
                    "fetch.wait.max.ms": 50,
                }
            ),
            logger=client_log,
        )
        self._consumer.assign([TopicPartition(self._topic.name, each, OFFSET_BEGINNING) for each in partitions])
        left = set(partitions)
        newest: dict[str, TrendEvent] = {}
        quiet = 0.0
        while left:
            events, ended = self._consume(0.1)
            quiet = 0.0 if events or ended else quiet + 0.1
            if quiet > _TIMEOUT:
                raise Unavailable(KAFKA, f"no answer from {self._topic.name}")
            left -= ended
            newest = newest_events([*newest.values(), *events])
        return list(_of_this_generation(newest))

    def changes(self) -> list[TrendEvent]:
        return self._consume(0.0)[0]

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _consume(self, timeout: float) -> tuple[list[TrendEvent], set[int]]:
        """Events that came in, and the partitions that were read to their end."""
        assert self._consumer is not None  # noqa: S101 - begun
        events, ended = [], set()
        for message in self._consumer.consume(500, timeout=timeout):
            error = message.error()
            if error is None:
                value = message.value()
                if value is not None and (event := self._decoded(message.offset(), value)) is not None:
                    events.append(event)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (the library's public name)
                ended.add(message.partition() or 0)
            elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                # Whoever may read the topic need have no group: nothing is committed.
                continue
            elif never_heals(error):
                raise stop_for(error, f"reading {self._topic.name}")
            elif not error.retriable():
                raise Unavailable(KAFKA, f"reading {self._topic.name}: {error.str()}")
        return events, ended

    def _decoded(self, offset: int | None, value: bytes) -> TrendEvent | None:
        try:
            return _DECODER.decode(value)
        except msgspec.DecodeError as error:
            _LOG.warning("%s/%s is no trend event: %s", self._topic.name, offset, error)
            return None


def _of_this_generation(newest: dict[str, TrendEvent]) -> Sequence[TrendEvent]:
    """The events of the newest generation: of an older one, no trend is followed any more."""
    generation = max((event.generation for event in newest.values()), default=0)
    return [event for event in newest.values() if event.generation == generation]


class Roster:
    """Which trends are active, as a feed tells; thread-safe, for it is replaced as a whole."""

    def __init__(self) -> None:
        self._newest: dict[str, TrendEvent] = {}
        self._active: frozenset[str] | None = None

    def begin(self, events: Sequence[TrendEvent]) -> None:
        """These are all there are."""
        self._newest = {}
        self.add(events)

    def add(self, events: Sequence[TrendEvent]) -> None:
        """These came after the others."""
        newest = newest_events([*self._newest.values(), *events])
        self._newest = {event.trend.id: event for event in _of_this_generation(newest)}
        self._active = frozenset(each for each, event in self._newest.items() if event.event != "ended")

    def is_active(self, trend_id: str) -> bool | None:
        """Whether a trend is followed still; ``None`` before anything is known."""
        return None if self._active is None else trend_id in self._active


class TrendEventSource(FixedPartitionedSource[TrendEvent, None]):
    """A feed as an input. It ends when told to ``stop``, or when ``finished()`` once nothing is new.

    ``on_events`` is told how many events go into the flow.
    """

    def __init__(
        self,
        feed: TrendFeed,
        roster: Roster,
        stop: StopFlag,
        waits: Waits,
        finished: Callable[[], bool],
        on_events: Callable[[int], None],
        on_epoch: Callable[[], None],
    ) -> None:
        self._make = partial(_FeedPartition, feed, roster, stop, waits, finished, on_events, on_epoch)

    def list_parts(self) -> list[str]:
        return [PARTITION]

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 (the engine passes it)
        for_part: str,  # noqa: ARG002
        resume_state: None,  # noqa: ARG002
    ) -> StatefulSourcePartition[TrendEvent, None]:
        return self._make()


class _FeedPartition(StatefulSourcePartition[TrendEvent, None]):
    def __init__(
        self,
        feed: TrendFeed,
        roster: Roster,
        stop: StopFlag,
        waits: Waits,
        finished: Callable[[], bool],
        on_events: Callable[[int], None],
        on_epoch: Callable[[], None],
    ) -> None:
        self._feed = feed
        self._roster = roster
        self._stop = stop
        self._finished = finished
        self._on_events = on_events
        self._on_epoch = on_epoch
        self._patience = Patience(feed.name, waits, lambda: not stop.is_set())
        self._begun = False
        self._quiet = False

    def next_batch(self) -> list[TrendEvent]:
        if self._stop.is_set():
            raise StopIteration
        # Asked first: whoever is finished by now has said all that there is to read.
        finished = self._finished()
        try:
            if self._begun:
                events = self._feed.changes()
                self._roster.add(events)
            else:
                events = self._feed.begin()
                self._roster.begin(events)
        except Unavailable as error:
            self._begun = False
            # Nothing is in hand, so an outage holds up no drain.
            with suppress(Draining):
                self._patience.pause(error.reason)
            return []
        self._begun = True
        self._patience.succeeded()
        self._quiet = not events
        if finished and self._quiet:
            raise StopIteration
        self._on_events(len(events))
        return events

    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + _PAUSE if self._quiet else None

    def snapshot(self) -> None:
        self._on_epoch()

    def close(self) -> None:
        self._feed.close()
