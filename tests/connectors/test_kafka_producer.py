"""Every delivery is confirmed, or the writing fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from connectors.kafka_producer import write_to_kafka
from connectors.kafka_source import KafkaSource
from groundswell.errors import Unavailable
from groundswell.waits import Waits
from tests.connectors.partitions import Driver, ample_credits, never
from tests.stack.kafka import KafkaServer

pytestmark = pytest.mark.stack


def _read(kafka: KafkaServer, topic: str) -> list[bytes]:
    driver = Driver(
        KafkaSource(kafka.bootstrap_servers, [topic], "g", ample_credits(), never(), Waits(), until_end=True)
    )
    driver.run()
    return driver.values


def test_all_records_arrive_in_order(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    records = [b'{"id": %d}' % number for number in range(20_000)]
    assert write_to_kafka(iter(records), kafka.bootstrap_servers, topic) == 20_000
    assert _read(kafka, topic) == records


def test_a_full_queue_is_waited_for(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    records = [b"%d" % number for number in range(5000)]
    small = {"queue.buffering.max.messages": 100}
    assert write_to_kafka(iter(records), kafka.bootstrap_servers, topic, small) == 5000
    assert _read(kafka, topic) == records


def test_a_broker_that_stops_for_a_while_loses_nothing(kafka: KafkaServer) -> None:
    topic = kafka.topic()

    def records() -> Iterator[bytes]:
        for number in range(3000):
            if number == 1000:
                kafka.stop()
                starting.start()
            yield b"%d" % number

    starting = threading.Thread(target=kafka.start)
    assert write_to_kafka(records(), kafka.bootstrap_servers, topic) == 3000
    starting.join()
    assert _read(kafka, topic) == [b"%d" % number for number in range(3000)]


def test_what_is_never_confirmed_is_an_error(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    kafka.stop()
    with pytest.raises(Unavailable, match=f"a record for '{topic}' was not confirmed"):
        write_to_kafka([b"{}"], kafka.bootstrap_servers, topic, {"delivery.timeout.ms": 1000})


def test_a_record_too_large_is_an_error_at_once(kafka: KafkaServer) -> None:
    with pytest.raises(Unavailable, match="not confirmed"):
        write_to_kafka([bytes(5_000_000)], kafka.bootstrap_servers, kafka.topic())
