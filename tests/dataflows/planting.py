"""Posts planted in Kafka or a file, with exactly what must become of them."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

SOURCE = "planted"

_WORDS = ("storm", "river", "bridge", "light", "market", "music", "train", "garden", "signal", "harbour", "summer")
_TIME = datetime(2024, 5, 6, 12, tzinfo=UTC)
#: Seconds over which the posts are spread: a few weekly indices.
_SPAN = 1_500_000


def post(number: int) -> bytes:
    """The JSON of the post ``post-<number>``; the same number gives the same post."""
    pick = random.Random(number)
    words = " ".join(pick.choices(_WORDS, k=12))
    return json.dumps(
        {
            "id": identity(number),
            "source": SOURCE,
            "author": f"author{pick.randrange(5000)}",
            "text": f"{words} #{pick.choice(_WORDS)}",
            "created_at": moment(number).isoformat(),
            "lang": "en",
        }
    ).encode()


def identity(number: int) -> str:
    """The id of a post."""
    return f"post-{number}"


def moment(number: int) -> datetime:
    """The time of a post."""
    return _TIME + timedelta(seconds=37 * number % _SPAN)


def bad(number: int) -> bytes:
    """A record that can never become a document; there are seven kinds."""
    good = json.loads(post(number))
    kinds = (
        post(number)[:-20],
        b"\xff\xfe not text " + str(number).encode(),
        json.dumps({key: value for key, value in good.items() if key != "id"}).encode(),
        json.dumps({key: value for key, value in good.items() if key != "text"}).encode(),
        json.dumps(good | {"created_at": "2999-01-01T00:00:00Z"}).encode(),
        json.dumps(good | {"created_at": "1970-01-01T00:00:00Z"}).encode(),
        json.dumps(good | {"id": {"no": "id"}}).encode(),
    )
    return kinds[number % len(kinds)]


class Planter:
    """Plants in one Kafka topic; a producer that is idempotent and outlasts an outage of the broker.

    ``ids`` are the posts that must become documents, ``dead`` the dead letters by their key,
    ``records`` counts all that was planted. Posts are numbered from ``first`` + 1.
    """

    def __init__(self, bootstrap_servers: str, topic: str, partitions: int, seed: int, first: int = 0) -> None:
        self.ids: set[str] = set()
        self.dead: dict[str, bytes] = {}
        self.records = 0
        self._topic = topic
        self._partitions = partitions
        self._pick = random.Random(seed)
        self._first = self._number = first
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "enable.idempotence": True,
                "linger.ms": 5,
                "queue.buffering.max.messages": 1_000_000,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    def plant(self, posts: int, *, bad_share: float = 0.01, repeated_share: float = 0.02, flush: bool = True) -> None:
        """Add ``posts`` new posts in random partitions, and among them bad records and posts seen before."""
        for _ in range(posts):
            self._number += 1
            self.ids.add(identity(self._number))
            self._produce(post(self._number))
            dice = self._pick.random()
            if dice < bad_share:
                self._produce_bad(bad(self._number))
            elif dice < bad_share + repeated_share:
                self._produce(post(self._pick.randint(self._first + 1, self._number)))
        if flush:
            self.flush()

    def plant_one(self) -> int:
        """Add one new post; returns its number."""
        self.plant(1, bad_share=0, repeated_share=0)
        return self._number

    def add(self, value: bytes, *, partition: int = 0) -> int:
        """Add one record whose fate the caller knows; returns its offset."""
        offsets: list[int] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            offset = message.offset()
            assert offset is not None
            offsets.append(offset)

        self.records += 1
        self._producer.produce(self._topic, value, partition=partition, on_delivery=delivered)
        self.flush()
        return offsets[0]

    def flush(self) -> None:
        """Return when everything planted is in the topic."""
        left = self._producer.flush(120)
        assert left == 0, f"{left} records could not be planted"

    def _produce(self, value: bytes) -> None:
        self.records += 1
        self._producer.produce(self._topic, value, partition=self._pick.randrange(self._partitions))
        self._producer.poll(0)

    def _produce_bad(self, value: bytes) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            self.dead[f"{self._topic}/{message.partition()}/{message.offset()}"] = value

        self.records += 1
        self._producer.produce(
            self._topic, value, partition=self._pick.randrange(self._partitions), on_delivery=delivered
        )


class Feeder:
    """Plants a steady load from a thread of its own while the ``with`` block runs."""

    def __init__(self, planter: Planter, posts_per_second: int) -> None:
        self._planter = planter
        self._each = max(1, posts_per_second // 20)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="feeder")

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._planter.flush()

    def _feed(self) -> None:
        while not self._stop.wait(0.05):
            self._planter.plant(self._each, flush=False)


def write_file(path: Path, numbers: range, bad_every: int) -> dict[int, bytes]:
    """Write posts as JSON lines with a bad record after every ``bad_every``; the bad ones by their ordinal."""
    dead: dict[int, bytes] = {}

    def lines() -> Iterator[bytes]:
        ordinal = 0
        for number in numbers:
            yield post(number)
            ordinal += 1
            if number % bad_every == 0:
                dead[ordinal] = bad(number)
                yield dead[ordinal]
                ordinal += 1

    path.write_bytes(b"\n".join(lines()) + b"\n")
    return dead
