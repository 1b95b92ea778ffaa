"""Dead letters in Kafka: their messages, outages, and going round again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer

from connectors.dead_letters import Replayed, Selection
from connectors.kafka_dead_letters import KafkaDeadLetters
from connectors.origin_header import ORIGIN_HEADER, parse_origin_header
from groundswell.errors import Draining, Unavailable
from groundswell.records import Origin
from groundswell.waits import Waits
from tests.connectors.test_dead_letter_store import letter
from tests.stack.kafka import KafkaServer
from tests.waiting import wait_until

pytestmark = pytest.mark.stack


class Desk:
    """Dead letters of one topic of posts, and a look at the topics past them."""

    def __init__(self, kafka: KafkaServer) -> None:
        self.kafka = kafka
        self.posts = kafka.topic(2)
        self.dead = f"{self.posts}.dead"
        self.waits = Waits()
        self.letters = self.open()
        self._opened = [self.letters]

    def open(self) -> KafkaDeadLetters:
        return KafkaDeadLetters(self.kafka.bootstrap_servers, self.dead, self.posts, self.waits)

    def read(self, topic: str, expected: int) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
        """Key, value and headers of the committed messages; at least so many."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka.bootstrap_servers,
                "group.id": f"read-{topic}",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe([topic])
        found: list[tuple[bytes | None, bytes | None, dict[str, bytes]]] = []

        def enough() -> bool:
            for message in consumer.consume(100, timeout=0.2):
                assert message.error() is None
                headers = dict(message.headers() or [])
                found.append((message.key(), message.value(), headers))  # type: ignore[arg-type]
            return len(found) >= expected

        wait_until(enough, 30, f"{expected} messages in {topic}")
        consumer.close()
        return found


@pytest.fixture
def desk(kafka: KafkaServer) -> Iterator[Desk]:
    desk = Desk(kafka)
    desk.letters.prepare()
    yield desk
    desk.letters.close()


def test_a_message_has_the_bytes_as_value_and_the_provenance_in_headers(desk: Desk) -> None:
    desk.letters.put([letter(7, value=b"\x00{", index=2)], lambda: True)
    ((key, value, headers),) = desk.read(desk.dead, 1)
    assert (key, value) == (b"posts/3/7#2", b"\x00{")
    assert headers == {
        "topic": b"posts",
        "partition": b"3",
        "offset": b"7",
        "index": b"2",
        "step": b"decode",
        "cause": b"not_json",
        "detail": b"expected a value at 7",
        "time": b"2026-11-16T12:00:07+00:00",
        "origin": b"posts/3/7/2",
    }


def test_a_replay_sends_the_bytes_under_their_first_origin_and_ends_the_letters(desk: Desk) -> None:
    desk.letters.put(
        [letter(number, "a" if number % 2 else "b", value=b"%d" % number) for number in range(20)], lambda: True
    )
    assert desk.letters.replay(Selection(cause="a")) == Replayed(10)
    assert desk.letters.counts() == {"b": 10}
    sent = desk.read(desk.posts, 10)
    assert sorted(value or b"" for _, value, _ in sent) == sorted(b"%d" % number for number in range(1, 20, 2))
    for _, value, headers in sent:
        assert parse_origin_header(headers[ORIGIN_HEADER]) == Origin("posts", 3, int(value or b""))
    assert desk.letters.replay(Selection(cause="a")) == Replayed(0)


def test_one_that_fails_again_is_a_letter_again(desk: Desk) -> None:
    desk.letters.put([letter(1), letter(2)], lambda: True)
    desk.letters.replay(Selection())
    assert desk.letters.counts() == {}
    desk.letters.put([letter(2, "still bad")], lambda: True)
    assert desk.letters.counts() == {"still bad": 1}


def test_two_replays_after_one_another_by_key(desk: Desk) -> None:
    desk.letters.put([letter(number) for number in range(5)], lambda: True)
    assert desk.letters.replay(Selection(keys=frozenset({"posts/3/1"}))) == Replayed(1)
    assert desk.open().replay(Selection(keys=frozenset({"posts/3/1", "posts/3/4"}))) == Replayed(1)
    assert desk.letters.counts() == {"not_json": 3}


def test_more_letters_than_one_transaction_takes(desk: Desk) -> None:
    desk.letters.put([letter(number, value=b"x" * 100) for number in range(1700)], lambda: True)
    assert desk.letters.replay(Selection()) == Replayed(1700)
    assert desk.letters.counts() == {}
    assert len(desk.read(desk.posts, 1700)) == 1700


def test_where_the_topic_takes_less_the_end_is_cut_and_said_and_never_replayed(kafka: KafkaServer) -> None:
    posts = kafka.topic()
    kafka.create_topic(f"{posts}.dead", 1, max_message_bytes=100_000)
    letters = KafkaDeadLetters(kafka.bootstrap_servers, f"{posts}.dead", posts, Waits())
    letters.prepare()
    large = letter(1, value=bytes(range(256)) * 1000)
    letters.put([large, letter(2)], lambda: True)
    shown = letters.show("posts/3/1")
    assert shown is not None
    assert len(shown.value) > 80_000
    assert large.value.startswith(shown.value)
    assert "of 256000 bytes are kept" in shown.detail
    assert letters.replay(Selection()) == Replayed(1, truncated=1)
    assert letters.counts() == {"not_json": 1}
    letters.close()


def test_somebody_elses_message_is_shown_and_breaks_nothing(desk: Desk) -> None:
    producer = Producer({"bootstrap.servers": desk.kafka.bootstrap_servers})
    producer.produce(desk.dead, b"hello", b"\xff")
    producer.flush(10)
    desk.letters.put([letter(1)], lambda: True)
    assert desk.letters.counts() == {"": 1, "not_json": 1}
    assert [one.value for one in desk.letters.list(Selection(), 10)] == [b"hello", b"{"]


def test_nothing_there_yet(kafka: KafkaServer) -> None:
    letters = KafkaDeadLetters(kafka.bootstrap_servers, "never-made.dead", "never-made", Waits())
    assert letters.counts() == {}
    assert letters.replay(Selection()) == Replayed(0)
    letters.close()


@pytest.mark.faults
def test_an_outage_is_waited_out(desk: Desk) -> None:
    desk.letters.put([letter(0)], lambda: True)
    desk.kafka.kill()
    thread = threading.Thread(target=desk.letters.put, args=([letter(number) for number in range(1, 50)], lambda: True))
    thread.start()
    assert wait_until(desk.waits.current, 30, "the wait to be named").keys() == {"kafka"}
    assert thread.is_alive()
    desk.kafka.start()
    thread.join(60)
    assert not thread.is_alive()
    assert desk.waits.current() == {}
    assert desk.letters.counts() == {"not_json": 50}


@pytest.mark.faults
def test_an_outage_is_given_up_when_the_job_drains(desk: Desk) -> None:
    desk.letters.put([letter(0)], lambda: True)
    desk.kafka.kill()
    with pytest.raises(Draining, match="kafka"):
        desk.letters.put([letter(1)], lambda: False)
    assert desk.waits.current() == {}
    desk.kafka.start()
    desk.letters.put([letter(2)], lambda: True)
    assert set(desk.letters.counts()) == {"not_json"}


def test_a_broker_that_does_not_answer_is_said() -> None:
    letters = KafkaDeadLetters("127.0.0.1:1", "posts.dead", "posts", Waits())
    with pytest.raises(Unavailable, match="kafka"):
        letters.ping()
    letters.close()
