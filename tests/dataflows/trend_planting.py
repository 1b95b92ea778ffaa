"""Posts planted for the trends of a job: skewed partitions, a burst, repeats; and what became of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import redis
from confluent_kafka import Producer

from connectors.kafka_topic import KafkaTopic
from groundswell import redis_keys
from groundswell.records import Post
from groundswell.trends import TrendEvent
from tests.dataflows.harness import Tables
from tests.trends.oracle import Rules, Windows

RULES = Rules(window=600, slide=30, top=10, disorder=10, lateness=60, dedupe_horizon=120)
#: By how many seconds of event time each partition is ahead of the first.
SKEW = (0, 700, 172_800)
SECONDS_A_PORTION = 60

_START = datetime(2024, 5, 6, 12, tzinfo=UTC)
_BURST = range(8, 14)
_WORDS = ("market", "music", "train", "garden", "signal", "harbour", "summer", "light", "morning", "city", "coffee")
_BURST_WORDS = ("water", "bridge", "river", "rising", "closed")
#: No partition idles while a test runs, however long a restart takes.
_NEVER = 86_400


class TrendPlanter:
    """Plants posts, portion after portion; event time moves on by a minute in each.

    Within a partition no post, nor its repeat, is older than the newest before it by more than
    the disorder: nothing is late, and what trends does not depend on which partition came first.
    ``posts`` are all that were planted, repeats left out, ``newest`` the newest of each partition.
    """

    def __init__(self, bootstrap_servers: str, topic: str, seed: int) -> None:
        self.posts: list[Post] = []
        self.newest = [_START] * len(SKEW)
        self._topic = topic
        self._pick = random.Random(seed)
        self._portions = 0
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 5, "log_level": 0})

    def plant(self, posts: int) -> None:
        """Add about ``posts`` posts to each partition."""
        for partition, ahead in enumerate(SKEW):
            planted: list[bytes] = []
            for number in range(posts):
                since = self._portions * SECONDS_A_PORTION + number * SECONDS_A_PORTION / posts
                moment = _START + timedelta(seconds=ahead + max(0.0, since - self._pick.choice((0, 0, 0, 2, 9))))
                post = self._post(moment)
                self.posts.append(post)
                self.newest[partition] = max(self.newest[partition], moment)
                planted.append(_record(post))
                if self._pick.random() < 0.02:
                    planted.append(planted[-1])
            for value in planted:
                self._producer.produce(self._topic, value, partition=partition)
        assert self._producer.flush(120) == 0
        self._portions += 1

    @property
    def watermark(self) -> float:
        """How far event time comes before the end of the input is known, in seconds since 1970."""
        return min(self.newest).timestamp() - RULES.disorder

    def _post(self, moment: datetime) -> Post:
        number = len(self.posts)
        tags = [f"tag{min(int(self._pick.paretovariate(0.7)), 300)}" for _ in range(2)]
        words = self._pick.choices(_WORDS, k=8)
        if self._portions in _BURST and self._pick.random() < 0.4:
            tags.append("flood")
            words += self._pick.choices(_BURST_WORDS, k=3)
        return Post(
            f"post-{number}",
            "planted",
            " ".join([*words, *(f"#{tag}" for tag in tags)]),
            moment,
            f"author{self._pick.randrange(2_000)}",
            hashtags=tuple(dict.fromkeys(tags)),
        )


def _record(post: Post) -> bytes:
    return json.dumps(
        {
            "id": post.id,
            "source": post.source,
            "author": post.author,
            "text": post.text,
            "created_at": post.created_at.isoformat(),
        }
    ).encode()


def trend_settings(url: str, prefix: str, trends_topic: str) -> Tables:
    """Where windows and events go, and the settings that :data:`RULES` mean."""
    return {
        "kafka": {"trends_topic": trends_topic},
        "redis": {"url": url, "prefix": prefix},
        "trends": {
            "window": RULES.window,
            "slide": RULES.slide,
            "top": RULES.top,
            "disorder": RULES.disorder,
            "lateness": RULES.lateness,
            "dedupe_horizon": RULES.dedupe_horizon,
            "idle_timeout": _NEVER,
            "window_ttl": 100 * _NEVER,
        },
    }


class TrendsInRedis:
    """What a job wrote below ``prefix``."""

    def __init__(self, url: str, prefix: str) -> None:
        self._client = redis.Redis.from_url(url, decode_responses=True)
        self._prefix = prefix

    def close(self) -> None:
        self._client.close()

    def window_count(self) -> int:
        """Windows that were written."""
        return int(self._ask("ZCARD", redis_keys.WINDOWS))

    def windows(self) -> Windows:
        """Every window that holds a tag, best tags first."""
        ends = sorted(map(int, self._ask("ZRANGE", redis_keys.WINDOWS, 0, -1)))
        found = {end: self._ranking(f"{redis_keys.WINDOW}{end}") for end in ends}
        return {end: top for end, top in found.items() if top}

    def hashtags(self) -> list[tuple[str, int]]:
        """The top tags of the newest window."""
        return self._ranking(redis_keys.HASHTAGS)

    def active(self) -> set[str]:
        """The tags that trend."""
        return set(map(str, self._client.hkeys(self._prefix + redis_keys.TRENDS_ACTIVE)))

    def changes(self) -> list[TrendEvent]:
        """The events in the stream."""
        entries: Any = self._client.xrange(self._prefix + redis_keys.TRENDS_CHANGES)
        return [msgspec.json.decode(fields["data"], type=TrendEvent) for _, fields in entries]

    def _ranking(self, key: str) -> list[tuple[str, int]]:
        members: Any = self._client.zrange(self._prefix + key, 0, -1, withscores=True)
        return sorted(((tag, int(count)) for tag, count in members), key=lambda item: (-item[1], item[0]))

    def _ask(self, command: str, key: str, *arguments: int) -> Any:
        return self._client.execute_command(command, self._prefix + key, *arguments)  # type: ignore[no-untyped-call]


def topic_events(bootstrap_servers: str, topic: str) -> list[TrendEvent]:
    """Every event in the topic."""
    source = KafkaTopic(bootstrap_servers, topic)
    values = [message.value() for partition in source.partitions() for message in source.read(partition)]
    return [msgspec.json.decode(value, type=TrendEvent) for value in values if value is not None]


def superseded_events(events: Iterable[TrendEvent]) -> set[tuple[object, ...]]:
    """Of each trend and moment what the highest generation and revision say."""
    newest: dict[tuple[str, datetime], TrendEvent] = {}
    for event in events:
        key = (event.trend.id, event.at)
        if key not in newest or newest[key].fence <= event.fence:
            newest[key] = event
    return {
        (event.event, event.trend.tag, f"{event.at:%d %H:%M:%S}", f"{event.trend.since:%d %H:%M:%S}", *_figures(event))
        for event in newest.values()
    }


def _figures(event: TrendEvent) -> tuple[float, ...]:
    trend = event.trend
    return trend.count, trend.peak, trend.authors, round(trend.score, 6)
