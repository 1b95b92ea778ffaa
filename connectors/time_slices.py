"""Time cut into stretches that hold about equally many documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from groundswell.candidates import Slice, Span

#: Documents by time: for ``(since, until, width)`` in milliseconds since 1970 each ``(start, documents)`` of the
#: stretches of that width, counted from 1970, that hold any.
Histogram = Callable[[int, int, int], list[tuple[int, int]]]

#: Stretches that are asked for at once.
_PARTS: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def floor_milliseconds(time: datetime) -> int:
    """Whole milliseconds since 1970, down."""
    return (time - _EPOCH) // _MILLISECOND


def ceil_milliseconds(time: datetime) -> int:
    """Whole milliseconds since 1970, up."""
    return -((_EPOCH - time) // _MILLISECOND)


def from_milliseconds(milliseconds: int) -> datetime:
    """The time so many milliseconds after 1970."""
    return _EPOCH + milliseconds * _MILLISECOND


def cut(span: Span, first: int, last: int, most: int, histogram: Histogram) -> list[Slice]:
    """Cut a span into slices of at most ``most`` documents, newest first; none is cut below a millisecond.

    All documents of the span lie from ``first`` to ``last``, in milliseconds since 1970. Only
    where many lie close together is the histogram asked more than once.
    """
    until = last + 1
    width = -(-(until - first) // _PARTS)
    slices: list[Slice] = []
    upper, lower, held = span.until, until, 0
    for start, documents in _refined(first, until, width, most, histogram):
        if held and held + documents > most:
            edge = from_milliseconds(lower)
            slices.append(Slice(Span(edge, upper), held))
            upper, held = edge, 0
        lower, held = start, held + documents
    return [*slices, Slice(Span(span.since, upper), held)] if held else slices


def _refined(since: int, until: int, width: int, most: int, histogram: Histogram) -> Iterator[tuple[int, int]]:
    """Each ``(start, documents)``, newest first, of stretches that hold at most ``most`` or are a millisecond long."""
    for start, documents in sorted(histogram(since, until, width), reverse=True):
        if documents > most and width > 1:
            inner = max(since, start), min(until, start + width)
            yield from _refined(*inner, max(1, width // _PARTS), most, histogram)
        else:
            yield max(since, start), documents
