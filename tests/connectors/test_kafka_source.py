"""Reading Kafka: exact positions, stated policies, nothing silent."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from connectors.credits import Credits
from connectors.kafka_offsets import TOPICS_SECONDS, InputChanged, OffsetWatch
from connectors.kafka_source import KafkaSource
from connectors.origin_header import ORIGIN_HEADER, origin_header
from connectors.source import BATCH_BYTES
from groundswell import metrics
from groundswell.errors import Draining, StopJob
from groundswell.records import Origin
from groundswell.waits import Waits
from tests.connectors.partitions import Clock, Driver, ample_credits, never
from tests.stack.kafka import KafkaServer
from tests.waiting import wait_until

pytestmark = pytest.mark.stack


def _source(kafka: KafkaServer, topic: str, *, until_end: bool = True, waits: Waits | None = None, **more: Any) -> Any:
    group = more.pop("group", "test")
    stop = more.pop("stop", never())
    budget = more.pop("credits", ample_credits())
    topics = [topic]
    return KafkaSource(
        kafka.bootstrap_servers, topics, group, budget, stop, waits or Waits(), until_end=until_end, **more
    )


def _produce(kafka: KafkaServer, topic: str, values: Sequence[bytes | None], partition: int = 0, **more: Any) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 5})
    for value in values:
        producer.produce(topic, value, partition=partition, **more)
    assert producer.flush(30) == 0


def _numbers(first: int, last: int) -> list[bytes]:
    return [b'{"id": %d}' % number for number in range(first, last)]


def _has_batches(driver: Driver, count: int) -> bool:
    return len(driver.batches) >= count


def _delete_before(kafka: KafkaServer, topic: str, offset: int) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(topic, 0, offset)]).values():
        future.result(30)


def _expired(topic: str) -> float | None:
    return metrics.REGISTRY.get_sample_value("groundswell_offsets_expired_total", {"partition": f"{topic}/0"})


def test_all_partitions_are_read_up_to_the_end_and_the_source_ends(kafka: KafkaServer) -> None:
    topic = kafka.topic(partitions=2)
    _produce(kafka, topic, _numbers(0, 700), 0)
    _produce(kafka, topic, _numbers(700, 1000), 1)
    source = _source(kafka, topic)
    assert source.partitions() == [f"{topic}/00000", f"{topic}/00001"]
    driver = Driver(source)
    driver.run()
    assert sorted(driver.values) == sorted(_numbers(0, 1000))
    assert [place for place in driver.places if place[1] == 0] == [(topic, 0, offset) for offset in range(700)]
    assert [place for place in driver.places if place[1] == 1] == [(topic, 1, offset) for offset in range(300)]


def test_an_empty_topic_ends_at_once(kafka: KafkaServer) -> None:
    driver = Driver(_source(kafka, kafka.topic()))
    assert driver.run() == []


def test_what_arrives_after_the_start_is_not_part_of_until_end(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, _numbers(0, 600))
    driver = Driver(_source(kafka, topic, credits=Credits(1, 10**9)))
    driver.run(lambda: bool(driver.batches))
    _produce(kafka, topic, _numbers(600, 900))
    budget = driver.batches[0]
    driver.close()
    assert len(budget.values) <= 500
    later = Driver(_source(kafka, topic))
    later.run(lambda: bool(later.batches))
    _produce(kafka, topic, _numbers(900, 1000))
    later.run()
    assert later.values == _numbers(0, 900)


def test_a_restart_goes_on_with_exactly_the_next_record(kafka: KafkaServer) -> None:
    topic = kafka.topic(partitions=2)
    _produce(kafka, topic, _numbers(0, 3000), 0)
    _produce(kafka, topic, _numbers(3000, 5000), 1)
    values: list[bytes] = []
    states: dict[str, Any] | None = None
    for batches in (1, 2, 3):
        driver = Driver(_source(kafka, topic), states)
        driver.run(partial(_has_batches, driver, batches))
        values += driver.values
        states = driver.snapshot()
        driver.close()
    driver = Driver(_source(kafka, topic), states)
    driver.run()
    values += driver.values
    assert sorted(values) == sorted(_numbers(0, 5000))


def test_a_drain_stops_every_partition_and_keeps_its_position(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, _numbers(0, 2000))
    stop = threading.Event()
    driver = Driver(_source(kafka, topic, until_end=False, stop=stop))
    driver.run(lambda: bool(driver.batches))
    stop.set()
    driver.run()
    rest = Driver(_source(kafka, topic), driver.states)
    rest.run()
    assert driver.values + rest.values == _numbers(0, 2000)


def test_latest_begins_at_the_end_and_stays_there_over_a_restart(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, _numbers(0, 10))
    driver = Driver(_source(kafka, topic, until_end=False, start="latest"))
    driver.run(lambda: driver.snapshot()[f"{topic}/00000"] is not None)
    states = driver.snapshot()
    assert states[f"{topic}/00000"]["offset"] == 10
    driver.close()
    _produce(kafka, topic, _numbers(10, 20))
    driver = Driver(_source(kafka, topic, start="latest"), states)
    driver.run()
    assert driver.values == _numbers(10, 20)


def test_tombstones_are_skipped_and_counted(kafka: KafkaServer) -> None:
    def skipped() -> float:
        return metrics.REGISTRY.get_sample_value("groundswell_records_skipped_total", {"reason": "tombstone"}) or 0

    topic = kafka.topic()
    _produce(kafka, topic, [b"a", None, b"b", None], key=b"k")
    before = skipped()
    driver = Driver(_source(kafka, topic))
    driver.run()
    assert driver.places == [(topic, 0, 0), (topic, 0, 2)]
    assert skipped() - before == 2
    assert driver.states[f"{topic}/00000"]["offset"] == 4


def test_a_replayed_dead_letter_keeps_its_first_origin(kafka: KafkaServer, caplog: pytest.LogCaptureFixture) -> None:
    topic = kafka.topic()
    origin = Origin("archive/2016.jsonl.gz", 0, 17, 2)
    _produce(kafka, topic, [b"plain"])
    _produce(kafka, topic, [b"replayed"], headers=[("x", b"y"), (ORIGIN_HEADER, origin_header(origin))])
    _produce(kafka, topic, [b"odd"], headers=[(ORIGIN_HEADER, b"nonsense")])
    driver = Driver(_source(kafka, topic))
    driver.run()
    found = {batch.values[at]: origin for batch in driver.batches for at, origin in (batch.replayed or {}).items()}
    assert found == {b"replayed": origin}
    assert len(driver.values) == 3
    assert "nonsense" in caplog.text


def test_batches_stay_near_a_megabyte(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, [bytes(200_000) for _ in range(30)])
    driver = Driver(_source(kafka, topic))
    assert max(batch.size for batch in driver.run()) < BATCH_BYTES + 200_000
    assert len(driver.values) == 30


def test_without_credits_nothing_is_read(kafka: KafkaServer) -> None:
    topic = kafka.topic(partitions=2)
    for partition in (0, 1):
        _produce(kafka, topic, _numbers(0, 3000), partition)
    budget = Credits(1000, 10**9)
    driver = Driver(_source(kafka, topic, credits=budget))
    driver.run(lambda: budget.exhausted)
    held = len(driver.values)
    for _ in range(100):
        driver.step()
    assert held == len(driver.values) <= 1500
    for batch in driver.batches:
        budget.release(len(batch.values), batch.size)
    driver.run(lambda: len(driver.values) > held)
    driver.close()


# Expired offsets


@pytest.mark.parametrize("policy", ["earliest", "fail"])
def test_an_offset_that_expired_while_the_job_was_down(
    kafka: KafkaServer, caplog: pytest.LogCaptureFixture, policy: str
) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, _numbers(0, 3000))
    driver = Driver(_source(kafka, topic))
    driver.run(lambda: bool(driver.batches))
    states = driver.snapshot()
    offset = states[f"{topic}/00000"]["offset"]
    driver.close()
    _delete_before(kafka, topic, 2000)

    driver = Driver(_source(kafka, topic, on_expired=policy), states)
    if policy == "fail":
        with pytest.raises(StopJob, match=f"offset {offset} has expired"):
            driver.run()
        return
    driver.run()
    assert driver.values == _numbers(2000, 3000)
    assert _expired(topic) == 2000 - offset
    assert f"offset {offset} has expired" in caplog.text


@pytest.mark.parametrize("policy", ["earliest", "fail"])
def test_an_offset_that_expires_while_it_is_read(kafka: KafkaServer, policy: str) -> None:
    topic = kafka.topic()
    # More than is prefetched, so that the reader comes back to the broker after the deletion.
    values = [b"%06d" % number + bytes(20_000) for number in range(4000)]
    _produce(kafka, topic, values)
    driver = Driver(_source(kafka, topic, on_expired=policy, client={"queued.max.messages.kbytes": 1024}))
    driver.run(lambda: bool(driver.batches))
    _delete_before(kafka, topic, 3900)
    if policy == "fail":
        with pytest.raises(StopJob, match="has expired"):
            driver.run()
        return
    driver.run()
    read = [int(value[:6]) for value in driver.values]
    gap = next(n for n, number in enumerate(read) if n != number)
    assert read == [*range(gap), *range(3900, 4000)]
    assert _expired(topic) == 3900 - gap


@pytest.mark.parametrize("policy", ["earliest", "fail"])
def test_a_topic_that_was_made_anew_is_no_continuation(kafka: KafkaServer, policy: str) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, _numbers(0, 50))
    driver = Driver(_source(kafka, topic))
    driver.run()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.delete_topics([topic])[topic].result(30)
    wait_until(lambda: topic not in admin.list_topics(timeout=5).topics, 30, "the topic to go")
    kafka.create_topic(topic)
    _produce(kafka, topic, _numbers(100, 200))

    again = Driver(_source(kafka, topic, on_expired=policy), driver.states)
    if policy == "fail":
        with pytest.raises(StopJob, match="made anew"):
            again.run()
        return
    again.run()
    assert again.values == _numbers(100, 200)


def test_an_offset_behind_the_end_is_never_taken_for_the_end(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, _numbers(0, 50))
    driver = Driver(_source(kafka, topic))
    driver.run()
    state = driver.states[f"{topic}/00000"]
    again = Driver(_source(kafka, topic), {f"{topic}/00000": {**state, "offset": 70}})
    again.run()
    assert again.values == _numbers(0, 50)


# Transactions


def test_aborted_records_are_never_seen_and_the_end_is_reached_all_the_same(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": f"tx-{topic}"})
    producer.init_transactions(30)
    for number, commit in enumerate((True, False, True, False)):
        producer.begin_transaction()
        for value in _numbers(10 * number, 10 * number + 10):
            producer.produce(topic, value)
        if commit:
            producer.commit_transaction(30)
        else:
            producer.flush(30)
            producer.abort_transaction(30)
    # The last thing in the log is an aborted transaction and its marker: no record ever tells of them.
    driver = Driver(_source(kafka, topic))
    driver.run()
    assert driver.values == _numbers(0, 10) + _numbers(20, 30)
    again = Driver(_source(kafka, topic), driver.states)
    again.run()
    assert again.values == []


def test_a_transaction_that_is_open_at_the_start_is_not_waited_for(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, _numbers(0, 5))
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": f"tx-{topic}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for value in _numbers(5, 10):
        producer.produce(topic, value)
    producer.flush(30)
    driver = Driver(_source(kafka, topic))
    driver.run()
    assert driver.values == _numbers(0, 5)
    producer.commit_transaction(30)
    # The broker answers before it has written the end of the transaction.
    again = Driver(_source(kafka, topic, until_end=False), driver.states)
    again.run(lambda: bool(again.values))
    assert again.values == _numbers(5, 10)
    again.close()


# Brokers and topics that are not there


def test_a_broker_that_stops_and_starts_again_is_waited_for(kafka: KafkaServer) -> None:
    topic = kafka.topic(partitions=2)
    for partition in (0, 1):
        _produce(kafka, topic, _numbers(1000 * partition, 1000 * partition + 500), partition)
    waits = Waits()
    driver = Driver(_source(kafka, topic, until_end=False, waits=waits))
    driver.run(lambda: len(driver.values) == 1000)
    assert waits.current() == {}
    kafka.stop()
    driver.run(lambda: "kafka" in waits.current())
    assert metrics.REGISTRY.get_sample_value("groundswell_dependency_up", {"dependency": "kafka"}) == 0
    kafka.start()
    for partition in (0, 1):
        _produce(kafka, topic, _numbers(1000 * partition + 500, 1000 * partition + 900), partition)
    driver.run(lambda: len(driver.values) == 1800 and not waits.current(), timeout=60)
    assert sorted(driver.values) == sorted(_numbers(0, 900) + _numbers(1000, 1900))
    assert metrics.REGISTRY.get_sample_value("groundswell_dependency_up", {"dependency": "kafka"}) == 1
    driver.close()


def test_a_broker_that_is_down_at_the_start_is_waited_for_until_told_to_stop(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, _numbers(0, 5))
    kafka.stop()
    waits, stop = Waits(), threading.Event()
    source = _source(kafka, topic, waits=waits, stop=stop)
    outcome: list[Any] = []

    def ask() -> None:
        try:
            outcome.append(source.partitions())
        except Draining as error:
            outcome.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: "kafka" in waits.current(), 30, "the wait to be named")
    stop.set()
    asking.join(30)
    assert isinstance(outcome[0], Draining)
    stop.clear()
    asking = threading.Thread(target=ask)
    asking.start()
    kafka.start()
    asking.join(60)
    assert outcome[1] == [f"{topic}/00000"]
    driver = Driver(source)
    driver.run()
    assert driver.values == _numbers(0, 5)


def test_a_drain_while_the_broker_is_down_does_not_hang(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, _numbers(0, 5))
    waits, stop = Waits(), threading.Event()
    driver = Driver(_source(kafka, topic, until_end=False, waits=waits, stop=stop))
    driver.run(lambda: len(driver.values) == 5)
    driver.snapshot()
    kafka.kill()
    driver.run(lambda: "kafka" in waits.current())
    stop.set()
    driver.run(timeout=10)
    assert driver.states[f"{topic}/00000"]["offset"] == 5


def test_a_missing_topic_stops_the_job_by_name(kafka: KafkaServer) -> None:
    with pytest.raises(StopJob, match="no topic 'nowhere'"):
        _source(kafka, "nowhere").partitions()


def test_a_missing_topic_is_made_when_the_settings_say_so(kafka: KafkaServer) -> None:
    topic = kafka.topic() + "-new"
    source = _source(kafka, topic, on_missing="create", create_partitions=3)
    assert len(source.partitions()) == 3
    driver = Driver(source)
    assert driver.run() == []


def test_a_missing_topic_is_waited_for_when_the_settings_say_so(kafka: KafkaServer) -> None:
    topic = kafka.topic() + "-later"
    waits = Waits()
    source = _source(kafka, topic, on_missing="wait", waits=waits)
    found: list[str] = []
    asking = threading.Thread(target=lambda: found.extend(source.partitions()))
    asking.start()
    wait_until(lambda: "does not exist" in waits.current().get("kafka", ""), 30, "the wait to be named")
    kafka.create_topic(topic, 2)
    asking.join(30)
    assert found == [f"{topic}/00000", f"{topic}/00001"]
    assert waits.current() == {}


def test_partitions_that_are_added_ask_for_a_restart(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    now = [0.0]
    watch = OffsetWatch(kafka.bootstrap_servers, {}, Waits(), clock=lambda: now[0])
    watch.describe([topic])
    watch.watch(topic, 0)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result(30)

    def refresh() -> bool:
        now[0] += TOPICS_SECONDS
        watch.refresh()
        return False

    with pytest.raises(InputChanged, match="has 4 partitions now, 1 are read"):
        wait_until(refresh, 30, "the new partitions to be seen")


# Idleness

_IDLE_TIMEOUT = 30.0


class _Idling(Driver):
    """A source without an end whose clock moves a tenth of a second with every step."""

    def __init__(self, kafka: KafkaServer, topic: str, **more: Any) -> None:
        self.clock = Clock()
        super().__init__(
            _source(kafka, topic, until_end=False, clock=self.clock, **more),
            idle_timeout=_IDLE_TIMEOUT,
            clock=self.clock,
        )

    def step(self) -> None:
        self.clock.now += 0.1
        super().step()

    def idles(self, since: float = 0.0) -> bool:
        """Whether each partition has said that it idles; checks that none says more than passed since ``since``."""
        last = [times[-1] if times else 0.0 for times in self.idle_times.values()]
        assert all(idle == 0.0 or _IDLE_TIMEOUT <= idle <= self.clock.now - since for idle in last)
        return all(last)


def test_partitions_without_news_idle_and_a_record_wakes_one(kafka: KafkaServer) -> None:
    topic = kafka.topic(partitions=2)
    _produce(kafka, topic, _numbers(0, 10))
    driver = _Idling(kafka, topic)
    driver.run(lambda: len(driver.idle_times[f"{topic}/00001"]) >= 5 and driver.idles(100.0))
    times = driver.idle_times[f"{topic}/00001"]
    assert all(after - before >= 1.0 for before, after in pairwise(times))
    _produce(kafka, topic, _numbers(10, 11))
    before = len(driver.idle_times[f"{topic}/00000"])
    driver.run(lambda: len(driver.values) == 11)
    awake = driver.clock.now
    driver.run(lambda: driver.idle_times[f"{topic}/00000"][before:][-1:] > [0.0])
    assert driver.idle_times[f"{topic}/00000"][-1] <= driver.clock.now - awake
    driver.close()


#  broker     up ................. down ............................ up .....................
#  idle for   -   30  32  34  36   0 (taken back), and silence       -     -    30   32
@pytest.mark.parametrize("outage", ["stopped", "silent"])
def test_an_outage_is_no_idleness_however_long(kafka: KafkaServer, outage: str) -> None:
    topic = kafka.topic(partitions=2)
    _produce(kafka, topic, _numbers(0, 10))
    waits = Waits()
    driver = _Idling(kafka, topic, waits=waits)
    driver.run(lambda: bool(driver.values) and driver.idles())
    said = {name: len(times) for name, times in driver.idle_times.items()}
    pid = kafka.pid
    assert pid is not None
    kafka.stop() if outage == "stopped" else os.kill(pid, signal.SIGSTOP)
    try:
        driver.run(lambda: "kafka" in waits.current())
        driver.step()
        for name, times in driver.idle_times.items():
            # At most one answer was still under way.
            assert times[said[name] :][-1] == 0.0
            assert len(times) <= said[name] + 2
        quiet = {name: list(times) for name, times in driver.idle_times.items()}
        for _ in range(300):
            driver.clock.now += 2.0
            driver.step()
        assert driver.idle_times == quiet
    finally:
        kafka.start() if outage == "stopped" else os.kill(pid, signal.SIGCONT)
    back = driver.clock.now
    driver.run(lambda: driver.idles(back), timeout=60)
    driver.close()


def test_what_cannot_be_read_for_want_of_credits_is_not_idle(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, _numbers(0, 3000))
    budget = Credits(500, 10**9)
    driver = _Idling(kafka, topic, credits=budget)
    driver.run(lambda: budget.exhausted)
    until = driver.clock.now + 3 * _IDLE_TIMEOUT
    driver.run(lambda: driver.clock.now > until)
    assert driver.idle_times == {f"{topic}/00000": []}
    budget.release(10**6, 0)
    driver.run(driver.idles)
    assert len(driver.values) == 3000
    driver.close()


def test_an_open_transaction_may_bring_posts_and_is_not_idle(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    _produce(kafka, topic, _numbers(0, 5))
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": f"tx-{topic}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for value in _numbers(5, 10):
        producer.produce(topic, value)
    producer.flush(30)
    driver = _Idling(kafka, topic)
    driver.run(lambda: len(driver.values) == 5)
    until = driver.clock.now + 3 * _IDLE_TIMEOUT
    driver.run(lambda: driver.clock.now > until)
    assert driver.idle_times == {f"{topic}/00000": []}
    producer.abort_transaction(30)
    driver.run(driver.idles)
    assert len(driver.values) == 5
    driver.close()


# What others see


def test_offsets_are_committed_for_lag_tools_behind_the_snapshots(kafka: KafkaServer) -> None:
    topic = kafka.topic()
    group = f"group-{topic}"
    reader = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group})

    def committed() -> int:
        (found,) = reader.committed([TopicPartition(topic, 0)], timeout=10)
        return found.offset

    _produce(kafka, topic, _numbers(0, 10))
    driver = Driver(_source(kafka, topic, until_end=False, group=group))
    driver.run(lambda: len(driver.values) == 10)
    driver.snapshot()
    _produce(kafka, topic, _numbers(10, 15))
    driver.run(lambda: len(driver.values) == 15)
    assert committed() < 0
    driver.snapshot()
    wait_until(lambda: committed() == 10, 30, "the first snapshot to be committed")
    driver.close()
    wait_until(lambda: committed() == 15, 30, "the last snapshot to be committed")
    reader.close()


def test_the_lag_is_told_for_each_partition(kafka: KafkaServer) -> None:
    topic = kafka.topic()

    def lag() -> float | None:
        labels = {"source": "kafka", "partition": f"{topic}/0"}
        driver.snapshot()
        return metrics.REGISTRY.get_sample_value("groundswell_source_lag", labels)

    _produce(kafka, topic, _numbers(0, 2000))
    budget = Credits(500, 10**9)
    driver = Driver(_source(kafka, topic, until_end=False, credits=budget))
    driver.run(lambda: budget.exhausted)
    taken = len(driver.values)
    assert lag() == 2000 - taken
    # Held back by credits, the reader still sees the lag grow.
    _produce(kafka, topic, _numbers(2000, 2100))
    driver.run(lambda: lag() == 2100 - taken)
    budget.release(10**6, 0)
    driver.run(lambda: lag() == 0)
    driver.close()


def test_the_clients_own_errors_are_logged(kafka: KafkaServer, caplog: pytest.LogCaptureFixture) -> None:
    topic = kafka.topic()
    driver = Driver(_source(kafka, topic, until_end=False))
    driver.run(lambda: driver.snapshot()[f"{topic}/00000"] is not None)
    with caplog.at_level(logging.WARNING):
        kafka.stop()
        driver.run(lambda: any(record.name == "groundswell.kafka.client" for record in caplog.records))
    driver.close()
