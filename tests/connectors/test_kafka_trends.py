"""Trend events in their topic: made, kept by key, read back, through outages and within its limits."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from connectors.kafka_topic import KafkaTopic
from connectors.kafka_trends import KafkaTrendStore, read_trends
from connectors.trend_json import encode_trend
from groundswell.errors import Draining, Unavailable
from groundswell.trends import Sample, TagCount, TrendEvent, Window, newest_events
from groundswell.waits import Waits
from tests.connectors.trends import samples, trend_event
from tests.stack.kafka import KafkaServer
from tests.waiting import wait_until

pytestmark = pytest.mark.stack


class Desk:
    """A store of a topic of its own, and a look at the topic past it."""

    def __init__(self, kafka: KafkaServer, topic: str) -> None:
        self.kafka = kafka
        self.topic = topic
        self.waits = Waits()
        self.store = KafkaTrendStore(kafka.bootstrap_servers, topic, self.waits)

    def put(self, *events: TrendEvent) -> None:
        self.store.write([], events, lambda: True)

    def messages(self) -> list[tuple[str, bytes]]:
        """Key and value of every message, by partition and offset."""
        source = KafkaTopic(self.kafka.bootstrap_servers, self.topic)
        found = [message for partition in source.partitions() for message in source.read(partition)]
        return [((message.key() or b"").decode(), message.value() or b"") for message in found]

    def trends(self) -> dict[str, TrendEvent]:
        return read_trends(self.kafka.bootstrap_servers, self.topic)

    def config(self) -> dict[str, str]:
        return KafkaTopic(self.kafka.bootstrap_servers, self.topic).config() or {}


@pytest.fixture
def desk(kafka: KafkaServer) -> Iterator[Desk]:
    """A store whose topic is not there yet."""
    desk = Desk(kafka, f"{kafka.topic()}.trends")
    yield desk
    desk.store.close()


class TestTopic:
    def test_it_is_made_compacted_and_left_as_it_is_then(self, desk: Desk) -> None:
        assert desk.trends() == {}
        desk.store.prepare()
        assert desk.config()["cleanup.policy"] == "compact"
        desk.put(event := trend_event())
        desk.store.prepare()
        assert desk.trends() == {"flood/1": event}

    def test_one_that_forgets_is_used_and_warned_of(self, kafka: KafkaServer, caplog: pytest.LogCaptureFixture) -> None:
        desk = Desk(kafka, kafka.topic(cleanup_policy="delete"))
        with caplog.at_level(logging.WARNING, "connectors.kafka_trends"):
            desk.store.prepare()
        (warning,) = caplog.messages
        assert f"the topic {desk.topic} is not compacted (cleanup.policy=delete)" in warning
        assert "--add-config cleanup.policy=compact" in warning
        desk.put(event := trend_event())
        assert desk.trends() == {"flood/1": event}
        desk.store.close()

    @pytest.mark.parametrize("policy", ["compact", "compact,delete"])
    def test_one_that_is_compacted_is_fine(
        self, kafka: KafkaServer, caplog: pytest.LogCaptureFixture, policy: str
    ) -> None:
        desk = Desk(kafka, kafka.topic(cleanup_policy=policy))
        with caplog.at_level(logging.WARNING, "connectors.kafka_trends"):
            desk.store.prepare()
        assert caplog.messages == []
        desk.store.close()


class TestWriting:
    def test_every_event_is_a_message_under_the_trends_id_and_windows_are_none(self, desk: Desk) -> None:
        desk.store.prepare()
        events = [trend_event(event="began"), trend_event("東京"), trend_event(minute=1, samples=samples(300, 280))]
        window = Window(1, 1_800_000_000, 0, 1800, (TagCount("flood", 1),))
        desk.store.write([window], events, lambda: True)
        desk.store.write([window], [], lambda: True)
        messages = desk.messages()
        assert [key for key, _ in messages] == ["flood/1", "東京/1", "flood/1"]
        assert json.loads(messages[0][1])["event"] == "began"
        assert desk.trends() == {"flood/1": events[2], "東京/1": events[1]}

    def test_they_are_there_when_write_returns(self, desk: Desk) -> None:
        desk.store.prepare()
        for minute in range(5):
            desk.put(event := trend_event(minute=minute))
            assert desk.trends() == {"flood/1": event}

    def test_replays_in_any_order_and_twice_leave_the_highest_fence(self, kafka: KafkaServer) -> None:
        desk = Desk(kafka, kafka.topic(3, cleanup_policy="compact"))
        desk.store.prepare()
        events = [
            trend_event(tag, minute, revision, generation, "ended" if minute == 3 else "changed")
            for tag in ("flood", "storm", "東京", "goal")
            for minute in range(4)
            for revision in range(2)
            for generation in (1, 2)
        ]
        expected = newest_events(events)
        shuffled = random.Random(4)
        for _ in range(3):
            some = shuffled.sample(events, len(events))
            for start in range(0, len(some), 7):
                desk.put(*some[start : start + 7])
        assert desk.trends() == expected
        assert {event.event for event in expected.values()} == {"ended"}
        assert {event.fence[::2] for event in expected.values()} == {(2, 1)}
        desk.store.close()

    def test_a_trend_that_lies_in_two_partitions_is_read_once(self, kafka: KafkaServer) -> None:
        """More partitions than before: the same key goes to another one."""
        desk = Desk(kafka, kafka.topic(2, cleanup_policy="compact"))
        other = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        for partition, minute in ((0, 3), (1, 2), (1, 1)):
            value = json.dumps(_builtins(trend_event(minute=minute)))
            other.produce(desk.topic, value, b"flood/1", partition=partition)
        other.flush(10)
        assert desk.trends() == {"flood/1": trend_event(minute=3)}
        desk.store.close()


class TestLimits:
    def test_samples_are_cut_until_it_fits(self, kafka: KafkaServer, caplog: pytest.LogCaptureFixture) -> None:
        desk = Desk(kafka, kafka.topic(cleanup_policy="compact", max_message_bytes=100_000))
        desk.store.prepare()
        large, small = trend_event(samples=samples(300, 1_000)), trend_event("storm", samples=samples(3, 10))
        with caplog.at_level(logging.WARNING, "connectors.kafka_trends"):
            desk.put(large, small)
        found = desk.trends()
        kept = len(found["flood/1"].trend.samples)
        assert 50 < kept < 100
        assert found["flood/1"].trend.words == large.trend.words
        assert found["storm/1"] == small
        (warning,) = caplog.messages
        assert warning.startswith("the event of flood at 2026-11-16T12:00:00+00:00 is too large for")
        assert warning.endswith(f"takes 100000 bytes: it goes with {kept} of 300 samples")
        desk.store.close()

    def test_a_limit_that_was_lowered_meanwhile_is_found_out_and_order_stays(self, kafka: KafkaServer) -> None:
        """::

        limit     1 MiB ─── 60 kB: the first is refused, the second is small enough
        sent      flood 1 (refused), flood 2, again flood 1 (smaller), flood 2
        """
        desk = Desk(kafka, kafka.topic(cleanup_policy="compact"))
        desk.store.prepare()
        alter_topic(kafka, desk.topic, "max.message.bytes", "60000")
        # Random texts: what the broker measures is compressed.
        noise = random.Random(7)
        texts = tuple(Sample("test", str(number), noise.randbytes(500).hex()) for number in range(300))
        desk.put(trend_event(minute=1, samples=texts), trend_event(minute=2))
        messages = [json.loads(value) for _, value in desk.messages()]
        assert [message["at"] for message in messages][-2:] == ["2026-11-16T12:01:00Z", "2026-11-16T12:02:00Z"]
        assert 0 < len(messages[-2]["trend"]["samples"]) < 300
        desk.store.close()


class TestReading:
    def test_somebody_elses_messages_are_passed_over(self, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
        desk.store.prepare()
        other = Producer({"bootstrap.servers": desk.kafka.bootstrap_servers})
        for value in (b"hello", b'{"event": "began"}', b"\xff"):
            other.produce(desk.topic, value, b"flood/1")
        other.flush(10)
        desk.put(event := trend_event())
        with caplog.at_level(logging.WARNING, "connectors.kafka_trends"):
            assert desk.trends() == {"flood/1": event}
        assert len(caplog.messages) == 3
        assert caplog.messages[0].startswith(f"{desk.topic}/0/0 is no trend event")

    def test_a_field_of_a_later_version_does_no_harm(self, desk: Desk) -> None:
        desk.store.prepare()
        other = Producer({"bootstrap.servers": desk.kafka.bootstrap_servers})
        value = _builtins(trend_event())
        value["trend"]["colour"] = value["mood"] = "blue"
        other.produce(desk.topic, json.dumps(value), b"flood/1")
        other.flush(10)
        assert desk.trends() == {"flood/1": trend_event()}

    def test_a_message_without_a_value_forgets_the_trend(self, desk: Desk) -> None:
        desk.store.prepare()
        desk.put(trend_event(), storm := trend_event("storm"))
        other = Producer({"bootstrap.servers": desk.kafka.bootstrap_servers})
        other.produce(desk.topic, None, b"flood/1")
        other.flush(10)
        assert desk.trends() == {"storm/1": storm}

    def test_a_broker_that_does_not_answer_is_said(self) -> None:
        with pytest.raises(Unavailable, match="kafka"):
            read_trends("127.0.0.1:1", "trends")
        store = KafkaTrendStore("127.0.0.1:1", "trends", Waits())
        with pytest.raises(Unavailable, match="kafka"):
            store.prepare()
        store.close()


def test_what_compaction_leaves_is_the_newest_of_every_trend(kafka: KafkaServer) -> None:
    """The broker's cleaner at work: old events go, the last of each trend stays."""
    topic = kafka.topic(
        cleanup_policy="compact",
        segment_ms=100,
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms=100,
        delete_retention_ms=100,
    )
    desk = Desk(kafka, topic)
    desk.store.prepare()
    last = {tag: trend_event(tag, 50, event="ended") for tag in ("flood", "storm")}
    for minute in range(50):
        desk.put(*(trend_event(tag, minute, samples=samples(10, 100)) for tag in last))
    desk.put(*last.values())

    def compacted() -> bool:
        # A segment closes when something is written after its time.
        desk.put(trend_event("other"))
        return sum(key == "flood/1" for key, _ in desk.messages()) == 1

    wait_until(compacted, 60, "the broker to compact", interval=0.5)
    found = desk.trends()
    assert {event.trend.tag: event for event in found.values() if event.trend.tag != "other"} == last
    desk.store.close()


