"""Writes records to a Kafka topic, every delivery confirmed."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka_client import (
    KAFKA,
    ClientSettings,
    client_log,
    client_settings,
    error_callback,
    never_heals,
    stop_for,
)
from groundswell.errors import Unavailable

#: Idempotence makes the producer's own retries neither lose, repeat nor reorder.
_FIXED: ClientSettings = {"enable.idempotence": True, "acks": "all"}
_BATCHING: ClientSettings = {"linger.ms": 20, "compression.type": "lz4", "queue.buffering.max.kbytes": 64 * 1024}
#: Records between two looks at what was confirmed.
_POLL_EVERY = 500
_POLL_SECONDS = 0.1


class _Deliveries:
    """Counts confirmations and keeps the first refusal."""

    def __init__(self) -> None:
        self.confirmed = 0
        self.refused: KafkaError | None = None

    def note(self, error: KafkaError | None, message: Message) -> None:  # noqa: ARG002 (the client passes both)
        if error is None:
            self.confirmed += 1
        else:
            self.refused = self.refused or error

    def note_error(self, error: KafkaError) -> None:
        """What the client itself complains of; only what never heals ends the writing."""
        if never_heals(error):
            self.refused = self.refused or error


def write_to_kafka(
    records: Iterable[bytes], bootstrap_servers: str, topic: str, client: ClientSettings | None = None
) -> int:
    """Write the records without keys, in order within a partition, and return their number once all are confirmed.

    Waits while the queue is full. Raises :class:`~groundswell.errors.Unavailable` when
    a record was not confirmed in ``delivery.timeout.ms`` (five minutes, unless
    ``client`` says otherwise) and :class:`~groundswell.errors.StopJob` when the broker
    refuses for good.
    """
    deliveries = _Deliveries()
    own: dict[str, object] = {**_FIXED, "error_cb": error_callback(deliveries.note_error)}
    producer = Producer(
        client_settings(bootstrap_servers, {**_BATCHING, **(client or {})}, own),  # type: ignore[arg-type]
        logger=client_log,
    )
    for sent, record in enumerate(records, 1):
        while not _enqueue(producer, topic, record, deliveries):
            producer.poll(_POLL_SECONDS)
            _raise_refusal(deliveries, topic)
        if sent % _POLL_EVERY == 0:
            producer.poll(0)
            _raise_refusal(deliveries, topic)
    while producer.flush(_POLL_SECONDS) > 0:
        _raise_refusal(deliveries, topic)
    _raise_refusal(deliveries, topic)
    return deliveries.confirmed


def _enqueue(producer: Producer, topic: str, record: bytes, deliveries: _Deliveries) -> bool:
    try:
        producer.produce(topic, record, on_delivery=deliveries.note)
    except BufferError:
        return False
    except KafkaException as error:
        deliveries.refused = error.args[0]
        _raise_refusal(deliveries, topic)
    return True


def _raise_refusal(deliveries: _Deliveries, topic: str) -> None:
    error = deliveries.refused
    if error is None:
        return
    if never_heals(error):
        raise stop_for(error, f"writing to {topic!r}")
    raise Unavailable(KAFKA, f"a record for {topic!r} was not confirmed: {error.str()}")
