"""Dead letters in a Kafka topic: the record's bytes as value, its provenance in headers.

The key is the origin's, so the newest message of a key is the letter and a message
without a value says that it is gone. Made here, the topic is compacted and takes
messages of up to :data:`MAX_MESSAGE_BYTES`. Where somebody made it with a lower limit, a
letter above that limit is put without its end and with the header ``truncated``, which
holds the full length: its record can still be found at its origin, but not replayed
from here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from connectors.dead_letters import KeepWaiting, Replayed, Selection
from connectors.document_store import Answer
from connectors.kafka_client import (
    KAFKA,
    ClientSettings,
    client_log,
    client_settings,
    error_callback,
    is_missing_topic,
    never_heals,
    stop_for,
)
from connectors.kafka_letter_producer import ConfirmedProducer
from connectors.kafka_replay import replay_letters
from connectors.origin_header import parse_origin_header
from groundswell.errors import StopJob, Unavailable
from groundswell.records import DeadLetter, Origin
from groundswell.waits import Waits

T = TypeVar("T")

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_DEFAULT_MESSAGE_BYTES = 1024 * 1024
_TIMEOUT = 15.0
_PING_TIMEOUT = 5.0
#: Seconds between two looks for a topic that was just made.
_PROPAGATION = 0.05


class Letter(msgspec.Struct, frozen=True, gc=False):
    """Where the newest message of a key lies, and what selects it."""

    partition: int
    offset: int
    cause: str
    step: str


class KafkaDeadLetters:
    """A :class:`~connectors.dead_letters.DeadLetterStore`; ``posts_topic`` is where a replay goes.

    ``client`` holds further librdkafka settings (TLS, SASL).
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        posts_topic: str,
        waits: Waits,
        *,
        client: ClientSettings | None = None,
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._posts_topic = posts_topic
        self._client = client or {}
        self._producer = ConfirmedProducer(self._settings, topic, waits)
        self._made_admin: AdminClient | None = None

    def prepare(self) -> None:
        admin = self._admin()
        topics = _asked(lambda: admin.list_topics(timeout=_TIMEOUT)).topics
        if self._topic not in topics:
            config = {"cleanup.policy": "compact", "max.message.bytes": str(MAX_MESSAGE_BYTES)}
            new = NewTopic(self._topic, num_partitions=1, config=config)
            try:
                admin.create_topics([new], operation_timeout=_TIMEOUT)[self._topic].result(_TIMEOUT)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise _explain(error, f"making the topic {self._topic}") from None
        deadline = time.monotonic() + _TIMEOUT
        while (limit := self._message_limit(admin)) is None:
            # A topic that was just made is known a moment later.
            if time.monotonic() > deadline:
                raise Unavailable(KAFKA, f"the topic {self._topic} was made and is not there yet")
            time.sleep(_PROPAGATION)
        self._producer.limit = min(limit, MAX_MESSAGE_BYTES)

    def ping(self) -> Answer:
        began = time.perf_counter()
        found = _asked(lambda: self._admin().list_topics(timeout=_PING_TIMEOUT))
        return Answer(f"{len(found.brokers)} brokers", time.perf_counter() - began)

    def put(self, letters: Sequence[DeadLetter], keep_waiting: KeepWaiting) -> None:
        self._producer.put(letters, keep_waiting)

    def list(self, selection: Selection, limit: int) -> Sequence[DeadLetter]:
        return [letter for _, letter, _ in islice(self._letters(selection), limit)]

    def counts(self) -> dict[str, int]:
        counted: dict[str, int] = {}
        for partition in self._partitions():
            for letter in self._fold(partition).values():
                counted[letter.cause] = counted.get(letter.cause, 0) + 1
        return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))

    def show(self, key: str) -> DeadLetter | None:
        return next((letter for _, letter, _ in self._letters(Selection(keys=frozenset({key})))), None)

    def replay(self, selection: Selection) -> Replayed:
        return replay_letters(self._settings({}), self._letters(selection), self._topic, self._posts_topic)

    def close(self) -> None:
        self._producer.close()

    # -- reading ----------------------------------------------------------------

    def _letters(self, selection: Selection) -> Iterator[tuple[int, DeadLetter, bool]]:
        """Each selected letter with its partition, and whether its value is whole."""
        for partition in self._partitions():
            newest = {
                letter.offset
                for key, letter in self._fold(partition).items()
                if selection.fits(_key_text(key), letter.cause, letter.step)
            }
            if not newest:
                continue
            for message in self._read(partition):
                if message.offset() in newest:
                    yield partition, _letter(message), "truncated" not in _headers(message)

    def _fold(self, partition: int) -> dict[bytes, Letter]:
        """The newest message of every key that is not gone."""
        letters: dict[bytes, Letter] = {}
        for message in self._read(partition):
            key = message.key() or b""
            letters.pop(key, None)
            if message.value() is not None:
                headers = _headers(message)
                letters[key] = Letter(partition, _offset(message), _said(headers, "cause"), _said(headers, "step"))
        return letters

    def _read(self, partition: int) -> Iterator[Message]:
        """Every committed message of a partition up to its end as of now."""
        consumer = Consumer(
            self._settings(
                {
                    "group.id": "groundswell-dead-letters",
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "isolation.level": "read_committed",
                    "enable.partition.eof": True,
                    "fetch.wait.max.ms": 50,
                }
            ),
            logger=client_log,
        )
        try:
            consumer.assign([TopicPartition(self._topic, partition, OFFSET_BEGINNING)])
            heard = time.monotonic()
            while True:
                messages = consumer.consume(500, timeout=0.1)
                if messages:
                    heard = time.monotonic()
                elif time.monotonic() - heard > _TIMEOUT:
                    raise Unavailable(KAFKA, f"no answer from {self._topic} partition {partition}")
                for message in messages:
                    error = message.error()
                    if error is None:
                        yield message
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (the library's public name)
                        return
                    elif not error.retriable():
                        raise _explain(KafkaException(error), f"reading {self._topic}")
        finally:
            consumer.close()

    def _partitions(self) -> Sequence[int]:
        # Of all topics: asking for one would make it where the broker makes topics by itself.
        found = _asked(lambda: self._admin().list_topics(timeout=_TIMEOUT)).topics.get(self._topic)
        return sorted(found.partitions) if found else []

    # -- clients ----------------------------------------------------------------

    def _settings(self, own: ClientSettings) -> dict[str, str | int | float | bool]:
        return client_settings(self._bootstrap_servers, self._client, {**own, "error_cb": _LOG_ERRORS})  # type: ignore[dict-item]

    def _admin(self) -> AdminClient:
        if self._made_admin is None:
            self._made_admin = AdminClient(self._settings({}), logger=client_log)
        return self._made_admin

    def _message_limit(self, admin: AdminClient) -> int | None:
        """The largest message that the topic takes; ``None`` without a topic, the usual one when asking is denied."""
        resource = ConfigResource(ResourceType.TOPIC, self._topic)
        try:
            entries = admin.describe_configs([resource], request_timeout=_TIMEOUT)[resource].result(_TIMEOUT)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return _DEFAULT_MESSAGE_BYTES
            if is_missing_topic(error.args[0]):
                return None
            raise _explain(error, f"asking for the limits of {self._topic}") from None
        return int(entries["max.message.bytes"].value)


_LOG_ERRORS: Callable[[KafkaError], None] = error_callback(lambda _: None)


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except KafkaException as error:
        raise _explain(error, "asking for the topics") from None


def _explain(error: KafkaException, doing: str) -> StopJob | Unavailable:
    reason: KafkaError = error.args[0]
    return stop_for(reason, doing) if never_heals(reason) else Unavailable(KAFKA, f"{doing}: {reason.str()}")


def _offset(message: Message) -> int:
    offset = message.offset()
    if offset is None:
        raise ValueError("a message without an offset")
    return offset


def _key_text(key: bytes) -> str:
    try:
        return key.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        # Somebody else's message.
        return key.decode("utf-8", "replace")


def _headers(message: Message) -> dict[str, bytes]:
    headers = message.headers()
    return {name: value for name, value in dict(headers or ()).items() if isinstance(value, bytes)}


def _said(headers: dict[str, bytes], name: str) -> str:
    return headers.get(name, b"").decode("utf-8", "replace")


def _letter(message: Message) -> DeadLetter:
    headers = _headers(message)
    try:
        origin = parse_origin_header(headers.get("origin", b""))
        when = datetime.fromisoformat(_said(headers, "time"))
    except ValueError:
        # Somebody else's message: shown as it is, under the key it has.
        origin = Origin(_key_text(message.key() or b""), 0, 0)
        when = datetime.fromtimestamp(0, UTC)
    value = message.value() or b""
    return DeadLetter(origin, _said(headers, "step"), _said(headers, "cause"), _said(headers, "detail"), when, value)
