"""The servers that the other tests stand on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis as redis_client
from confluent_kafka import Consumer, Producer

from tests.conftest import RedisDatabase
from tests.stack.elasticsearch import ElasticsearchServer
from tests.stack.kafka import KafkaServer
from tests.stack.process import group_members
from tests.waiting import wait_until

pytestmark = pytest.mark.stack

ROOT = Path(__file__).resolve().parent.parent


def _read(kafka: KafkaServer, topic: str, expected: int) -> list[bytes | None]:
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    seen: list[bytes | None] = []

    def enough() -> bool:
        seen.extend(message.value() for message in consumer.consume(100, timeout=0.5) if not message.error())
        return len(seen) >= expected

    wait_until(enough, 30, f"{expected} messages")
    consumer.close()
    return seen


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_kafka_keeps_its_messages_over_a_restart(kafka: KafkaServer, end: str) -> None:
    topic = kafka.topic(partitions=1, retention_ms=86_400_000)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "acks": "all"})
    producer.produce(topic, b"before")
    assert producer.flush(30) == 0
    address = kafka.bootstrap_servers
    getattr(kafka, end)()
    assert not kafka.running
    kafka.start()
    producer.produce(topic, b"after")
    assert producer.flush(30) == 0
    assert kafka.bootstrap_servers == address
    assert _read(kafka, topic, 2) == [b"before", b"after"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_elasticsearch_keeps_its_documents_over_a_restart(elasticsearch: ElasticsearchServer, end: str) -> None:
    index = f"{elasticsearch.prefix()}kept"
    elasticsearch.request("PUT", f"/{index}/_doc/1", {"text": "before"})
    pid = elasticsearch.pid
    assert pid is not None
    getattr(elasticsearch, end)()
    assert not group_members(pid)
    elasticsearch.start()
    elasticsearch.request("PUT", f"/{index}/_doc/2?refresh=true", {"text": "after"})
    wait_until(lambda: elasticsearch.request("GET", f"/{index}/_count")["count"] == 2, 30, "both documents")


@pytest.mark.parametrize("end", ["stop"])
def test_redis_keeps_its_keys_over_a_restart(redis: RedisDatabase, end: str) -> None:
    with redis_client.Redis.from_url(redis.url) as client:
        client.set("key", "kept")
        redis.stop()
        assert not redis.running
        redis.start()
        assert client.get("key") == b"kept"
