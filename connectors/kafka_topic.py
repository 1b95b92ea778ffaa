"""A topic of our own: made when it is missing, asked for its settings, read from end to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

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
from groundswell.errors import StopJob, Unavailable

T = TypeVar("T")

#: What a topic takes that nobody set up otherwise, in bytes.
DEFAULT_MESSAGE_BYTES = 1024 * 1024
#: As many partitions, or as many replicas, as the broker gives a topic by default.
BROKER_DEFAULT = -1
_TIMEOUT = 15.0
_PING_TIMEOUT = 5.0
#: Seconds between two looks for a topic that was just made.
_PROPAGATION = 0.05


class KafkaTopic:
    """One topic; ``client`` holds further librdkafka settings (TLS, SASL).

    Every method raises :class:`~groundswell.errors.Unavailable` when the broker does not
    answer and :class:`~groundswell.errors.StopJob` when it refuses for good.
    """

    def __init__(self, bootstrap_servers: str, name: str, *, client: ClientSettings | None = None) -> None:
        self.name = name
        self._bootstrap_servers = bootstrap_servers
        self._client = client or {}
        self._made_admin: AdminClient | None = None

    def client_settings(self, own: ClientSettings) -> dict[str, str | int | float | bool]:
        """The settings of a client of this topic's broker; ``own`` come last."""
        return client_settings(self._bootstrap_servers, self._client, {**own, "error_cb": _LOG_ERRORS})  # type: ignore[dict-item]

    def make(self, config: Mapping[str, str], partitions: int = BROKER_DEFAULT) -> dict[str, str]:
        """Make the topic unless it is there; its settings as they are now, empty when it may not be asked for them."""
        admin = self._admin()
        # Briefly: who waits for the broker says so in between, and can be told to stop.
        if self.name not in _asked(lambda: admin.list_topics(timeout=_PING_TIMEOUT)).topics:
            new = NewTopic(self.name, num_partitions=partitions, replication_factor=BROKER_DEFAULT, config=dict(config))
            try:
                admin.create_topics([new], operation_timeout=_TIMEOUT)[self.name].result(_TIMEOUT)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    wanted = ", ".join(f"{name}={value}" for name, value in config.items())
                    raise _explain(error, f"making the topic {self.name} (with {wanted})") from None
        deadline = time.monotonic() + _TIMEOUT
        while (found := self.config()) is None:
            # A topic that was just made is known a moment later.
            if time.monotonic() > deadline:
                raise Unavailable(KAFKA, f"the topic {self.name} was made and is not there yet")
            time.sleep(_PROPAGATION)
        return found

    def config(self) -> dict[str, str] | None:
        """Every setting of the topic; ``None`` without a topic, empty when asking is denied."""
        resource = ConfigResource(ResourceType.TOPIC, self.name)
        try:
            entries = self._admin().describe_configs([resource], request_timeout=_TIMEOUT)[resource].result(_TIMEOUT)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return {}
            if is_missing_topic(error.args[0]):
                return None
            raise _explain(error, f"asking for the settings of {self.name}") from None
        return {name: entry.value for name, entry in entries.items()}

    def ping(self) -> Answer:
        """Ask how many brokers there are."""
        began = time.perf_counter()
        found = _asked(lambda: self._admin().list_topics(timeout=_PING_TIMEOUT))
        return Answer(f"{len(found.brokers)} brokers", time.perf_counter() - began)

    def partitions(self) -> Sequence[int]:
        """Its partitions, none while it is not there."""
        # Of all topics: asking for one would make it where the broker makes topics by itself.
        found = _asked(lambda: self._admin().list_topics(timeout=_TIMEOUT)).topics.get(self.name)
        return sorted(found.partitions) if found else []

    def read(self, partition: int) -> Iterator[Message]:
        """Every committed message of a partition up to its end as of now."""
        consumer = Consumer(
            self.client_settings(
                {
                    "group.id": f"groundswell-{self.name}",
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
            consumer.assign([TopicPartition(self.name, partition, OFFSET_BEGINNING)])
            heard = time.monotonic()
            while True:
                messages = consumer.consume(500, timeout=0.1)
                if messages:
                    heard = time.monotonic()
                elif time.monotonic() - heard > _TIMEOUT:
                    raise Unavailable(KAFKA, f"no answer from {self.name} partition {partition}")
                for message in messages:
                    error = message.error()
                    if error is None:
                        yield message
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (the library's public name)
                        return
                    elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                        # Whoever may read the topic need have no group: nothing is committed.
                        continue
                    elif not error.retriable():
                        raise _explain(KafkaException(error), f"reading {self.name}")
        finally:
            consumer.close()

    def _admin(self) -> AdminClient:
        if self._made_admin is None:
            self._made_admin = AdminClient(self.client_settings({}), logger=client_log)
        return self._made_admin


_LOG_ERRORS: Callable[[KafkaError], None] = error_callback(lambda _: None)


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except KafkaException as error:
        raise _explain(error, "asking for the topics") from None


def _explain(error: KafkaException, doing: str) -> StopJob | Unavailable:
    reason: KafkaError = error.args[0]
    return stop_for(reason, doing) if never_heals(reason) else Unavailable(KAFKA, f"{doing}: {reason.str()}")
