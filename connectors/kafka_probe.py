"""Asks a broker whether it answers and whether it knows a topic, without reading or writing anything."""

from __future__ import annotations

import time

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.kafka_client import KAFKA, ClientSettings, client_log, client_settings, never_heals, stop_for
from groundswell.errors import Unavailable


class Cluster(msgspec.Struct, frozen=True):
    """A cluster that answered; ``partitions`` is ``None`` when it does not know the topic."""

    brokers: int
    partitions: int | None
    latency_s: float


class KafkaProbe:
    """Keeps one connection for questions that come again, such as those of a readiness probe."""

    def __init__(self, bootstrap_servers: str, topic: str, *, client: ClientSettings | None = None) -> None:
        self._topic = topic
        self._servers = bootstrap_servers
        self._settings = client_settings(bootstrap_servers, client or {}, {})
        self._admin: AdminClient | None = None

    def ask(self, timeout: float = 5.0) -> Cluster:
        """Ask. Raises ``Unavailable`` when no broker answers and ``StopJob`` when none ever will."""
        began = time.perf_counter()
        try:
            if self._admin is None:
                self._admin = AdminClient(self._settings, logger=client_log)
            # All topics: asking for one by name could make it.
            found = self._admin.list_topics(timeout=timeout)
        except KafkaException as error:
            reason = error.args[0]
            if never_heals(reason):
                raise stop_for(reason, "asking for the topics") from None
            raise Unavailable(KAFKA, f"no broker answers at {self._servers} within {timeout:g} s") from None
        known = found.topics.get(self._topic)
        partitions = len(known.partitions) if known is not None and known.error is None else None
        return Cluster(len(found.brokers), partitions, time.perf_counter() - began)
