"""A tag's re-reading, from the event of its trend to its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
import pytest

from groundswell.candidates import ScoreBatch
from groundswell.topics import Progress, Topic, TopicsKnown
from groundswell.trends import TrendEvent
from operators.topics.rescore import Rescorer, TagLogic, Turns
from operators.topics.rescoring_state import RescoringOptions, RescoringState
from tests.connectors.trends import samples, trend_event
from tests.operators.topics.archive import NOON, Archive, Judge, document, topic


class Clock:
    """Moves by a second whenever it is asked."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class World:
    """The services of a re-reading, kept in memory."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.board: dict[str, Topic] = {}
        self.declared: list[str] = []
        self.refusal = ""
        self.active: dict[str, bool] | None = {}
        self.told: dict[str, Progress | None] = {}
        self.described = 0

    def describe(self, event: TrendEvent, known: Topic | None) -> Topic:
        self.described += 1
        trend = event.trend
        assert known is None or known.tag == trend.tag
        made = topic(tag=trend.tag, trend=trend.id, posts=len(trend.samples))
        return msgspec.structs.replace(made, at=self.clock())

    def declare(self, tag: str) -> tuple[bool, str]:
        new = tag not in self.declared
        self.declared.append(tag)
        return new, self.refusal

    def announced(self, tag: str) -> Topic | None:
        return self.board.get(tag)

    def announce(self, topic: Topic) -> None:
        self.board[topic.tag] = topic

    def withdraw(self, tag: str, until: datetime) -> None:
        if tag in self.board and self.board[tag].at <= until:
            del self.board[tag]

    def is_active(self, trend_id: str) -> bool | None:
        return None if self.active is None else self.active.get(trend_id, True)

    def reports(self) -> Mapping[str, TopicsKnown]:
        return {}

    def tell(self, tag: str, progress: Progress | None) -> None:
        self.told[tag] = progress


class Bench:
    """A process that re-reads one archive, one logic a tag."""

    def __init__(self, archive: Archive) -> None:
        self.clock = Clock()
        self.world = World(self.clock)
        self.archive = archive
        self.rescorer = Rescorer(self.world, archive, Judge(), RescoringOptions(first=10, first_nearest=40), self.clock)

    def logic(self, resume: bytes | None = None) -> TagLogic:
        return TagLogic(self.rescorer, resume)

    def write(self, batches: object) -> list[ScoreBatch]:
        written: list[ScoreBatch] = list(batches)  # type: ignore[call-overload]
        for batch in written:
            self.archive.put(batch.scores)
        return written

    def settle(self, logic: TagLogic) -> bool:
        """Notify until the tag has nothing to do; whether it was discarded."""
        for _ in range(1_000):
            if not self.rescorer.busy:
                return False
            batches, discard = logic.on_notify()
            self.write(batches)
            if discard:
                return True
        raise AssertionError("never settles")


@pytest.fixture
def bench() -> Bench:
    return Bench(Archive([document(number, number / 200, created=-number) for number in range(200)]))


def began(count: int = 20, **more: object) -> TrendEvent:
    return trend_event("flood", event="began", samples=samples(count, 10), **more)  # type: ignore[arg-type]


def test_a_trend_that_begins_is_described_declared_and_announced_before_its_first_scores(bench: Bench) -> None:
    logic = bench.logic()
    batches, discard = logic.on_batch([began()])
    assert not discard
    assert bench.world.declared == ["flood"]
    (first,) = bench.write(batches)
    assert (first.tag, first.refresh, len(first.scores)) == ("flood", True, 10)
    assert first.began is not None
    assert bench.world.board["flood"].at >= first.began
    assert not bench.settle(logic)
    assert len(bench.archive.scores()) == 190
    told = bench.world.told["flood"]
    assert told is not None
    assert (told.phase, told.scored) == ("up to date", 190)


def test_the_same_event_once_more_changes_nothing(bench: Bench) -> None:
    logic = bench.logic()
    bench.write(logic.on_batch([began()])[0])
    bench.settle(logic)
    written = len(bench.archive.written)
    bench.write(logic.on_batch([began(), trend_event("flood", 1, samples=samples(25, 10))])[0])
    bench.settle(logic)
    assert (bench.world.described, len(bench.archive.written)) == (1, written)


def test_twice_the_evidence_describes_the_topic_anew_and_scores_all_again(bench: Bench) -> None:
    logic = bench.logic()
    bench.write(logic.on_batch([began(20)])[0])
    bench.settle(logic)
    bench.write(logic.on_batch([trend_event("flood", 1, samples=samples(40, 10))])[0])
    bench.settle(logic)
    assert bench.world.described == 2
    made = {each.classification.topic_at for each in bench.archive.by_id.values() if each.classification}
    assert made == {bench.world.board["flood"].at}


def test_a_tag_without_a_field_is_told_and_left(bench: Bench) -> None:
    bench.world.refusal = "100 labels are live already"
    logic = bench.logic()
    batches, discard = logic.on_batch([began()])
    assert (list(batches), discard) == ([], True)
    told = bench.world.told["flood"]
    assert told is not None
    assert told.refused == "100 labels are live already"
    assert bench.world.board == {}
    assert bench.rescorer.idle or bench.rescorer.busy == set()


def test_a_trend_that_ends_is_withdrawn_and_its_reading_finished(bench: Bench) -> None:
    logic = bench.logic()
    bench.write(logic.on_batch([began()])[0])
    bench.write(logic.on_batch([trend_event("flood", 1, event="ended")])[0])
    assert bench.world.board == {}
    for _ in range(200):
        batches, discard = logic.on_notify()
        bench.write(batches)
        if discard:
            break
    assert discard
    assert len(bench.archive.scores()) == 190
    assert bench.world.told["flood"] is None
    assert not bench.rescorer.busy
    again, discard = bench.logic().on_batch([trend_event("flood", 1, event="ended")])
    assert (list(again), discard) == ([], True)


def test_a_trend_that_is_over_before_it_is_heard_of_is_read_up_on_all_the_same(bench: Bench) -> None:
    logic = bench.logic()
    life = [trend_event("flood", 5, event="ended"), began(), trend_event("flood", 1, samples=samples(30, 10))]
    batches, discard = logic.on_batch(life)
    assert not discard
    bench.write(batches)
    assert bench.settle(logic)
    assert (len(bench.archive.scores()), bench.world.described) == (190, 1)
    assert bench.world.board == {}


def test_a_tag_that_trends_again_goes_on_with_the_new_trend(bench: Bench) -> None:
    logic = bench.logic()
    bench.write(logic.on_batch([began()])[0])
    bench.settle(logic)
    again = trend_event("flood", 90, event="began", samples=samples(20, 10), id="flood/2")
    bench.write(logic.on_batch([trend_event("flood", 60, event="ended"), again])[0])
    bench.settle(logic)
    assert bench.world.board["flood"].trend_id == "flood/2"
    trends = {each.classification.trend_id for each in bench.archive.by_id.values() if each.classification}
    assert trends == {"flood/2"}


def test_after_a_crash_it_goes_on_where_it_was(bench: Bench) -> None:
    logic = bench.logic()
    bench.write(logic.on_batch([began()])[0])
    bench.write(logic.on_notify()[0])
    saved = logic.snapshot()
    resumed = bench.logic(saved)
    assert resumed.notify_at() is not None
    bench.settle(resumed)
    assert len(bench.archive.scores()) == 190
    assert bench.world.described == 1


def test_without_its_state_the_topic_that_was_announced_is_gone_on_with(bench: Bench) -> None:
    lost = bench.logic()
    bench.write(lost.on_batch([began()])[0])
    before = bench.world.board["flood"]
    logic = bench.logic()
    bench.write(logic.on_batch([began()])[0])
    bench.settle(logic)
    assert bench.world.board["flood"] == before
    assert len(bench.archive.scores()) == 190


def test_what_ended_while_nobody_looked_is_ended(bench: Bench) -> None:
    logic = bench.logic()
    bench.write(logic.on_batch([began()])[0])
    resumed = bench.logic(logic.snapshot())
    bench.world.active = None
    assert list(resumed.on_notify()[0]) == [], "nothing is known of trends yet"
    bench.world.active = {"flood/1": False}
    assert bench.settle(resumed)
    assert bench.world.board == {}


def test_the_state_is_whole(bench: Bench) -> None:
    logic = bench.logic()
    bench.write(logic.on_batch([began()])[0])
    state = msgspec.msgpack.decode(logic.snapshot(), type=RescoringState)
    assert state.topic == bench.world.board["flood"]
    assert (state.anew, state.phase, state.scored) == (True, "nearest", 10)


def test_tags_take_turns() -> None:
    turns, now = Turns(), NOON
    assert turns.mine("a", now)
    assert not turns.mine("b", now)
    turns.done("a", now)
    assert not turns.mine("b", now), "news may come through first"
    later = now + timedelta(seconds=1)
    assert turns.mine("b", later)
    assert not turns.mine("a", later)
    turns.leave("b")
    assert turns.mine("a", later)
