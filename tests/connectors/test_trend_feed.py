"""The contract of a feed of trend events: Kafka's topic and Redis' stream of changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main
from confluent_kafka import Producer

from connectors.kafka_trends import KafkaTrendStore
from connectors.redis_client import connect
from connectors.redis_trends import RedisTrendStore
from connectors.trend_feed import KafkaTrendFeed, RedisTrendFeed, Roster, TrendEventSource, TrendFeed
from connectors.trend_reader import TrendReader
from connectors.trend_store import TrendStore
from groundswell.errors import Unavailable
from groundswell.trends import TrendEvent
from groundswell.waits import Waits
from tests.conftest import RedisDatabase
from tests.connectors.trends import samples, trend_event
from tests.stack.kafka import KafkaServer
from tests.waiting import wait_until

pytestmark = pytest.mark.stack


class Place(NamedTuple):
    store: TrendStore
    open: Callable[[], TrendFeed]


@pytest.fixture(params=["kafka", "redis"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    waits = Waits()
    if request.param == "kafka":
        server: KafkaServer = request.getfixturevalue("kafka")
        topic = f"{server.topic()}.trends"
        store: TrendStore = KafkaTrendStore(server.bootstrap_servers, topic, waits)
        made = Place(store, lambda: KafkaTrendFeed(server.bootstrap_servers, topic))
    else:
        database: RedisDatabase = request.getfixturevalue("redis")
        store = RedisTrendStore(connect(database.url), waits)
        made = Place(store, lambda: RedisTrendFeed(TrendReader(connect(database.url))))
    store.prepare()
    yield made
    store.close()


def write(place: Place, *events: TrendEvent) -> None:
    place.store.write([], events, lambda: True)


def collect(feed: TrendFeed, count: int) -> list[TrendEvent]:
    found: list[TrendEvent] = []

    def enough() -> bool:
        found.extend(feed.changes())
        return len(found) >= count

    wait_until(enough, 10, f"{count} events")
    return found


def names(events: list[TrendEvent]) -> list[tuple[str, str, int]]:
    return sorted((event.trend.tag, event.event, event.at.minute) for event in events)


def test_it_begins_with_the_newest_event_of_each_trend(place: Place) -> None:
    write(
        place,
        trend_event("flood", 0, event="began", samples=samples(3, 20)),
        trend_event("storm", 0, event="began", samples=samples(3, 20)),
        trend_event("flood", 1, event="changed", samples=samples(5, 20)),
        trend_event("storm", 2, event="ended"),
    )
    feed = place.open()
    begun = feed.begin()
    assert names(begun) == [("flood", "changed", 1), ("storm", "ended", 2)]
    assert next(event for event in begun if event.trend.tag == "flood").trend.samples == samples(5, 20)
    assert feed.changes() == []
    feed.close()


def test_changes_come_in_their_order_with_their_samples(place: Place) -> None:
    write(place, trend_event("flood", 0, event="began", samples=samples(2, 20)))
    feed = place.open()
    feed.begin()
    write(place, trend_event("flood", 1, samples=samples(4, 20)))
    write(place, trend_event("flood", 2, event="ended"))
    found = collect(feed, 2)
    assert [(event.event, event.at.minute) for event in found] == [("changed", 1), ("ended", 2)]
    assert found[0].trend.samples == samples(4, 20)
    feed.close()


def test_trends_of_a_job_that_was_started_anew_replace_those_before(place: Place) -> None:
    write(place, trend_event("flood", 0, event="began"))
    write(place, trend_event("storm", 5, event="began", generation=2))
    feed = place.open()
    assert names(feed.begin()) == [("storm", "began", 5)]
    feed.close()


def test_a_second_beginning_tells_everything_again(place: Place) -> None:
    write(place, trend_event("flood", 0, event="began"))
    feed = place.open()
    assert feed.begin() == feed.begin()
    feed.close()


def test_a_topic_that_is_not_there_yet_is_waited_for(kafka: KafkaServer) -> None:
    feed = KafkaTrendFeed(kafka.bootstrap_servers, f"{kafka.topic()}.missing")
    with pytest.raises(Unavailable, match="posts job"):
        feed.begin()


def test_what_is_no_event_is_passed_over(kafka: KafkaServer, caplog: pytest.LogCaptureFixture) -> None:
    topic = kafka.topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for value in (b"{}", b"\xff"):
        producer.produce(topic, value)
    producer.flush()
    feed = KafkaTrendFeed(kafka.bootstrap_servers, topic)
    assert feed.begin() == []
    assert caplog.text.count("no trend event") == 2
    feed.close()


def test_the_roster_knows_what_is_followed() -> None:
    roster = Roster()
    assert roster.is_active("flood/1") is None
    roster.begin([trend_event("flood"), trend_event("storm", event="ended")])
    assert (roster.is_active("flood/1"), roster.is_active("storm/1"), roster.is_active("fire/1")) == (
        True,
        False,
        False,
    )
    roster.add([trend_event("flood", 1, event="ended"), trend_event("storm", -1)])
    assert (roster.is_active("flood/1"), roster.is_active("storm/1")) == (False, False)
    roster.add([trend_event("fire", generation=2)])
    roster.add([trend_event("flood", 9)])
    assert (roster.is_active("fire/1"), roster.is_active("flood/1")) == (True, False)


class _Stop:
    def is_set(self) -> bool:
        return False


def test_as_an_input_it_ends_when_all_is_said(place: Place) -> None:
    write(place, trend_event("flood", 0, event="began"), trend_event("storm", 0, event="began"))
    out: list[TrendEvent] = []
    roster = Roster()
    epochs: list[int] = []
    flow = Dataflow("feed")
    sent: list[int] = []
    source = TrendEventSource(
        place.open(), roster, _Stop(), Waits(), lambda: len(out) == 2, sent.append, lambda: epochs.append(1)
    )
    op.output("out", op.input("in", flow, source), TestingSink(out))
    run_main(flow)
    assert names(out) == [("flood", "began", 0), ("storm", "began", 0)]
    assert roster.is_active("storm/1")
    assert sum(sent) == 2
