"""What every Kafka client here has in common: its settings, its log, and what its errors mean."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping

from confluent_kafka import KafkaError, KafkaException, Producer

from groundswell.errors import StopJob

#: The name of the dependency in metrics, health and waits.
KAFKA = "kafka"

#: Seconds within which the same complaint is logged once.
_REPEAT_SECONDS = 10.0
_DIGITS = re.compile(r"\d+")


class OncePerWhile(logging.Filter):
    """Lets a line through once in a while, whatever the numbers in it, and says how many it held back.

    A client without its broker complains ten times a second and connection.
    """

    def __init__(self, seconds: float = _REPEAT_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        key = _DIGITS.sub("#", text)
        now = self._clock()
        # Clients log from several threads, and filters run outside any lock of the logger.
        with self._lock:
            since, held = self._told.get(key, (float("-inf"), 0))
            if now - since < self._seconds:
                self._told[key] = (since, held + 1)
                return False
            self._told = {each: told for each, told in self._told.items() if told[1] or now - told[0] < self._seconds}
            self._told[key] = (now, 0)
        if held:
            record.msg, record.args = f"{text} [{held} more like it]", ()
        return True


#: librdkafka's own log lines arrive here.
client_log = logging.getLogger("groundswell.kafka.client")
client_log.addFilter(OncePerWhile())

ClientSettings = Mapping[str, str | int | float | bool]

#: A broker that is back must be noticed within seconds, not after librdkafka's ten.
_COMMON: ClientSettings = {
    "client.id": "groundswell",
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 1000,
    "socket.connection.setup.timeout.ms": 10_000,
    "log.connection.close": False,
}

#: Answers that stay the same however often one asks: credentials and permissions.
_PERMANENT = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 (the library's public names of local errors)
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.UNSUPPORTED_VERSION,
    }
)

_MISSING_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)


def client_settings(
    bootstrap_servers: str, passed_through: ClientSettings, own: ClientSettings
) -> dict[str, str | int | float | bool]:
    """The librdkafka settings of a client: common ones, then the user's, then ``own``.

    ``own`` comes last because correctness rests on it (offsets, isolation, delivery).
    """
    return {**_COMMON, **passed_through, "bootstrap.servers": bootstrap_servers, **own}


def refused_setting(passed_through: ClientSettings) -> str | None:
    """What librdkafka has against these settings, if anything; connects to nothing."""
    try:
        # Without a broker to begin with, a client only looks at its settings; its log says that there is none.
        own = {"bootstrap.servers": "", "log_level": 0}
        Producer({**passed_through, **own})
    except KafkaException as error:
        said: str = error.args[0].str()
        return said.removeprefix("Failed to create producer: ")
    return None


def never_heals(error: KafkaError) -> bool:
    """Whether waiting and asking again cannot help."""
    # A certificate that is not trusted arrives as a general TLS failure; only its text tells it
    # from a handshake that a restarting broker cut off.
    untrusted = error.code() == KafkaError._SSL and "certificate" in error.str().lower()  # noqa: SLF001
    return error.code() in _PERMANENT or untrusted


def is_missing_topic(error: KafkaError) -> bool:
    """Whether the broker does not know the topic or the partition (yet, or any more)."""
    return error.code() in _MISSING_TOPIC


def stop_for(error: KafkaError, doing: str) -> StopJob:
    """The reason to stop for an error that never heals."""
    return StopJob(f"Kafka refused while {doing}: {error.str()} ({error.name()})")


def error_callback(on_error: Callable[[KafkaError], None]) -> Callable[[KafkaError], None]:
    """An ``error_cb`` that logs every error and hands it on."""

    def handle(error: KafkaError) -> None:
        client_log.warning("%s (%s)", error.str(), error.name())
        on_error(error)

    return handle
