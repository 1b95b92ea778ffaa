"""Windows and trends in Redis: what holds, whatever is written, by whom, and in whatever order."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import redis as redis_client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.embedded_redis import EmbeddedRedis
from connectors.redis_client import connect
from connectors.redis_trends import RedisTrendStore
from connectors.trend_reader import BEGINNING, TrendReader
from groundswell.errors import SettingsError, StopJob
from groundswell.trends import EventKind, Sample, TagCount, TrendEvent, Window
from groundswell.waits import Waits
from tests.conftest import RedisDatabase
from tests.connectors.trends import samples, trend_event
from tests.stack.redis_kinds import RedisClusterNode
from tests.waiting import wait_until

pytestmark = pytest.mark.stack

SLIDE = 10
TTL = 100
HORIZON = 3600


@pytest.fixture(params=["real", "embedded"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[redis_client.Redis]:
    if request.param == "real":
        yield connect(request.getfixturevalue("redis").url)
        return
    with EmbeddedRedis(tmp_path) as server:
        yield connect(server.url)


def store_on(client: redis_client.Redis, prefix: str = "", ttl: int = TTL, **options: Any) -> RedisTrendStore:
    store = RedisTrendStore(client, Waits(), prefix=prefix, window_ttl=ttl, horizon=HORIZON, **options)
    store.prepare()
    return store


def window(end: int, *top: tuple[str, int], revision: int = 0, generation: int = 1) -> Window:
    return Window(generation, end, revision, 60, tuple(TagCount(tag, count) for tag, count in top))


def event(kind: EventKind, at: int, tag: str, revision: int = 0, generation: int = 1, **trend: Any) -> TrendEvent:
    moment = datetime.fromtimestamp(at, UTC)
    return msgspec.structs.replace(trend_event(tag, 0, revision, generation, kind, **trend), at=moment)


def write(store: RedisTrendStore, *items: Window | TrendEvent) -> None:
    store.write(
        [item for item in items if isinstance(item, Window)],
        [item for item in items if isinstance(item, TrendEvent)],
        lambda: True,
    )


def top_of(client: redis_client.Redis, key: str) -> dict[str, float]:
    return dict(cast("list[tuple[str, float]]", client.zrange(key, 0, -1, withscores=True)))


# ---- windows

#   windows     100 ──── 110 ──── 120          written
#   correction   └ revision 1 ┘                written last
#   hashtags                      120          the newest, still


def test_a_correction_of_an_earlier_window_leaves_the_top_tags_alone(client: redis_client.Redis) -> None:
    store = store_on(client)
    write(store, window(100, ("a", 1)), window(110, ("a", 2)), window(120, ("b", 3), ("a", 3)))
    write(store, window(100, ("late", 9), ("a", 1), revision=1))
    assert top_of(client, "hashtags") == {"a": 3, "b": 3}
    assert top_of(client, "trends:window:100") == {"a": 1, "late": 9}
    assert TrendReader(client).now(history=9).history == (
        window(100, ("late", 9), ("a", 1), revision=1),
        window(110, ("a", 2)),
        window(120, ("a", 3), ("b", 3)),
    )


def test_a_correction_of_the_newest_window_reaches_the_top_tags(client: redis_client.Redis) -> None:
    store = store_on(client)
    write(store, window(100, ("gone", 7), ("a", 1)))
    write(store, window(100, ("a", 2), revision=1))
    write(store, window(100, ("gone", 7), ("a", 1)))
    assert top_of(client, "hashtags") == top_of(client, "trends:window:100") == {"a": 2}


def test_an_empty_window_leaves_no_top_tags(client: redis_client.Redis) -> None:
    store = store_on(client)
    write(store, window(100, ("a", 1)))
    write(store, window(110))
    assert client.keys("hashtags") == client.keys("trends:window:110") == []
    assert TrendReader(client).now(2).window == window(110)
    assert TrendReader(client).now(2).history == (window(100, ("a", 1)), window(110))


def test_of_one_write_each_window_is_its_newest_revision(client: redis_client.Redis) -> None:
    store = store_on(client)
    write(store, window(100, ("a", 2), revision=3), window(100, ("a", 1)), window(100, ("a", 9), revision=2))
    assert TrendReader(client).now(5).history == (window(100, ("a", 2), revision=3),)


def test_an_earlier_generation_changes_nothing_and_a_later_one_takes_over(client: redis_client.Redis) -> None:
    old, new = store_on(client), store_on(client)
    write(old, window(100, ("old", 5)), window(110, ("old", 6)), event("began", 110, "old"))
    # Started anew without state: it reads the same stream from further back.
    write(new, window(90, ("new", 1), generation=2))
    write(old, window(120, ("old", 7)), window(90, ("old", 9), revision=5), event("changed", 120, "old"))
    now = TrendReader(client).now(9)
    assert now.window == window(90, ("new", 1), generation=2)
    assert now.history == (window(90, ("new", 1), generation=2),)
    assert now.active == ()
    assert len(TrendReader(client).changes()) == 1


def test_windows_go_by_the_clock(client: redis_client.Redis) -> None:
    store = store_on(client, ttl=1)
    write(store, window(100, ("a", 1)), window(101))
    wait_until(lambda: client.keys("trends:window:*") == client.keys("trends:fence:1*") == [], 10, "the windows to go")
    assert client.keys("hashtags") == []
    assert TrendReader(client).now(5).history == ()


def test_windows_go_by_event_time_too_so_that_a_replay_of_years_fits(client: redis_client.Redis) -> None:
    store = store_on(client)
    write(store, *(window(end, ("a", end)) for end in range(0, 30_000, SLIDE)))
    kept = list(range(29_990 - TTL + SLIDE, 30_000, SLIDE))
    assert [each.end for each in TrendReader(client).now(1000).history] == kept
    assert len(client.keys("trends:window:*")) == len(client.keys("trends:fence:*")) == len(kept)
    write(store, window(100, ("too late", 1), revision=1))
    assert client.keys("trends:window:100") == []


def test_many_tags_and_large_numbers_are_exact(client: redis_client.Redis) -> None:
    top = [(f"tag {number} é", 2**53 - number) for number in range(5000)]
    write(store_on(client), window(2**33, *top, generation=2**50))
    assert TrendReader(client).now().window == window(2**33, *top, generation=2**50)


def test_ties_go_by_code_point(client: redis_client.Redis) -> None:
    tags = ["z", "é", "a", "😀", "ﬀ", "B"]
    write(store_on(client), window(100, *((tag, 1) for tag in tags)))
    found = TrendReader(client).now().window
    assert found is not None
    assert [each.tag for each in found.top] == sorted(tags)


def test_prefixes_keep_jobs_apart(client: redis_client.Redis) -> None:
    write(store_on(client, "blue:"), window(100, ("a", 1)), event("began", 100, "a", samples=samples(1, 9)))
    assert {key.removeprefix("blue:") for key in client.scan_iter()} == {
        *("hashtags", "trends:window:100", "trends:windows", "trends:fence:100", "trends:fence", "trends:fence:ages"),
        *("trends:active", "trends:changes", "trends:trend:a/1"),
    }
    assert TrendReader(client).now().window is None
    assert TrendReader(client, "blue:").now().window is not None


# ---- trends


def test_a_trend_is_active_until_it_ends(client: redis_client.Redis) -> None:
    store, reader = store_on(client), TrendReader(client)
    three = samples(3, 20)
    write(store, event("began", 100, "a", score=9.0, samples=three), event("began", 100, "b", score=11.0))
    assert [trend.tag for trend in reader.now().active] == ["b", "a"]
    assert reader.now().active[1].samples == ()
    assert reader.last("a/1") == event("began", 100, "a", score=9.0, samples=three)
    write(store, event("changed", 110, "a", score=12.0, samples=three[:2]))
    assert [trend.score for trend in reader.now().active] == [12.0, 11.0]
    write(store, event("ended", 120, "a"))
    assert [trend.tag for trend in reader.now().active] == ["b"]
    # What re-reads the archive may come late: the sample posts outlive the trend for a while.
    last = reader.last("a/1")
    assert last is not None
    assert last.trend.samples == three[:2]
    assert 0 < client.ttl("trends:trend:a/1") <= 3600
    assert reader.last("b/1") is None


def test_every_change_is_in_the_stream_once(client: redis_client.Redis) -> None:
    store, reader = store_on(client), TrendReader(client)
    told = [event("began", 100, "a"), event("changed", 110, "a"), event("ended", 120, "a")]
    write(store, *told)
    write(store_on(client), *told[1:])
    write(store, event("changed", 110, "a", revision=1, count=7))
    write(store, event("changed", 110, "a"))
    assert [(change.event.event, change.event.revision) for change in reader.changes()] == [
        ("began", 0),
        ("changed", 0),
        ("ended", 0),
        ("changed", 1),
    ]
    # The correction is told, but the trend has ended.
    assert reader.now().active == ()


def test_changes_are_read_on_from_where_one_was(client: redis_client.Redis) -> None:
    store, reader = store_on(client), TrendReader(client)
    assert reader.now().last_id == BEGINNING
    write(store, event("began", 100, "a"), event("began", 110, "b"))
    first = reader.changes(limit=1)
    assert [change.event.trend.tag for change in first] == ["a"]
    assert [change.event.trend.tag for change in reader.changes(first[0].id)] == ["b"]
    last = reader.now().last_id
    assert reader.changes(last, wait_seconds=0.01) == []
    writer = threading.Thread(target=write, args=(store_on(client), event("ended", 120, "b")))
    writer.start()
    assert [change.event.event for change in reader.changes(last, wait_seconds=4)] == ["ended"]
    writer.join()


def test_the_stream_is_capped_and_old_fences_go(client: redis_client.Redis) -> None:
    store = store_on(client, changes=50)
    for first in range(0, 20_000, 1000):
        write(store, *(event("changed", at, f"tag {at}") for at in range(first, first + 1000, 5)))
    # Whole nodes of the stream are trimmed: a hundred entries each.
    assert 50 <= client.xlen("trends:changes") <= 150
    fences = cast("list[str]", client.hkeys("trends:fence"))
    assert min(int(field.split()[-1]) for field in fences if field.startswith("change ")) >= 19_995 - HORIZON
    assert len(fences) <= 2 * (HORIZON // 5 + 1) + 3
    assert client.zcard("trends:fence:ages") <= len(fences)
    before = client.xlen("trends:changes")
    write(store, event("changed", 5, "tag 5"))
    assert client.xlen("trends:changes") == before


def test_sample_posts_are_bounded(client: redis_client.Redis) -> None:
    huge = tuple(Sample("feed", str(number), "x" * 100_000) for number in range(100))
    write(store_on(client), event("began", 100, "a", samples=huge))
    assert client.strlen("trends:trend:a/1") <= 1_048_576
    last = TrendReader(client).last("a/1")
    assert last is not None
    assert len(last.trend.samples) == 100


def test_what_another_version_wrote_is_passed_over(client: redis_client.Redis) -> None:
    store, reader = store_on(client), TrendReader(client)
    for _ in range(3):
        client.xadd("trends:changes", {"data": "?"})
    write(store, event("began", 100, "a"))
    client.hset("trends:active", "b", '{"who": "knows"}')
    client.set("trends:trend:b/1", "[]")
    assert [change.event.trend.tag for change in reader.changes(limit=1)] == ["a"]
    assert [trend.tag for trend in reader.now().active] == ["a"]
    assert reader.last("b/1") is None


# ---- any order, any repetition, any number of writers


class Model:
    """What Redis must hold: of each key the write with the highest fence, of all generations the newest."""

    def __init__(self) -> None:
        self.generation = -1
        self.windows: dict[int, Window] = {}
        self.newest: Window | None = None
        self.active: dict[str, TrendEvent] = {}
        self.told: list[tuple[str, int, int, int]] = []

    def write(self, item: Window | TrendEvent) -> None:
        if item.generation < self.generation:
            return
        if item.generation > self.generation:
            self.generation = item.generation
            self.active = {}
            if isinstance(item, Window):
                self.windows = {end: held for end, held in self.windows.items() if end <= item.end}
        if isinstance(item, Window):
            self._window(item)
        else:
            self._event(item)

    def _window(self, item: Window) -> None:
        held = self.windows.get(item.end)
        if held is None or (item.generation, item.revision) > (held.generation, held.revision):
            self.windows[item.end] = item
        if self.newest is None or _order(item) > _order(self.newest):
            self.newest = item

    def _event(self, item: TrendEvent) -> None:
        at = int(item.at.timestamp())
        tag = item.trend.tag
        if tag not in self.active or item.fence > self.active[tag].fence:
            self.active[tag] = item
        told = [entry[3] for entry in self.told if entry[:3] == (tag, item.generation, at)]
        if item.revision > max(told, default=-1):
            self.told.append((tag, item.generation, at, item.revision))


def _order(item: Window) -> tuple[int, int, int]:
    return item.generation, item.end, item.revision


ENDS = st.integers(1, 9).map(lambda place: place * SLIDE)
GENERATIONS = st.integers(1, 3)
REVISIONS = st.integers(0, 3)
TAGS = st.sampled_from(["a", "b", "ü 😀"])


@st.composite
def items(draw: st.DrawFn, generations: st.SearchStrategy[int] = GENERATIONS) -> Window | TrendEvent:
    """A window or an event whose content follows from its fence, as it does in a job."""
    end, generation, revision = draw(ENDS), draw(generations), draw(REVISIONS)
    content = end * 10_000 + generation * 100 + revision
    if draw(st.booleans()):
        top = [(tag, content + place) for place, tag in enumerate("abc"[: content // 7 % 4])]
        return window(end, *top, revision=revision, generation=generation)
    tag = draw(TAGS)
    kind: EventKind = ("began", "changed", "ended")[(content // 3 + len(tag)) % 3]
    return event(kind, end, tag, revision, generation, count=content)


def held(client: redis_client.Redis) -> tuple[Any, ...]:
    """Everything that Redis shows, as plain values."""
    now = TrendReader(client).now(history=1000)
    return (
        now.window,
        now.history,
        {trend.tag: trend.count for trend in now.active},
        [(change.event.trend.tag, *_fence(change.event)) for change in TrendReader(client).changes(limit=100_000)],
    )


def expected(model: Model) -> tuple[Any, ...]:
    newest = model.newest
    # Its counts stay until the newer generation's first window.
    shown = newest if newest is not None and newest.generation == model.generation else None
    return (
        shown,
        tuple(_sorted(model.windows[end]) for end in sorted(model.windows)),
        {tag: held.trend.count for tag, held in model.active.items() if held.event != "ended"},
        model.told,
    )


def _sorted(item: Window) -> Window:
    return msgspec.structs.replace(item, top=tuple(sorted(item.top, key=lambda each: (-each.count, each.tag))))


def _fence(item: TrendEvent) -> tuple[int, int, int]:
    return item.generation, int(item.at.timestamp()), item.revision


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(st.lists(items(), max_size=6), max_size=12))
def test_redis_holds_what_the_fences_say(redis: RedisDatabase, calls: list[list[Window | TrendEvent]]) -> None:
    client = connect(redis.url)
    client.flushdb()
    model = Model()
    for call in calls:
        write(store_on(client), *call)
        for item in _as_written(call):
            model.write(item)
    found, wanted = held(client), expected(model)
    assert (found[0] and _sorted(found[0])) == (wanted[0] and _sorted(wanted[0]))
    assert found[1:] == wanted[1:]


def _as_written(call: Sequence[Window | TrendEvent]) -> list[Window | TrendEvent]:
    """Of each window end the newest, in the order of the ends, then the events."""
    newest: dict[int, Window] = {}
    for item in call:
        if isinstance(item, Window):
            known = newest.get(item.end)
            if known is None or (item.generation, item.revision) > (known.generation, known.revision):
                newest[item.end] = item
    return [*(newest[end] for end in sorted(newest)), *(item for item in call if isinstance(item, TrendEvent))]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), told=st.lists(items(st.just(1)), max_size=12))
def test_the_order_and_the_repetitions_do_not_matter(
    redis: RedisDatabase, data: st.DataObject, told: list[Window | TrendEvent]
) -> None:
    # Of one generation; whatever is repeated and however it is mixed, as by a twin that lags behind.
    shuffled = data.draw(st.permutations(told + told[: data.draw(st.integers(0, len(told)))]))
    client = connect(redis.url)
    states = []
    for order in (told, shuffled):
        client.flushdb()
        for item in order:
            write(store_on(client), item)
        found = held(client)
        newest_told: dict[tuple[Any, ...], int] = {}
        for tag, _, at, revision in found[3]:
            newest_told[tag, at] = max(revision, newest_told.get((tag, at), -1))
        states.append((*found[:3], newest_told))
    assert states[0] == states[1]


# ---- outages


def test_killed_in_the_middle_of_writes(redis: RedisDatabase) -> None:
    """The server is killed again and again while a writer writes; what it holds then is what was written."""
    store = RedisTrendStore(connect(redis.url, timeout=2, retries=0), Waits(), window_ttl=10**9, horizon=10**9)
    store.prepare()
    done = threading.Event()

    def write_all() -> None:
        for first in range(0, 3000, 30):
            ends = range(first, first + 30)
            write(
                store,
                *map(_two_tags, ends),
                *(event("changed", end * SLIDE, "a", count=end) for end in ends),
            )
        done.set()

    writer = threading.Thread(target=write_all)
    writer.start()
    reader = TrendReader(connect(redis.url))
    for share in (500, 1200, 2000):
        _wait_for_windows(reader, share, done)
        redis.kill()
        redis.start()
    writer.join(120)
    assert done.is_set()
    now = reader.now(history=10_000)
    assert now.history == tuple(_two_tags(end) for end in range(3000))
    assert now.window == now.history[-1]
    assert [change.event.trend.count for change in reader.changes(limit=10_000)] == list(range(3000))


def _two_tags(number: int) -> Window:
    return _sorted(window(number * SLIDE, ("a", number), (f"tag {number}", 1)))


def _wait_for_windows(reader: TrendReader, count: int, done: threading.Event) -> None:
    def are_there() -> bool:
        return done.is_set() or len(reader.now(history=10_000).history) > count

    wait_until(are_there, 60, f"{count} windows")


def test_scripts_that_the_server_forgot_are_loaded_again(redis: RedisDatabase) -> None:
    client = connect(redis.url)
    store = store_on(client)
    write(store, window(100, ("a", 1)))
    client.script_flush()
    write(store, *(window(end, ("a", end)) for end in range(110, 150, 10)), event("began", 140, "a"))
    assert len(TrendReader(client).now(9).history) == 5


def test_a_server_that_hangs_is_waited_for_and_named(redis: RedisDatabase) -> None:
    waits = Waits()
    store = RedisTrendStore(connect(redis.url, timeout=0.2, retries=0), waits)
    store.prepare()
    assert redis.pid is not None
    os.kill(redis.pid, signal.SIGSTOP)
    named: list[dict[str, str]] = []

    def until_named() -> bool:
        if waits.current() and redis.pid is not None and not named:
            named.append(waits.current())
            os.kill(redis.pid, signal.SIGCONT)
        return True

    try:
        store.write([window(100, ("a", 1))], [], until_named)
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    assert set(named[0]) == {"redis"}
    assert waits.current() == {}
    assert top_of(connect(redis.url), "hashtags") == {"a": 1}


def test_a_full_server_is_waited_for_and_nothing_is_half_written(redis: RedisDatabase) -> None:
    admin = connect(redis.url)
    store = store_on(connect(redis.url))
    write(store, window(100, ("a", 1)), event("began", 100, "a"))
    admin.config_set("maxmemory", "1mb")
    try:
        waits: list[int] = []

        def until_there_is_room() -> bool:
            waits.append(1)
            if len(waits) == 5:
                admin.config_set("maxmemory", "0")
            return True

        store.write([], [event("changed", 110, "a", count=7)], until_there_is_room)
    finally:
        admin.config_set("maxmemory", "0")
    assert len(waits) >= 5
    assert [change.event.event for change in TrendReader(admin).changes()] == ["began", "changed"]
    assert [trend.count for trend in TrendReader(admin).now().active] == [7]


# ---- who may, and where


def test_a_user_who_may_not_write_stops_the_job(redis: RedisDatabase) -> None:
    admin = connect(redis.url)
    may = {
        "writer": ["+@all", "-@dangerous"],
        "reader": ["+@read", "+@connection", "+@scripting", "+@transaction"],
    }
    for user, categories in may.items():
        admin.acl_setuser(user, enabled=True, passwords=["+secret"], keys=["job:*"], categories=categories)
    try:
        writer = store_on(connect(redis.url, username="writer", password="secret"), "job:")
        write(writer, window(100, ("a", 1)), event("began", 100, "a", samples=samples(1, 1)))
        assert TrendReader(connect(redis.url, username="reader", password="secret"), "job:").now(1).history
        reader = store_on(connect(redis.url, username="reader", password="secret"), "job:")
        for item in (window(110, ("a", 1)), event("changed", 110, "a")):
            with pytest.raises(StopJob, match=r"redis\.username"):
                write(reader, item)
        elsewhere = store_on(connect(redis.url, username="writer", password="secret"), "other:")
        with pytest.raises(StopJob, match=r"redis\.username"):
            write(elsewhere, window(110, ("a", 1)))
    finally:
        admin.acl_deluser("writer", "reader")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisClusterNode]:
    node = RedisClusterNode(tmp_path_factory.mktemp("cluster"))
    node.start()
    yield node
    node.kill()


def test_a_cluster_needs_a_hash_tag(cluster: RedisClusterNode) -> None:
    plain = connect(f"redis://127.0.0.1:{cluster.port}")
    many = connect(f"redis+cluster://127.0.0.1:{cluster.port}")
    for client, prefix in ((plain, "job:"), (plain, "{job}:"), (many, "job:"), (many, "{}:")):
        with pytest.raises(SettingsError, match=r"hash tag in braces, such as \{groundswell\}:"):
            store_on(client, prefix)


def test_on_a_cluster_it_is_the_same(cluster: RedisClusterNode) -> None:
    client = connect(f"redis+cluster://127.0.0.1:{cluster.port}")
    store = store_on(client, "{job}:")
    write(store, *(window(end, ("a", end)) for end in range(0, 5000, 10)))
    write(store, event("began", 100, "a", samples=samples(2, 9)))
    write(store, window(4900, ("a", 7), revision=1), event("began", 100, "a"))
    reader = TrendReader(client, "{job}:")
    now = reader.now(history=100)
    assert now.window == window(4990, ("a", 4990))
    assert [each.end for each in now.history] == list(range(4900, 5000, 10))
    assert now.history[0] == window(4900, ("a", 7), revision=1)
    assert [trend.tag for trend in now.active] == ["a"]
    assert len(reader.changes()) == 1
    assert math.isclose(client.ttl("{job}:hashtags"), TTL, abs_tol=30)
    store.close()
