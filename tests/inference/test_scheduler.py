"""The laws of the queue, on a clock that is a number: any rows, in any order, on a device of any speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import groupby
from math import ceil, inf, log2
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.limits import Lane, Limits, bucket
from inference.scheduler import Batch, Scheduler, Ticket

LENGTHS = (4, 8, 16)


class Offer(NamedTuple):
    """Rows of one owner that arrive ``after`` so many milliseconds; they are withdrawn ``cancelled`` ms later."""

    after: int
    lane: Lane
    group: str
    sizes: list[int]
    cancelled: int | None = None


class Call(NamedTuple):
    """A batch as the device saw it, and the rows that waited when it began."""

    began: float
    ended: float
    batch: Batch
    waiting: list[Ticket]


class World:
    """A device of a fixed speed, and everything that happens at it, in order."""

    def __init__(self, limits: Limits, seconds_a_token: float = 0.001, poison: frozenset[int] = frozenset()) -> None:
        self.limits = limits
        self.scheduler = Scheduler(limits)
        self.speed = seconds_a_token
        self.poison = poison
        self.now = 0.0
        self.calls: list[Call] = []
        self.answered: Counter[tuple[Hashable, int]] = Counter()
        self.blamed: Counter[tuple[Hashable, int]] = Counter()
        self.withdrawn = 0
        self._waiting: dict[tuple[Hashable, int], tuple[Ticket, Lane]] = {}
        self._ends = inf

    def play(self, offers: Sequence[Offer]) -> World:
        """Let everything arrive, and the device run until nothing is left."""
        events: list[tuple[float, int, Offer | None]] = []
        clock = 0.0
        for owner, offer in enumerate(offers):
            clock += offer.after / 1000
            events.append((clock, owner, offer))
            if offer.cancelled is not None:
                events.append((clock + offer.cancelled / 1000, owner, None))
        events.sort(key=lambda event: (event[0], event[2] is None, event[1]))
        for moment, owner, arriving in events:
            self._run_until(moment)
            self.now = moment
            if arriving is None:
                self.withdrawn += self.scheduler.withdraw({owner})
                self._forget(owner)
            else:
                self._arrive(owner, arriving)
            self._dispatch()
        self._run_until(inf)
        return self

    def _arrive(self, owner: int, offer: Offer) -> None:
        for first in range(0, len(offer.sizes), 3):
            sizes = offer.sizes[first : first + 3]
            self.scheduler.offer(offer.lane, offer.group, owner, sizes, self.now, first)
            for index, size in enumerate(sizes, first):
                order = len(self._waiting) + sum(self.answered.values())
                self._waiting[owner, index] = (Ticket(order, self.now, size, owner, index), offer.lane)

    def _forget(self, owner: int) -> None:
        running = self.scheduler.running
        had = {(ticket.owner, ticket.index) for ticket in running.tickets} if running else set()
        for key in [key for key in self._waiting if key[0] == owner and key not in had]:
            del self._waiting[key]

    def _run_until(self, moment: float) -> None:
        while True:
            due = self.scheduler.due()
            step = min(self._ends, inf if due is None else max(due, self.now))
            if step >= moment or step == inf:
                return
            self.now = step
            if step == self._ends:
                self._end()
            self._dispatch()

    def _dispatch(self) -> None:
        waiting = [ticket for ticket, _ in self._waiting.values()]
        batch = self.scheduler.next(self.now)
        if batch is not None:
            self._ends = self.now + batch.cost * self.speed
            self.calls.append(Call(self.now, self._ends, batch, waiting))

    def _end(self) -> None:
        batch = self.calls[-1].batch
        self._ends = inf
        rows = [(ticket.owner, ticket.index) for ticket in batch.tickets]
        if any(ticket.size in self.poison for ticket in batch.tickets):
            to_blame = self.scheduler.failed(self.now)
            if to_blame is None:
                return
            self.blamed[to_blame.owner, to_blame.index] += 1
        else:
            assert self.scheduler.finished(self.now) == batch
        self.answered.update(rows)
        for row in rows:
            self._waiting.pop(row, None)


OFFERS = st.lists(
    st.builds(
        Offer,
        after=st.integers(0, 40),
        lane=st.sampled_from(Lane),
        group=st.sampled_from("ab"),
        sizes=st.lists(st.integers(1, 40), max_size=12),
        cancelled=st.none() | st.none() | st.integers(0, 60),
    ),
    max_size=12,
)
LIMITS = st.builds(
    Limits,
    buckets=st.just(LENGTHS),
    batch_tokens=st.integers(1, 80),
    batch_rows=st.integers(1, 8),
    linger=st.sampled_from([0.0, 0.005, 0.03]),
    queue_rows=st.just(10_000),
    padding=st.sampled_from([0.0, 0.1, 0.5]),
    call_tokens=st.sampled_from([0, 10, 100]),
    backfill_share=st.sampled_from([0.05, 0.5]),
)


def rows_of(offers: Sequence[Offer]) -> dict[tuple[int, int], Offer]:
    return {(owner, index): offer for owner, offer in enumerate(offers) for index in range(len(offer.sizes))}


@settings(deadline=None)
@given(LIMITS, OFFERS)
def test_every_row_goes_once_unless_it_is_withdrawn(limits: Limits, offers: list[Offer]) -> None:
    world = World(limits).play(offers)
    rows = rows_of(offers)
    assert set(world.answered.values()) <= {1}
    assert sum(world.answered.values()) + world.withdrawn == len(rows)
    assert all(rows[row].cancelled is not None for row in rows.keys() - world.answered.keys())
    assert [world.scheduler.waiting(lane) for lane in Lane] == [0, 0]
    assert (world.scheduler.next(world.now), world.scheduler.due()) == (None, None)


@settings(deadline=None)
@given(LIMITS, OFFERS)
def test_a_batch_keeps_within_its_budget_and_is_of_one_kind(limits: Limits, offers: list[Offer]) -> None:
    rows = rows_of(offers)
    for call in World(limits).play(offers).calls:
        batch = call.batch
        sizes = [ticket.size for ticket in batch.tickets]
        assert batch.length == bucket(max(sizes), LENGTHS)
        assert len(sizes) == 1 or (batch.cost <= limits.batch_tokens and len(sizes) <= limits.batch_rows)
        kinds = {
            (rows[ticket.owner, ticket.index].lane, rows[ticket.owner, ticket.index].group) for ticket in batch.tickets
        }
        assert kinds == {(batch.lane, batch.group)}


@settings(deadline=None)
@given(LIMITS, OFFERS)
def test_padding_beyond_the_bucket_stays_within_its_limit(limits: Limits, offers: list[Offer]) -> None:
    for call in World(limits).play(offers).calls:
        batch = call.batch
        if len({bucket(ticket.size, LENGTHS) for ticket in batch.tickets}) > 1:
            padding = batch.cost - sum(ticket.size for ticket in batch.tickets)
            assert padding <= max(limits.padding * batch.cost, limits.call_tokens)


@settings(deadline=None)
@given(LIMITS, OFFERS)
def test_the_device_never_idles_beyond_the_linger(limits: Limits, offers: list[Offer]) -> None:
    world = World(limits).play(offers)
    idle_since = 0.0
    for call in world.calls:
        oldest = min(ticket.since for ticket in call.waiting)
        # Either a batch was full at the last arrival, or the oldest row lingered; never longer.
        assert call.began <= max(idle_since, oldest + limits.linger) + 1e-9
        last = max(ticket.since for ticket in call.waiting)
        if call.began > max(idle_since, last) + 1e-9:
            assert sum(bucket(ticket.size, LENGTHS) for ticket in call.waiting) < limits.batch_tokens
            assert len(call.waiting) < limits.batch_rows
        idle_since = call.ended


@settings(deadline=None)
@given(LIMITS, OFFERS)
def test_the_oldest_row_of_the_lane_is_in_the_batch(limits: Limits, offers: list[Offer]) -> None:
    rows = rows_of(offers)
    for call in World(limits).play(offers).calls:
        lane = [t for t in call.waiting if rows[t.owner, t.index].lane is call.batch.lane]
        assert min(ticket.since for ticket in lane) == min(ticket.since for ticket in call.batch.tickets)


@settings(deadline=None)
@given(LIMITS, OFFERS)
def test_rows_of_a_submitter_and_bucket_go_in_the_order_of_their_arrival(limits: Limits, offers: list[Offer]) -> None:
    seen: dict[tuple[Hashable, int], list[int]] = {}
    for call in World(limits).play(offers).calls:
        for ticket in call.batch.tickets:
            seen.setdefault((ticket.owner, bucket(ticket.size, LENGTHS)), []).append(ticket.index)
    assert all(indexes == sorted(indexes) for indexes in seen.values())


@settings(deadline=None)
@given(LIMITS, OFFERS)
def test_it_decides_the_same_again(limits: Limits, offers: list[Offer]) -> None:
    assert World(limits).play(offers).calls == World(limits).play(offers).calls


@settings(deadline=None)
@given(LIMITS, OFFERS, st.frozensets(st.integers(1, 40), max_size=40))
def test_each_poison_row_is_found_and_no_other(limits: Limits, offers: list[Offer], poison: frozenset[int]) -> None:
    world = World(limits, poison=poison).play(offers)
    rows = rows_of(offers)
    assert set(world.answered.values()) <= {1}
    assert world.blamed == Counter(row for row in world.answered if rows[row[0], row[1]].sizes[row[1]] in poison)  # type: ignore[index]
    if not any(offer.cancelled is not None for offer in offers):
        assert world.answered.keys() == rows.keys()
        most = max((len(call.batch.tickets) for call in world.calls), default=1)
        good = len(World(limits).play(offers).calls)
        # Halving finds a row of n in 2·log2(n) further calls at most.
        assert len(world.calls) <= (good + len(world.blamed)) * (1 + 2 * ceil(log2(max(2, most))))


@pytest.mark.parametrize(("poison", "calls"), [((), 1), ((3,), 7), ((1, 2, 3, 4, 5, 6, 7, 8), 15)])
def test_halving_costs_what_it_must(poison: tuple[int, ...], calls: int) -> None:
    limits = Limits(buckets=(8,), linger=0.0)
    world = World(limits, poison=frozenset(poison)).play([Offer(0, Lane.LIVE, "a", [1, 2, 3, 4, 5, 6, 7, 8])])
    assert len(world.calls) == calls
    assert sorted(world.blamed) == [(0, size - 1) for size in poison]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("live_tokens", [16, 160])
def test_while_both_lanes_wait_each_has_its_share_of_the_device(share: float, live_tokens: int) -> None:
    limits = Limits(buckets=(16,), batch_tokens=160, batch_rows=live_tokens // 16, backfill_share=share)
    scheduler = Scheduler(limits)
    used = dict.fromkeys(Lane, 0.0)
    now = longest = 0.0
    for _ in range(2000):
        for lane in Lane:
            scheduler.offer(lane, "a", lane, [16] * (40 - scheduler.waiting(lane)), now, 0)
        batch = scheduler.next(now)
        assert batch is not None
        # A call costs something even before its first token.
        seconds = 1.0 + batch.cost / 100
        now += seconds
        longest = max(longest, seconds)
        used[batch.lane] += seconds
        scheduler.finished(now)
        assert abs(used[Lane.BACKFILL] - share * now) <= 2 * longest
    assert used[Lane.LIVE] > 0


def test_a_live_row_waits_for_one_backfill_batch_at_most_when_live_rows_are_rare() -> None:
    scheduler = Scheduler(Limits(buckets=(16,), batch_tokens=160))
    now = 0.0
    for _ in range(50):
        scheduler.offer(Lane.BACKFILL, "a", "b", [16] * (100 - scheduler.waiting(Lane.BACKFILL)), now, 0)
        first = scheduler.next(now)
        assert first is not None
        assert first.lane is Lane.BACKFILL
        scheduler.offer(Lane.LIVE, "a", "l", [16], now, 0)
        now += 1.0
        scheduler.finished(now)
        second = scheduler.next(now)
        assert second is not None
        assert second.lane is Lane.LIVE
        now += 0.1
        scheduler.finished(now)


def test_live_rows_that_linger_do_not_let_the_device_idle_or_start_backfill() -> None:
    scheduler = Scheduler(Limits(buckets=(16,), batch_tokens=160, linger=1.0))
    scheduler.offer(Lane.BACKFILL, "a", "b", [16] * 20, 0.0, 0)
    scheduler.offer(Lane.LIVE, "a", "l", [16], 0.0, 0)
    first = scheduler.next(0.0)
    assert first is not None
    assert (first.lane, len(first.tickets)) == (Lane.LIVE, 1)


def test_backfill_that_must_not_run_now_does_not_hurry_live_rows() -> None:
    scheduler = Scheduler(Limits(buckets=(16,), batch_tokens=160, linger=1.0))
    scheduler.offer(Lane.BACKFILL, "a", "b", [16] * 20, 0.0, 0)
    assert scheduler.next(5.0, backfill=False) is None
    assert scheduler.due(backfill=False) is None
    scheduler.offer(Lane.LIVE, "a", "l", [16], 5.0, 0)
    assert scheduler.next(5.5, backfill=False) is None
    assert scheduler.due(backfill=False) == 6.0
    assert scheduler.due() == -inf


def test_halves_of_failed_backfill_give_way_to_live_rows_and_take_turns_with_their_lane() -> None:
    scheduler = Scheduler(Limits(buckets=(16,), batch_tokens=64, linger=0.0))
    scheduler.offer(Lane.BACKFILL, "a", "poison", [16] * 4, 0.0, 0)
    order: list[tuple[Lane, str, int]] = []
    for now in range(20):
        if now == 1:
            scheduler.offer(Lane.LIVE, "a", "live", [16] * 4, 1.0, 0)
            scheduler.offer(Lane.BACKFILL, "a", "good", [16] * 4, 1.0, 0)
        batch = scheduler.next(float(now))
        if batch is None:
            break
        owner = batch.tickets[0].owner
        order.append((batch.lane, owner, len(batch.tickets)))
        # On this clock the device takes no time, so that backfill is owed none.
        _ = scheduler.failed(float(now)) if owner == "poison" else scheduler.finished(float(now))
    assert [(lane is Lane.LIVE, owner, rows) for lane, owner, rows in order] == [
        (False, "poison", 4),
        (True, "live", 4),
        (False, "poison", 2),
        (False, "good", 4),
        (False, "poison", 1),
        (False, "poison", 1),
        (False, "poison", 2),
        (False, "poison", 1),
        (False, "poison", 1),
    ]


def test_rows_withdrawn_while_the_device_has_them_are_not_tried_again() -> None:
    scheduler = Scheduler(Limits(buckets=(16,), linger=0.0))
    for owner in "abc":
        scheduler.offer(Lane.LIVE, "g", owner, [16], 0.0, 0)
    assert scheduler.next(0.0) is not None
    assert scheduler.withdraw({"a", "c"}) == 0
    assert scheduler.failed(1.0) is None
    again = scheduler.next(1.0)
    assert again is not None
    # Of three rows one is left; it is not known to be the one to blame.
    assert [ticket.owner for ticket in again.tickets] == ["b"]
    assert scheduler.failed(2.0) == again.tickets[0]
    assert scheduler.waiting(Lane.LIVE) == 0


def test_halves_are_withdrawn_too() -> None:
    scheduler = Scheduler(Limits(buckets=(16,), linger=0.0))
    for owner in "abab":
        scheduler.offer(Lane.LIVE, "g", owner, [16], 0.0, 0)
    scheduler.next(0.0)
    scheduler.failed(0.0)
    assert scheduler.withdraw({"a"}) == 2
    assert scheduler.waiting(Lane.LIVE) == 2
    owners = []
    while (batch := scheduler.next(0.0)) is not None:
        owners += [ticket.owner for ticket in batch.tickets]
        scheduler.finished(0.0)
    assert owners == ["b", "b"]


def test_groups_take_turns_by_their_oldest_row() -> None:
    scheduler = Scheduler(Limits(buckets=(16,), batch_tokens=32, linger=0.0))
    for group in "aab":
        scheduler.offer(Lane.LIVE, group, group, [16] * 2, 0.0, 0)
    scheduler.offer(Lane.LIVE, "a", "a", [16] * 2, 0.0, 0)
    groups = []
    while (batch := scheduler.next(0.0)) is not None:
        groups.append(batch.group)
        scheduler.finished(0.0)
    assert groups == ["a", "a", "b", "a"]


@pytest.mark.parametrize(
    ("call_tokens", "batches"),
    [(0, [[8, 8], [3, 3, 4], [16]]), (1000, [[16, 8, 8, 3, 3, 4]])],
    ids=["a call costs nothing", "a call costs more than padding"],
)
def test_a_costly_call_takes_other_lengths_along(call_tokens: int, batches: list[list[int]]) -> None:
    limits = Limits(buckets=LENGTHS, linger=0.0, call_tokens=call_tokens)
    scheduler = Scheduler(limits)
    scheduler.offer(Lane.LIVE, "a", "o", [8, 3, 16, 3, 8, 4], 0.0, 0)
    found = []
    while (batch := scheduler.next(0.0)) is not None:
        found.append([ticket.size for ticket in batch.tickets])
        scheduler.finished(0.0)
    assert found == batches


def test_room_is_what_the_lane_has_left() -> None:
    scheduler = Scheduler(Limits(queue_rows=5, batch_rows=2, linger=0.0))
    scheduler.offer(Lane.BACKFILL, "a", "o", [4] * 5, 0.0, 0)
    assert (scheduler.room(Lane.BACKFILL), scheduler.room(Lane.LIVE)) == (0, 5)
    scheduler.next(0.0)
    assert scheduler.room(Lane.BACKFILL) == 2


@given(st.integers(1, 5000), st.sampled_from([LENGTHS, (128,), Limits().buckets]))
def test_lengths_are_few_and_hold_the_row(size: int, lengths: tuple[int, ...]) -> None:
    length = bucket(size, lengths)
    assert size <= length
    assert bucket(length, lengths) == length
    assert length in lengths or (length > lengths[-1] and length - size <= max(4, size // 4))


def test_the_built_in_lengths_are_few() -> None:
    counts = [len(list(group)) for _, group in groupby(Limits().buckets, key=lambda length: ceil(log2(length)))]
    assert max(counts) == 8
