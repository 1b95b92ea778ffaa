"""Puts messages into a Kafka topic and returns when the broker has every one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka_client import KAFKA, ClientSettings, client_log, never_heals, stop_for
from connectors.patience import Patience
from groundswell.waits import Waits

T = TypeVar("T")
KeepWaiting = Callable[[], bool]

#: Seconds without a delivery after which the wait is named, and may be given up.
_SILENCE = 2.0
#: Room for the key, the headers and the broker's own framing, in bytes.
FRAME = 16 * 1024

#: Idempotent, and patient: only we say when an outage has lasted too long.
_SETTINGS: ClientSettings = {
    "acks": "all",
    "enable.idempotence": True,
    "message.timeout.ms": 0,
    "message.max.bytes": 128 * 1024 * 1024,
    "linger.ms": 5,
    "compression.type": "lz4",
}


class Keyed(NamedTuple):
    """A message with its key."""

    key: bytes
    value: bytes
    headers: Mapping[str, str | bytes | None]


class ConfirmedProducer(Generic[T]):
    """An own producer with every delivery confirmed; thread-safe.

    ``message`` makes the message of an item within so many bytes. ``limit`` is the largest
    message that the topic takes, in bytes.
    """

    def __init__(
        self,
        settings: Callable[[ClientSettings], dict[str, str | int | float | bool]],
        topic: str,
        waits: Waits,
        message: Callable[[T, int], Keyed],
    ) -> None:
        self.limit = 1024 * 1024
        self._settings = settings
        self._topic = topic
        self._waits = waits
        self._message = message
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def put(self, items: Sequence[T], keep_waiting: KeepWaiting) -> None:
        """Return once every item is confirmed; of two items with one key the later lies behind the earlier.

        After a delivery that failed everything from there on is sent again, so an item may
        lie in the topic twice.

        Raises:
            Draining: no delivery is confirmed and ``keep_waiting`` said to give up.
            StopJob: the broker refuses for good.
        """
        patience = Patience(KAFKA, self._waits, keep_waiting)
        with self._lock:
            left = items
            while left:
                failed, error = self._send(left, patience, keep_waiting)
                if error is not None:
                    self._judge(error)
                    patience.pause(error.str())
                left = left[failed:]
            patience.succeeded()

    def close(self) -> None:
        """Free the connections; what was put is already confirmed."""
        with self._lock:
            self._drop()

    def _send(self, items: Sequence[T], patience: Patience, keep_waiting: KeepWaiting) -> tuple[int, KafkaError | None]:
        """Produce and wait for every delivery; the position of the first that failed (or the end), and why."""
        if self._producer is None:
            self._producer = Producer(self._settings(_SETTINGS), logger=client_log)
        producer = self._producer
        failed: dict[int, KafkaError] = {}
        waiting = len(items)
        heard, last = time.monotonic(), waiting

        def delivered(position: int, error: KafkaError | None) -> None:
            nonlocal waiting
            waiting -= 1
            if error is not None:
                failed[position] = error

        def listen() -> None:
            nonlocal heard, last
            producer.poll(0.1)
            if waiting != last:
                heard, last = time.monotonic(), waiting
            if time.monotonic() - heard > _SILENCE:
                patience.name(f"no delivery to {self._topic} confirmed for {time.monotonic() - heard:.0f} s")
                if not keep_waiting():
                    self._drop()
                    patience.pause(f"no delivery to {self._topic} confirmed")

        for position, item in enumerate(items):

            def on_delivery(error: KafkaError | None, _message: Message, position: int = position) -> None:
                delivered(position, error)

            message = self._message(item, self.limit)
            while not _queue(producer, self._topic, message, on_delivery):
                listen()
        while waiting:
            listen()
        first = min(failed, default=len(items))
        return first, failed.get(first)

    def _judge(self, error: KafkaError) -> None:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            # The topic's limit was lowered meanwhile.
            self.limit //= 2
            if self.limit < FRAME:
                raise stop_for(error, f"writing to {self._topic}, however little of it")
        elif never_heals(error):
            raise stop_for(error, f"writing to {self._topic}")
        elif error.fatal():
            self._drop()

    def _drop(self) -> None:
        """Forget the producer and what it has not delivered."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                producer.purge()
            except KafkaException as error:
                client_log.warning("purging undelivered messages: %s", error)


def _queue(producer: Producer, topic: str, message: Keyed, on_delivery: Callable[..., None]) -> bool:
    """Hand a message to the producer; ``False`` while its queue is full."""
    try:
        producer.produce(
            topic, value=message.value, key=message.key, headers=dict(message.headers), on_delivery=on_delivery
        )
    except BufferError:
        return False
    return True
