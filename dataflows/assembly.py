"""From settings to parts: what every command and the job itself open."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import redis

from connectors.dead_letters import DeadLetterStore
from connectors.document_store import DocumentStore
from connectors.document_trends import DocumentTrendStore
from connectors.documents import open_document_store
from connectors.elasticsearch_writer import BulkLimits
from connectors.embedded_redis import running_address
from connectors.kafka_dead_letters import KafkaDeadLetters
from connectors.kafka_trends import KafkaTrendStore
from connectors.presence import Presence
from connectors.redis_client import Tls, connect
from connectors.redis_trends import RedisTrendStore
from connectors.sqlite_dead_letters import SqliteDeadLetters
from connectors.sqlite_schema import path_of
from connectors.trend_store import TrendStore
from dataflows.order import Order
from groundswell.analysis_settings import Detection, Trends
from groundswell.reports import Status
from groundswell.settings import Settings
from groundswell.waits import Waits
from operators.decode import Decoder
from operators.trend_options import DetectionOptions, TrendOptions


def documents_url(settings: Settings) -> str:
    """The address of the document store; by default a file in the data directory."""
    return settings.documents.url or f"sqlite:///{Path(settings.job.data_dir) / 'documents.db'}"


def documents_path(settings: Settings) -> Path | None:
    """The file of the documents, or ``None`` when they are in Elasticsearch."""
    url = documents_url(settings)
    return path_of(url) if url.startswith("sqlite:") else None


def open_documents(settings: Settings, waits: Waits) -> DocumentStore:
    """The document store; connects to nothing yet."""
    documents = settings.documents
    return open_document_store(
        documents_url(settings),
        waits,
        alias=documents.alias,
        trends_index=documents.trends_index,
        interval=documents.interval,
        shards=documents.shards,
        replicas=documents.replicas,
        limits=BulkLimits(
            documents=documents.bulk_documents,
            size=documents.bulk_bytes,
            in_flight=documents.in_flight,
            compress=documents.compress,
        ),
        timeout=documents.timeout,
        username=documents.username,
        password=documents.password,
        api_key=documents.api_key,
        ca_certs=documents.ca_certs,
    )


def dead_letters_in_kafka(settings: Settings) -> bool:
    """Whether dead letters go to a topic; by default they do when posts come from one."""
    return (settings.dead_letters.store or ("kafka" if "kafka" in settings.sources.use else "sqlite")) == "kafka"


def dead_letters_path(settings: Settings) -> Path:
    """The file of embedded dead letters: the documents' own where these are in SQLite."""
    return documents_path(settings) or Path(settings.job.data_dir) / "dead-letters.db"


def open_sqlite_dead_letters(settings: Settings, waits: Waits) -> SqliteDeadLetters:
    """The embedded store of dead letters."""
    return SqliteDeadLetters(dead_letters_path(settings), waits)


def open_dead_letters(settings: Settings, waits: Waits) -> DeadLetterStore:
    """The store of dead letters; connects to nothing yet."""
    if not dead_letters_in_kafka(settings):
        return open_sqlite_dead_letters(settings, waits)
    kafka = settings.kafka
    return KafkaDeadLetters(
        kafka.bootstrap_servers, kafka.dead_topic, kafka.topic, waits, client=kafka_client(settings)
    )


def kafka_client(settings: Settings) -> dict[str, str | int | float | bool]:
    """The librdkafka settings that are passed through, with the secrets in their places."""
    kafka = settings.kafka
    secrets = {"sasl.password": kafka.sasl_password, "ssl.key.password": kafka.ssl_key_password}
    return kafka.client | {name: value for name, value in secrets.items() if value}


def open_decoder(settings: Settings, clock: Callable[[], datetime]) -> Decoder:
    """The decoder."""
    decode = settings.decode
    return Decoder(
        decode.shape,
        decode.mapping,
        timedelta(seconds=decode.max_future),
        datetime.combine(decode.floor, time(), UTC),
        clock,
        max_record_bytes=decode.max_record_bytes,
    )


def redis_address(settings: Settings) -> str:
    """The address of Redis, empty when it is turned off.

    With the embedded server, raises ``Unavailable`` unless a job runs on this data directory.
    """
    url = settings.redis.url
    return running_address(Path(settings.job.data_dir)) if url == "embedded" else url


def open_redis(settings: Settings, url: str) -> redis.Redis:
    """A client of the Redis at ``url``; connects at its first command."""
    given = settings.redis
    # The embedded server is a socket of this machine.
    tls = Tls(given.ca_certs, given.client_cert, given.client_key) if url.startswith("rediss") else Tls()
    return connect(
        url,
        username=given.username,
        password=given.password,
        sentinel_username=given.sentinel_username,
        sentinel_password=given.sentinel_password,
        tls=tls,
    )


def trend_options(settings: Settings) -> TrendOptions:
    """What the trends engine is told."""
    trends = settings.trends
    found = DetectionOptions(**_shared(DetectionOptions, trends.detection)) if trends.detection.enabled else None
    return TrendOptions(**_shared(TrendOptions, trends) | {"detection": found})


def _shared(options: type[DetectionOptions | TrendOptions], section: Detection | Trends) -> dict[str, Any]:
    """The settings of a section that are options of the same names."""
    return {option.name: getattr(section, option.name) for option in fields(options)}


def open_trend_stores(settings: Settings, waits: Waits, redis_url: str, documents: DocumentStore) -> list[TrendStore]:
    """Where windows and trends go, in this order; connects to nothing yet.

    First the topic, which others rely on, then Redis unless ``redis_url`` is empty, then the
    document store, which stays the caller's.
    """
    kafka, trends = settings.kafka, settings.trends
    stores: list[TrendStore] = []
    if trends_in_kafka(settings):
        stores.append(
            KafkaTrendStore(kafka.bootstrap_servers, kafka.trends_topic, waits, client=kafka_client(settings))
        )
    if redis_url:
        span = trends.window + trends.lateness + math.ceil(trends.disorder)
        stores.append(
            RedisTrendStore(
                open_redis(settings, redis_url),
                waits,
                prefix=settings.redis.prefix,
                window_ttl=trends.window_ttl,
                # Twice what a correction reaches back, and an hour for outages and restarts.
                horizon=2 * span + 3600,
            )
        )
    stores.append(DocumentTrendStore(documents, waits))
    return stores


def trends_in_kafka(settings: Settings) -> bool:
    """Whether the events of trends go to a topic."""
    return settings.trends.enabled and "kafka" in settings.sources.use and bool(settings.kafka.trends_topic)


def open_presence(order: Order, waits: Waits, status: Callable[[], Status]) -> Presence | None:
    """The started report of this process to Redis, or ``None`` where Redis is turned off."""
    if not order.redis_url:
        return None
    settings = order.settings
    presence = Presence(
        open_redis(settings, order.redis_url),
        waits,
        status,
        job=settings.job.name,
        process=order.process,
        prefix=settings.redis.prefix,
        restarts=order.restarts,
    )
    presence.start()
    return presence
