"""Puts dead letters into Kafka and returns when the broker has every one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.dead_letters import KeepWaiting
from connectors.kafka_client import KAFKA, ClientSettings, client_log, never_heals, stop_for
from connectors.origin_header import origin_header
from connectors.patience import Patience
from groundswell.records import DeadLetter
from groundswell.waits import Waits

#: Seconds without a delivery after which the wait is named, and may be given up.
_SILENCE = 2.0
#: Room for the key, the headers and the broker's own framing, in bytes.
_FRAME = 16 * 1024
_LONGEST_DETAIL = 2000

#: Idempotent, and patient: only we say when an outage has lasted too long.
_SETTINGS: ClientSettings = {
    "acks": "all",
    "enable.idempotence": True,
    "message.timeout.ms": 0,
    "message.max.bytes": 128 * 1024 * 1024,
    "linger.ms": 5,
    "compression.type": "lz4",
}


class ConfirmedProducer:
    """An own producer with every delivery confirmed; thread-safe.

    ``limit`` is the largest message that the topic takes, in bytes.
    """

    def __init__(
        self, settings: Callable[[ClientSettings], dict[str, str | int | float | bool]], topic: str, waits: Waits
    ) -> None:
        self.limit = 1024 * 1024
        self._settings = settings
        self._topic = topic
        self._waits = waits
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def put(self, letters: Sequence[DeadLetter], keep_waiting: KeepWaiting) -> None:
        """Like :meth:`connectors.dead_letters.DeadLetterStore.put`."""
        patience = Patience(KAFKA, self._waits, keep_waiting)
        with self._lock:
            left = list(letters)
            while left:
                failed, error = self._send(left, patience, keep_waiting)
                if error is not None:
                    self._judge(error)
                    patience.pause(error.str())
                left = failed
            patience.succeeded()

    def close(self) -> None:
        """Free the connections; what was put is already confirmed."""
        with self._lock:
            self._drop()

    def _send(
        self, letters: Sequence[DeadLetter], patience: Patience, keep_waiting: KeepWaiting
    ) -> tuple[list[DeadLetter], KafkaError | None]:
        """Produce and wait for every delivery; those that failed, and one reason."""
        if self._producer is None:
            self._producer = Producer(self._settings(_SETTINGS), logger=client_log)
        producer = self._producer
        failed: list[DeadLetter] = []
        reasons: list[KafkaError] = []
        waiting = len(letters)

        def delivered(letter: DeadLetter, error: KafkaError | None) -> None:
            nonlocal waiting
            waiting -= 1
            if error is not None:
                failed.append(letter)
                reasons.append(error)

        for letter in letters:

            def on_delivery(error: KafkaError | None, _message: Message, letter: DeadLetter = letter) -> None:
                delivered(letter, error)

            while not self._produce(producer, letter, on_delivery):
                producer.poll(0.1)
        heard, last = time.monotonic(), waiting
        while waiting:
            producer.poll(0.1)
            if waiting != last:
                heard, last = time.monotonic(), waiting
            if time.monotonic() - heard > _SILENCE:
                patience.name(f"no delivery to {self._topic} confirmed for {time.monotonic() - heard:.0f} s")
                if not keep_waiting():
                    self._drop()
                    patience.pause(f"no delivery to {self._topic} confirmed")
        return failed, reasons[0] if reasons else None

    def _produce(self, producer: Producer, letter: DeadLetter, on_delivery: Callable[..., None]) -> bool:
        """Queue a letter; ``False`` while the queue is full."""
        value, headers = message_of(letter, self.limit)
        try:
            producer.produce(
                self._topic,
                value=value,
                key=letter.key.encode("utf-8", "surrogatepass"),
                headers=headers,
                on_delivery=on_delivery,
            )
        except BufferError:
            return False
        return True

    def _judge(self, error: KafkaError) -> None:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            # The topic's limit was lowered meanwhile.
            self.limit //= 2
            if self.limit < _FRAME:
                raise stop_for(error, f"writing to {self._topic}, even without the record")
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
                client_log.warning("purging undelivered dead letters: %s", error)


def message_of(letter: DeadLetter, limit: int) -> tuple[bytes, dict[str, str | bytes | None]]:
    """The value and the headers of a letter's message; cut when above ``limit`` bytes."""
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
    most = max(0, limit - _FRAME)
    whole = len(letter.value) <= most
    if not whole:
        said["truncated"] = str(len(letter.value))
        said["detail"] += f" (only the first {most} of {len(letter.value)} bytes are kept)"
    headers: dict[str, str | bytes | None] = {
        name: text.encode("utf-8", "backslashreplace") for name, text in said.items()
    }
    headers["origin"] = origin_header(origin)
    return letter.value if whole else letter.value[:most], headers
