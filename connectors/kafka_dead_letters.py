"""Dead letters in a Kafka topic: the record's bytes as value, its provenance in headers.

The key is the origin's, so the newest message of a key is the letter and a message
without a value says that it is gone. Made here, the topic is compacted and takes
messages of up to :data:`MAX_MESSAGE_BYTES`. Where somebody made it with a lower limit, a
letter above that limit is put without its end and with the header ``truncated``, which
holds the full length: its record can still be found at its origin, but not replayed
from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

import msgspec
from confluent_kafka import Message

from connectors.dead_letters import KeepWaiting, Replayed, Selection
from connectors.document_store import Answer
from connectors.kafka_client import ClientSettings
from connectors.kafka_confirmed_producer import FRAME, ConfirmedProducer, Keyed
from connectors.kafka_replay import replay_letters
from connectors.kafka_topic import DEFAULT_MESSAGE_BYTES, KafkaTopic
from connectors.origin_header import origin_header, parse_origin_header
from groundswell.records import DeadLetter, Origin
from groundswell.waits import Waits

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_LONGEST_DETAIL = 2000


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
        self._topic = KafkaTopic(bootstrap_servers, topic, client=client)
        self._posts_topic = posts_topic
        self._producer = ConfirmedProducer(self._topic.client_settings, topic, waits, message_of)

    def prepare(self) -> None:
        config = {"cleanup.policy": "compact", "max.message.bytes": str(MAX_MESSAGE_BYTES)}
        found = self._topic.make(config, partitions=1)
        limit = int(found.get("max.message.bytes", DEFAULT_MESSAGE_BYTES))
        self._producer.limit = min(limit, MAX_MESSAGE_BYTES)

    def ping(self) -> Answer:
        return self._topic.ping()

    def put(self, letters: Sequence[DeadLetter], keep_waiting: KeepWaiting) -> None:
        self._producer.put(letters, keep_waiting)

    def list(self, selection: Selection, limit: int) -> Sequence[DeadLetter]:
        return [letter for _, letter, _ in islice(self._letters(selection), limit)]

    def counts(self) -> dict[str, int]:
        counted: dict[str, int] = {}
        for partition in self._topic.partitions():
            for letter in self._fold(partition).values():
                counted[letter.cause] = counted.get(letter.cause, 0) + 1
        return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))

    def show(self, key: str) -> DeadLetter | None:
        return next((letter for _, letter, _ in self._letters(Selection(keys=frozenset({key})))), None)

    def replay(self, selection: Selection) -> Replayed:
        return replay_letters(
            self._topic.client_settings({}), self._letters(selection), self._topic.name, self._posts_topic
        )

    def close(self) -> None:
        self._producer.close()

    # -- reading ----------------------------------------------------------------

    def _letters(self, selection: Selection) -> Iterator[tuple[int, DeadLetter, bool]]:
        """Each selected letter with its partition, and whether its value is whole."""
        for partition in self._topic.partitions():
            newest = {
                letter.offset
                for key, letter in self._fold(partition).items()
                if selection.fits(_key_text(key), letter.cause, letter.step)
            }
            if not newest:
                continue
            for message in self._topic.read(partition):
                if message.offset() in newest:
                    yield partition, _letter(message), "truncated" not in _headers(message)

    def _fold(self, partition: int) -> dict[bytes, Letter]:
        """The newest message of every key that is not gone."""
        letters: dict[bytes, Letter] = {}
        for message in self._topic.read(partition):
            key = message.key() or b""
            letters.pop(key, None)
            if message.value() is not None:
                headers = _headers(message)
                letters[key] = Letter(partition, _offset(message), _said(headers, "cause"), _said(headers, "step"))
        return letters


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


def message_of(letter: DeadLetter, limit: int) -> Keyed:
    """A letter's message; its value is cut when it is above ``limit`` bytes."""
    origin = letter.origin
    said = {
        "topic": origin.stream,
        "partition": str(origin.partition),
        "offset": str(origin.offset),
        "index": str(origin.index),
        "step": letter.step,
        "cause": letter.cause,
        "detail": letter.detail[:_LONGEST_DETAIL],
        "time": letter.time.isoformat(),
    }
    most = max(0, limit - FRAME)
    whole = len(letter.value) <= most
    if not whole:
        said["truncated"] = str(len(letter.value))
        said["detail"] += f" (only the first {most} of {len(letter.value)} bytes are kept)"
    headers: dict[str, str | bytes | None] = {
        name: text.encode("utf-8", "backslashreplace") for name, text in said.items()
    }
    headers["origin"] = origin_header(origin)
    value = letter.value if whole else letter.value[:most]
    return Keyed(letter.key.encode("utf-8", "surrogatepass"), value, headers)
