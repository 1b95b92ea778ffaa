"""Suspicious batches go one record at a time; guilty records become dead letters."""

from __future__ import annotations

from datetime import UTC, datetime

from groundswell.records import Batch, Envelope, Mark, Origin, RawBatch
from operators.decode import Decoder
from operators.isolate import Isolation, Span, decoded_span, span_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = RawBatch("posts", 0, [7, 8, 9], [b"a", b"b", b"c"], replayed={1: Origin("posts", 2, 40)}, part="p")


def split(isolation: Isolation) -> list[RawBatch | Batch]:
    return list(isolation.split(BATCH, lambda: NOW))


def test_a_batch_above_suspicion_passes_unchanged() -> None:
    assert split(Isolation(suspects=(Span("posts", 0, 10, 20),))) == [BATCH]


def test_a_suspicious_batch_is_taken_apart_and_keeps_its_origins() -> None:
    parts = split(Isolation(suspects=(Span("posts", 0, 9, 20),)))
    assert parts == [
        RawBatch("posts", 0, [7], [b"a"], part="p"),
        RawBatch("posts", 0, [8], [b"b"], replayed={0: Origin("posts", 2, 40)}, part="p"),
        RawBatch("posts", 0, [9], [b"c"], part="p"),
    ]


def test_a_mark_is_above_suspicion() -> None:
    mark = RawBatch("kafka/posts/00000", 0, [], [], part="kafka/posts/00000", mark=Mark(ended=True))
    everything = Span("posts", 0, 0, 10**9)
    assert list(Isolation(suspects=(everything,), guilty=(everything,)).split(mark, lambda: NOW)) == [mark]


def test_a_guilty_record_becomes_a_dead_letter_with_its_bytes_and_original_key() -> None:
    first, guilty, last = split(Isolation(guilty=(Span("posts", 0, 8, 8),)))
    assert isinstance(first, RawBatch)
    assert isinstance(last, RawBatch)
    assert isinstance(guilty, Batch)
    assert (guilty.records, guilty.part) == (1, "p")
    [letter] = guilty.dead
    assert (letter.key, letter.cause, letter.value, letter.time) == ("posts/2/40", "crash", b"b", NOW)


def test_a_decoded_batch_is_known_by_its_own_offsets_and_not_by_the_origins_of_replayed_records() -> None:
    post = b'{"id": "1", "text": "again", "created_at": "2026-01-01T00:00:00Z"}'
    batch = RawBatch("posts", 0, [7, 8], [post, b"no post"], replayed={0: Origin("posts", 2, 40)})
    decoded = Decoder("generic", clock=lambda: NOW).decode(batch)
    assert [change.origin for change in decoded.changes if isinstance(change, Envelope)] == [Origin("posts", 2, 40)]
    assert decoded_span(decoded) == span_of(batch) == Span("posts", 0, 7, 8)
    decoded.changes.clear()
    assert decoded_span(decoded) is None
