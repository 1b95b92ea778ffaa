"""Cutting time into slices, against plain counting."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from connectors.time_slices import ceil_milliseconds, cut, floor_milliseconds, from_milliseconds
from groundswell.candidates import EVER, Slice, Span


class Counted:
    """The documents at these milliseconds, as a store counts them."""

    def __init__(self, times: list[int]) -> None:
        self.times = times
        self.asked: list[tuple[int, int, int]] = []

    def __call__(self, since: int, until: int, width: int) -> list[tuple[int, int]]:
        self.asked.append((since, until, width))
        inside = (time for time in self.times if since <= time < until)
        return list(Counter(time // width * width for time in inside).items())

    def cut(self, most: int, span: Span = EVER) -> list[Slice]:
        return cut(span, min(self.times), max(self.times), most, self)


@given(
    times=st.lists(st.integers(-(10**13), 10**13) | st.integers(0, 50), min_size=1, max_size=80),
    most=st.integers(1, 20),
)
def test_every_document_lies_in_one_slice_and_none_holds_too_many(times: list[int], most: int) -> None:
    slices = Counted(times).cut(most)
    assert (slices[0].span.until, slices[-1].span.since) == (None, None)
    assert all(newer.span.since == older.span.until for newer, older in pairwise(slices))
    assert sum(each.documents for each in slices) == len(times)
    for each in slices:
        since = -(10**14) if each.span.since is None else floor_milliseconds(each.span.since)
        until = 10**14 if each.span.until is None else floor_milliseconds(each.span.until)
        inside = [time for time in times if since <= time < until]
        assert len(inside) == each.documents
        assert each.documents <= most or len(set(inside)) == 1


def test_evenly_spread_documents_are_counted_once_and_slices_are_nearly_full() -> None:
    counted = Counted(list(range(0, 10**9, 10**4)))
    slices = counted.cut(10_000)
    assert len(counted.asked) == 1
    assert len(slices) == 10
    assert all(each.documents >= 9_900 for each in slices)


def test_only_where_many_lie_close_together_it_is_asked_again() -> None:
    crowd = list(range(500_000_000, 500_005_000))
    counted = Counted([0, *crowd, 10**9])
    assert [each.documents for each in counted.cut(2_000)] == [1_001, 2_000, 2_000, 1]
    assert [width for _, _, width in counted.asked] == [1_000_001, 1_000]


def test_the_ends_are_those_of_the_span() -> None:
    span = Span(datetime(1970, 1, 1, tzinfo=UTC), datetime(1971, 1, 1, tzinfo=UTC))
    (only,) = Counted([5, 7]).cut(10, span)
    assert only == Slice(span, 2)


@given(st.datetimes(timezones=st.just(UTC)))
def test_milliseconds_down_and_up(time: datetime) -> None:
    down, up = floor_milliseconds(time), ceil_milliseconds(time)
    assert from_milliseconds(down) <= time < from_milliseconds(down) + timedelta(milliseconds=1)
    assert up == (down if from_milliseconds(down) == time else down + 1)