@pytest.mark.faults
class TestOutages:
    def test_one_is_waited_out_and_order_stays(self, desk: Desk) -> None:
        desk.store.prepare()
        desk.put(trend_event())
        desk.kafka.kill()
        events = [trend_event(tag, minute) for minute in range(1, 20) for tag in ("flood", "storm")]
        thread = threading.Thread(target=desk.put, args=events)
        thread.start()
        assert wait_until(desk.waits.current, 30, "the wait to be named").keys() == {"kafka"}
        assert thread.is_alive()
        desk.kafka.start()
        thread.join(60)
        assert not thread.is_alive()
        assert desk.waits.current() == {}
        assert desk.trends() == newest_events(events)
        assert [json.loads(value)["trend"]["count"] for key, value in desk.messages() if key == "flood/1"] == list(
            range(100, 120)
        )

    def test_one_is_given_up_when_the_job_drains(self, desk: Desk) -> None:
        desk.store.prepare()
        desk.put(trend_event())
        desk.kafka.kill()
        with pytest.raises(Draining, match="kafka"):
            desk.store.write([], [trend_event(minute=1)], lambda: False)
        assert desk.waits.current() == {}
        desk.kafka.start()
        desk.put(event := trend_event(minute=2))
        assert desk.trends() == {"flood/1": event}


def alter_topic(kafka: KafkaServer, topic: str, name: str, value: str) -> None:
    """Change one setting of a topic and return once the broker says so."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.incremental_alter_configs([resource])[resource].result(30)
    asked = KafkaTopic(kafka.bootstrap_servers, topic)
    wait_until(lambda: (asked.config() or {}).get(name) == value, 30, f"{name} of {topic} to be {value}")


def _builtins(event: TrendEvent) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode_trend(event))
    return found
