"""Trend events for the tests of the stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from groundswell.trends import EventKind, Sample, TagCount, Trend, TrendDocument, TrendEvent, trend_document

#: The window end of minute 0.
TIME = datetime(2026, 11, 16, 12, tzinfo=UTC)


def trend_event(
    tag: str = "flood",
    minute: int = 0,
    revision: int = 0,
    generation: int = 1,
    event: EventKind = "changed",
    **trend: Any,
) -> TrendEvent:
    """What is decided about ``tag`` for the window that ends ``minute`` minutes after :data:`TIME`; it began then."""
    at = TIME + timedelta(minutes=minute)
    fields: dict[str, Any] = {
        "id": f"{tag}/1",
        "tag": tag,
        "label": tag.title(),
        "since": TIME,
        "score": 12.5,
        "count": 100 + minute,
        "peak": 200,
        "authors": 90,
        "unattributed": 3,
        "until": at if event == "ended" else None,
        "words": (("river", 2.5), ("levee", 1.25)),
        "cotags": (TagCount("harvey", 40), TagCount("東京", 7)),
        **trend,
    }
    return TrendEvent(generation, event, at, revision, Trend(**fields))


def trend_doc(*args: Any, **fields: Any) -> TrendDocument:
    """The document of such an event."""
    return trend_document(trend_event(*args, **fields))


def samples(count: int, size: int) -> tuple[Sample, ...]:
    """So many sample posts with texts of so many characters."""
    return tuple(Sample("test", str(number), f"{number:06d}".ljust(size, "x")) for number in range(count))
