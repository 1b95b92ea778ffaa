"""Posts from Kafka, with exact positions that live in the job's own recovery store.

The engine's Kafka source jumps to the end without a word when its offset has
expired, and never commits. This one assigns its partitions at the stored offset,
follows a stated policy when the broker no longer has it, and commits offsets to the
group for lag tools only: recovery is the truth, the group's offset trails it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict

from confluent_kafka import KafkaError, Message

from connectors.credits import Credits
from connectors.idleness import Emptiness
from connectors.kafka_client import KAFKA, ClientSettings, is_missing_topic, never_heals, stop_for
from connectors.kafka_offsets import OffsetWatch, TopicFacts
from connectors.kafka_reader import SharedReader
from connectors.origin_header import ORIGIN_HEADER, parse_origin_header
from connectors.source import BATCH_BYTES, BATCH_RECORDS, BatchGate, EndOfInput, PostPartition, StopFlag
from groundswell import metrics
from groundswell.errors import Draining, StopJob
from groundswell.records import Origin, RawBatch
from groundswell.waits import Waits

log = logging.getLogger(__name__)

Start = Literal["earliest", "latest"]
OnExpired = Literal["earliest", "fail"]
OnMissing = Literal["stop", "wait", "create"]

_POLL_SECONDS = 0.1


class KafkaPosition(TypedDict):
    """What recovery keeps of a partition: its next offset, and the topic that the offset belongs to."""

    offset: int
    topic_id: str


class KafkaSource:
    """The partitions of one or more topics.

    ``start`` applies to a partition without a stored position; ``on_expired`` when the
    broker no longer has that position (``earliest``: go on at the first offset there
    is, count what was missed; ``fail``: stop). ``until_end`` reads up to the end as of
    the start (all decided transactions) and then ends. ``on_missing`` says what to do
    about a topic that does not exist; ``create`` makes it with ``create_partitions``.
    ``client`` holds further librdkafka settings (TLS, SASL, sizes); ``clock`` is monotonic.
    """

    name = KAFKA

    def __init__(
        self,
        bootstrap_servers: str,
        topics: Sequence[str],
        group: str,
        credits: Credits,  # noqa: A002 (their proper name)
        stop: StopFlag,
        waits: Waits,
        *,
        start: Start = "earliest",
        on_expired: OnExpired = "earliest",
        on_missing: OnMissing = "stop",
        create_partitions: int = 1,
        until_end: bool = False,
        client: ClientSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topics = list(dict.fromkeys(topics))
        self._group = group
        self._credits = credits
        self._stop = stop
        self._waits = waits
        self._start: Start = start
        self._on_expired: OnExpired = on_expired
        self._on_missing = on_missing
        self._create_partitions = create_partitions
        self._until_end = until_end
        self._client = client or {}
        self._clock = clock
        self._lock = threading.Lock()
        self._watch: OffsetWatch | None = None
        self._facts: dict[str, TopicFacts] = {}
        # By the system's thread id and not in a threading.local: the engine's threads are not
        # Python's, and each of their calls into Python begins with empty thread-local storage.
        self._readers: dict[int, SharedReader] = {}

    def partitions(self) -> list[str]:
        """All partitions of the topics, for example ``posts/00003``; waits for the broker."""
        with self._lock:
            if not self._facts:
                self._facts = self._find_topics(self._offset_watch())
        return [f"{topic}/{n:05d}" for topic, facts in self._facts.items() for n in range(facts.partitions)]

    def open(self, partition: str, resume_state: Any | None) -> KafkaPartition:
        topic, _, number = partition.rpartition("/")
        self.partitions()
        return KafkaPartition(
            topic,
            int(number),
            resume_state,
            topic_id=self._facts[topic].topic_id,
            watch=self._offset_watch(),
            reader=self._reader,
            gate=BatchGate(self.name, self._credits, self._stop),
            start=self._start,
            on_expired=self._on_expired,
            until_end=self._until_end,
        )

    def _offset_watch(self) -> OffsetWatch:
        if self._watch is None:
            self._watch = OffsetWatch(self._bootstrap_servers, self._client, self._waits, self._clock)
        return self._watch

    def _reader(self) -> SharedReader:
        """The reader of the calling worker thread."""
        thread = threading.get_native_id()
        reader = self._readers.get(thread)
        if reader is None or reader.closed:
            reader = SharedReader(self._bootstrap_servers, self._group, self._client, self._offset_watch().report)
            self._readers[thread] = reader
        return reader

    def _find_topics(self, watch: OffsetWatch) -> dict[str, TopicFacts]:
        told = ""
        while not self._stop.is_set():
            found = watch.describe(self._topics)
            facts = {topic: fact for topic, fact in found.items() if isinstance(fact, TopicFacts)}
            if len(facts) == len(self._topics):
                return {topic: facts[topic] for topic in self._topics}
            missing = [
                topic for topic, fact in found.items() if isinstance(fact, KafkaError) and is_missing_topic(fact)
            ]
            if missing and self._on_missing == "stop":
                names = ", ".join(map(repr, missing))
                raise StopJob(
                    f"Kafka at {self._bootstrap_servers} has no topic {names}: create it, or correct the name"
                )
            if missing and self._on_missing == "create":
                for topic in missing:
                    log.info("creating the topic %r with %d partitions", topic, self._create_partitions)
                    watch.create(topic, self._create_partitions)
            elif missing:
                self._waits.begin(KAFKA, f"the topic {', '.join(map(repr, missing))} does not exist yet")
            problem = "; ".join(sorted(watch.reason(fact) for fact in found.values() if isinstance(fact, KafkaError)))
            if problem != told:
                log.warning("waiting for Kafka at %s: %s", self._bootstrap_servers, problem)
                told = problem
            time.sleep(_POLL_SECONDS)
        raise Draining("told to stop before Kafka answered")


class KafkaPartition(PostPartition[KafkaPosition | None]):
    """One partition of a topic.

    It begins in ``next_batch``, not when it is built: where it begins needs an answer
    of the broker, and a broker that is down must be waited for, not block a worker.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        resume_state: KafkaPosition | None,
        *,
        topic_id: str,
        watch: OffsetWatch,
        reader: Callable[[], SharedReader],
        gate: BatchGate,
        start: Start,
        on_expired: OnExpired,
        until_end: bool,
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._label = f"{topic}/{partition}"
        self._resume_state = resume_state
        self._topic_id = topic_id
        self._watch = watch
        self._reader_of_thread = reader
        self._reader: SharedReader | None = None
        self._gate = gate
        self._start = start
        self._on_expired = on_expired
        self._until_end = until_end
        self._target: int | None = None
        self._ended = False
        self._position: int | None = None
        self._snapshot: int | None = None
        self._committed: int | None = None
        self._round = watch.watch(topic, partition)
        self._lag = metrics.SOURCE_LAG.labels(KAFKA, self._label)
        metrics.OFFSETS_EXPIRED.labels(self._label)
        self._tombstones = metrics.RECORDS_SKIPPED.labels("tombstone")

    def next_batch(self) -> list[RawBatch]:
        self._watch.refresh()
        if self._gate.closed():
            return []
        if self._reader is None:
            self._begin()
        batch = None if self._reader is None or self._ended else self._collect(self._reader)
        if batch is None:
            if self._ended:
                raise EndOfInput
            self._gate.pause()
        return self._gate.emit(batch)

    def emptiness(self, now: float) -> Emptiness | None:  # noqa: ARG002 (what is known is as old as the answer)
        """Known from the broker's last answer: it has nothing after the present position, undecided or not."""
        offsets = self._watch.offsets(self._topic, self._partition, self._round)
        since = self._watch.answers_since
        if self._reader is None or offsets is None or not self._watch.reachable or offsets.asked < since:
            return None
        return Emptiness(since, offsets.asked) if self._position == offsets.end == offsets.high else None

    def next_awake(self) -> Any:
        return self._gate.awake

    def snapshot(self) -> KafkaPosition | None:
        if self._position is None:
            return self._resume_state
        # What the previous snapshot held is durable by now, or soon.
        self._commit(self._snapshot)
        self._snapshot = self._position
        self._report_lag()
        return {"offset": self._position, "topic_id": self._topic_id}

    def close(self) -> None:
        self._watch.forget(self._topic, self._partition)
        if self._reader is not None:
            self._commit(self._snapshot)
            self._reader.leave(self._topic, self._partition)
            self._reader.close()
            self._reader = None

    def _begin(self) -> None:
        """Attach at the right offset once the broker has said which offsets there are."""
        offsets = self._watch.offsets(self._topic, self._partition, self._round)
        if offsets is None:
            return
        if self._until_end and self._target is None:
            self._target = offsets.end
        stored = self._position
        if stored is None and self._resume_state is not None:
            stored = self._resume_state["offset"]
            if self._resume_state["topic_id"] != self._topic_id:
                stored = self._expired(offsets.first, 0, f"the topic was made anew since offset {stored} was read")
        if stored is None:
            stored = offsets.first if self._start == "earliest" else offsets.end
        elif stored < offsets.first:
            stored = self._expired(offsets.first, offsets.first - stored, f"offset {stored} has expired")
        elif stored > offsets.end:
            stored = self._expired(
                offsets.first, 0, f"offset {stored} lies behind the end {offsets.end}: the broker lost records"
            )
        self._position = stored
        self._ended = self._target is not None and stored >= self._target
        self._reader = self._reader_of_thread()
        self._reader.join(self._topic, self._partition)
        if not self._ended:
            self._reader.attach(self._topic, self._partition, stored)

    def _expired(self, first: int, skipped: int, what: str) -> int:
        if self._on_expired == "fail":
            raise StopJob(f"Kafka partition {self._label}: {what}; the policy for expired offsets is to stop")
        log.warning("Kafka partition %s: %s; going on at the first offset %d", self._label, what, first)
        metrics.OFFSETS_EXPIRED.labels(self._label).inc(skipped)
        return first

    def _collect(self, reader: SharedReader) -> RawBatch | None:
        batch = RawBatch(self._topic, self._partition, [], [])
        size = 0
        while len(batch.values) < BATCH_RECORDS and size < BATCH_BYTES:
            message = reader.next(self._topic, self._partition)
            if message is None:
                break
            error = message.error()
            if error is not None:
                self._on_event(error, message)
                if self._ended or self._reader is None:
                    break
                continue
            offset: int = message.offset()  # type: ignore[assignment]
            if self._target is not None and offset >= self._target:
                self._ended = True
                break
            self._position = offset + 1
            value = message.value()
            if value is None:
                self._tombstones.inc()
                continue
            size += len(value)
            headers = message.headers()
            if headers:
                self._note_replay(batch, headers)
            batch.offsets.append(offset)
            batch.values.append(value)
        if self._target is not None and self._position is not None and self._position >= self._target:
            self._ended = True
        return batch if batch.values else None

    def _note_replay(self, batch: RawBatch, headers: list[tuple[str, bytes | None]] | Any) -> None:
        origin = _replayed_from(headers, self._label)
        if origin is not None:
            batch.replayed = batch.replayed or {}
            batch.replayed[len(batch.values)] = origin

    def _on_event(self, error: KafkaError, message: Message) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            # The end lies behind control records and aborted transactions, which are never delivered.
            self._position = max(self._position or 0, message.offset() or 0)
            self._lag.set(0)
            self._ended = self._target is not None and self._position >= self._target
            return
        if never_heals(error):
            raise stop_for(error, f"reading {self._label}")
        # Whatever else it is (offset out of range, leader moved, topic gone): look at the offsets
        # again and read on from the same position, so that nothing is passed over.
        log.warning("Kafka partition %s: %s (%s)", self._label, error.str(), error.name())
        if self._reader is not None:
            self._reader.leave(self._topic, self._partition)
            self._reader = None
        self._round = self._watch.watch(self._topic, self._partition)

    def _commit(self, offset: int | None) -> None:
        if offset is not None and offset != self._committed and self._reader is not None and self._watch.reachable:
            self._reader.commit(self._topic, self._partition, offset)
            self._committed = offset

    def _report_lag(self) -> None:
        offsets = self._watch.offsets(self._topic, self._partition)
        if offsets is not None and self._position is not None:
            self._lag.set(max(0, offsets.end - self._position))


def _replayed_from(headers: list[tuple[str, bytes | None]], label: str) -> Origin | None:
    value = next((value for name, value in headers if name == ORIGIN_HEADER), None)
    if value is None:
        return None
    try:
        return parse_origin_header(value)
    except ValueError as error:
        log.warning("Kafka partition %s: header %s ignored: %s", label, ORIGIN_HEADER, error)
        return None
