"""Raw records into posts: every record becomes posts, deletions, skips or dead letters, and nothing else.

The shape of a record is configured, or found by looking (``auto``): the shape that
fitted last is tried first, and what it does not recognise is looked at key by key.
A record that wraps posts is unfolded, and its posts are numbered from 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Protocol

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream

from groundswell import metrics
from groundswell.errors import DecodeError
from groundswell.records import Batch, DeadLetter, Deletion, Envelope, Origin, Post, RawBatch
from groundswell.settings import Mapping
from operators.shapes import fields, twitter_v1
from operators.shapes.bluesky import Bluesky
from operators.shapes.generic import Generic
from operators.shapes.mastodon import Mastodon
from operators.shapes.probe import Probe, identify, look, present
from operators.shapes.sentiment140 import Sentiment140
from operators.shapes.shape import Outcome, Part, Shape, Skip
from operators.shapes.twitter_v1 import TwitterV1
from operators.shapes.twitter_v2 import TwitterV2

STEP = "decode"
AUTO = "auto"

#: Most posts in one record; a record with more is one dead letter.
MOST_PARTS = 100_000
#: Wrappers inside wrappers (an array of pages) are opened this deep.
_DEEPEST = 3
#: Longest ``detail`` of a dead letter, in code points.
_LONGEST_DETAIL = 300

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"

_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _now() -> datetime:
    return datetime.now(UTC)


class Decodes(Protocol):
    """What the step needs of a decoder."""

    def decode(self, batch: RawBatch) -> Batch: ...


class Decoder:
    """Decodes raw batches; keeps no state but the shape that fitted last.

    ``mapping`` is for the generic shape. Posts dated more than ``max_future`` ahead
    of ``clock`` or before ``floor`` (both aware) are refused, as are records of more
    than ``max_record_bytes``. Raises ``ValueError`` for an unknown shape.
    """

    def __init__(
        self,
        shape: str = AUTO,
        mapping: Mapping | None = None,
        max_future: timedelta = timedelta(days=1),
        floor: datetime = datetime(2006, 1, 1, tzinfo=UTC),
        clock: Callable[[], datetime] = _now,
        *,
        max_record_bytes: int = 8 * 1024 * 1024,
    ) -> None:
        known: tuple[Shape, ...] = (
            TwitterV1(),
            TwitterV2(),
            Mastodon(),
            Bluesky(),
            Sentiment140(),
            Generic(mapping or Mapping()),
        )
        self._shapes = {each.name: each for each in known}
        self._fixed = self._named(shape)
        self._last: Shape | None = None
        self._max_future = max_future
        self._floor = floor
        self._clock = clock
        self._max_record_bytes = max_record_bytes

    def _named(self, shape: str) -> Shape | None:
        if shape == AUTO:
            return None
        if shape not in self._shapes:
            raise ValueError(f"no shape {shape!r}: one of {AUTO}, {', '.join(self._shapes)}")
        return self._shapes[shape]

    def decode(self, batch: RawBatch) -> Batch:
        """What becomes of each record of a batch, in their order. Bad records are dead letters, never errors."""
        fixed = self._fixed if batch.shape is None else self._named(batch.shape)
        now = self._clock()
        latest = now + self._max_future
        result = Batch(batch.stream, batch.partition, len(batch.values), batch.size, [], [], Counter())
        replayed = batch.replayed or {}
        for position, (offset, value) in enumerate(zip(batch.offsets, batch.values, strict=True)):
            origin = replayed.get(position) or Origin(batch.stream, batch.partition, offset)
            try:
                outcome = self._read(value, fixed)
            except DecodeError as error:
                result.dead.append(_dead_letter(origin, error, now, value))
                continue
            if isinstance(outcome, list):
                for number, part in enumerate(outcome, start=1):
                    self._take(result, _part_origin(origin, number), part.raw, part.outcome, now, latest)
            else:
                self._take(result, origin, value, outcome, now, latest)
        return result

    def _take(
        self, result: Batch, origin: Origin, raw: bytes, outcome: Outcome | DecodeError, now: datetime, latest: datetime
    ) -> None:
        """Put one outcome where it belongs."""
        if isinstance(outcome, Post):
            if self._floor <= outcome.created_at <= latest:
                result.changes.append(Envelope(origin, raw, outcome))
                return
            outcome = self._misdated(outcome.created_at, latest)
        if isinstance(outcome, DecodeError):
            result.dead.append(_dead_letter(origin, outcome, now, raw))
        elif isinstance(outcome, Skip):
            result.skipped[outcome.reason] += 1
        else:
            result.changes.append(outcome)

    def _misdated(self, time: datetime, latest: datetime) -> DecodeError:
        if time > latest:
            return DecodeError("future", f"dated {time.isoformat()}, later than {latest.isoformat()}")
        return DecodeError("before_floor", f"dated {time.isoformat()}, before {self._floor.isoformat()}")

    def decode_record(self, value: bytes, shape: str | None = None) -> Outcome | list[Part]:
        """What one record holds; a list when it wraps posts, whose errors are then values in it.

        Raises :class:`~groundswell.errors.DecodeError` and nothing else.
        """
        outcome = self._read(value, self._fixed if shape is None else self._named(shape))
        latest = self._clock() + self._max_future
        if isinstance(outcome, list):
            return [part._replace(outcome=self._dated(part.outcome, latest)) for part in outcome]
        dated = self._dated(outcome, latest)
        if isinstance(dated, DecodeError):
            raise dated
        return dated

    def _dated(self, outcome: Outcome | DecodeError, latest: datetime) -> Outcome | DecodeError:
        if isinstance(outcome, Post) and not self._floor <= outcome.created_at <= latest:
            return self._misdated(outcome.created_at, latest)
        return outcome

    def _read(self, value: bytes, fixed: Shape | None, depth: int = 0) -> Outcome | list[Part]:
        """One record, by the shape it has; raises only ``DecodeError``."""
        if len(value) > self._max_record_bytes:
            raise DecodeError("too_large", f"{len(value)} bytes, more than {self._max_record_bytes}")
        try:
            return self._parse(value, fixed, depth)
        except _UNREADABLE as error:
            repaired = _without_lone_surrogates(value)
            if repaired == value:
                raise fields.unreadable(error) from error
        try:
            return self._parse(repaired, fixed, depth)
        except _UNREADABLE as error:
            raise fields.unreadable(error) from error

    def _parse(self, value: bytes, fixed: Shape | None, depth: int) -> Outcome | list[Part]:
        likely = fixed or self._last
        failure: Exception | None = None
        if likely is not None:
            try:
                outcome = likely.read(value, sure=fixed is not None)
            except _UNREADABLE as error:
                failure = error
            else:
                if outcome is not None:
                    return outcome
        return self._look(value.removeprefix(_BOM).strip(_BLANK), fixed, failure, depth)

    def _look(self, value: bytes, fixed: Shape | None, failure: Exception | None, depth: int) -> Outcome | list[Part]:
        """A record that the likely shape did not know (or choked on, with ``failure``)."""
        start = value[:1]
        if not start:
            return Skip("blank")
        if start == b"[":
            return self._look_at_array(value, fixed, failure, depth)
        if start != b"{":
            return self._look_at_line(value, fixed, failure)
        probe = look(value)
        if not (present(probe.text) or present(probe.full_text)):
            wrapped = _wrapped(probe)
            if wrapped is not None:
                return self._unfold(_decode_list(wrapped), fixed, depth)
        return self._look_at_object(value, probe, fixed, failure)

    def _look_at_object(
        self, value: bytes, probe: Probe, fixed: Shape | None, failure: Exception | None
    ) -> Outcome | list[Part]:
        name = identify(probe)
        if not name and not (present(probe.text) or present(probe.full_text)) and _may_be_twitter(fixed):
            notice = twitter_v1.notice(probe)
            if notice is not None:
                return notice
            if present(probe.meta):
                return Skip("empty_page")
        if fixed is not None:
            if failure is not None:
                raise failure
            shape = fixed
        else:
            shape = self._shapes[name or Generic.name]
        outcome = shape.read(value, sure=True)
        if outcome is None:
            raise _unknown(shape if fixed or name else None, value)
        # The generic shape takes anything that has a text: it is never tried before looking.
        self._last = None if isinstance(shape, Generic) else shape
        return outcome

    def _look_at_array(
        self, value: bytes, fixed: Shape | None, failure: Exception | None, depth: int
    ) -> Outcome | list[Part]:
        elements = _decode_list(value)
        holders = sum(bytes(element)[:1] in (b"{", b"[") for element in elements[:10])
        if elements and not holders:
            return self._look_at_line(value, fixed, failure)
        return self._unfold(elements, fixed, depth)

    def _look_at_line(self, value: bytes, fixed: Shape | None, failure: Exception | None) -> Outcome | list[Part]:
        """What is no JSON object: a row of CSV, or nothing that is known."""
        if value[:1] == b":":
            return Skip("keep_alive")
        if fixed is None or fixed.name == Sentiment140.name:
            shape = self._shapes[Sentiment140.name]
            outcome = shape.read(value, sure=fixed is not None)
            if outcome is not None:
                self._last = shape
                return outcome
        if failure is not None and fixed is not None:
            raise failure
        kind = msgspec.json.decode(value)  # raises for what is no JSON at all
        raise DecodeError("unknown_shape", f"a bare JSON {type(kind).__name__}")

    def _unfold(self, elements: list[msgspec.Raw], fixed: Shape | None, depth: int) -> Skip | list[Part]:
        """The posts that a record wraps, each with its own bytes."""
        if depth == _DEEPEST:
            raise DecodeError("too_deep", f"wrappers nested more than {_DEEPEST} deep")
        if not elements:
            return Skip("empty_page")
        parts: list[Part] = []
        for element in elements:
            raw = bytes(element)
            try:
                outcome = self._read(raw, fixed, depth + 1)
            except DecodeError as error:
                parts.append(Part(raw, error))
            else:
                if isinstance(outcome, list):
                    parts.extend(outcome)
                else:
                    parts.append(Part(raw, outcome))
            if len(parts) > MOST_PARTS:
                raise DecodeError("too_many", f"more than {MOST_PARTS} posts in one record")
        return parts


def _wrapped(probe: Probe) -> msgspec.Raw | None:
    """The list inside a page of posts; a page of Twitter v2 is left to its own shape."""
    for field in (probe.statuses, probe.results):
        if present(field) and bytes(field)[:1] == b"[":
            return field
    if present(probe.data) and bytes(probe.data)[:1] == b"[" and not _is_v2_page(probe, probe.data):
        return probe.data
    return None


def _is_v2_page(probe: Probe, data: msgspec.Raw) -> bool:
    """Whether the posts under ``data`` are Twitter's: nothing about the page or its first post says otherwise."""
    if present(probe.includes) or present(probe.meta):
        return True
    elements = _decode_list(data)
    if not elements or bytes(elements[0])[:1] != b"{":
        return False
    first = look(elements[0])
    if identify(first) is not None:
        return identify(first) == TwitterV2.name
    return not (present(first.hashtags) or (present(first.author) and bytes(first.author)[:1] == b'"'))


def _may_be_twitter(fixed: Shape | None) -> bool:
    return fixed is None or isinstance(fixed, (TwitterV1, TwitterV2))


def _unknown(shape: Shape | None, value: bytes) -> DecodeError:
    keys = ", ".join(sorted(msgspec.json.decode(value, type=dict[str, msgspec.Raw]))[:20])
    if shape is not None:
        return DecodeError("missing_text", f"no text where {shape.name} has it; keys: {keys}")
    return DecodeError("unknown_shape", f"no known shape; keys: {keys}")


def _part_origin(origin: Origin, number: int) -> Origin:
    """The origin of the nth post of a record.

    Only a replayed dead letter can have an index of its own; should it come to hold
    several posts, they must not take the origins of its former neighbours.
    """
    index = number if not origin.index else origin.index * (MOST_PARTS + 1) + number
    return Origin(origin.stream, origin.partition, origin.offset, index)


def _dead_letter(origin: Origin, error: DecodeError, now: datetime, raw: bytes) -> DeadLetter:
    return DeadLetter(origin, STEP, error.cause, error.detail[:_LONGEST_DETAIL], now, raw)


_ESCAPES = re.compile(
    rb"""\\\\
    | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
    | \\(u[dD][89a-fA-F][0-9a-fA-F]{2})""",
    re.VERBOSE,
)


def _without_lone_surrogates(value: bytes) -> bytes:
    r"""JSON with each ``\ud800`` that lacks its other half as ``\ufffd``: half an emoji is no reason to lose a post."""
    return _ESCAPES.sub(lambda match: rb"\ufffd" if match[1] else match[0], value)


def decode_step(step_id: str, stream: Stream[RawBatch | Batch], decoder: Decodes) -> Stream[Batch]:
    """Carry a decoder into a flow; what is decoded already passes through."""
    seconds = metrics.STEP_SECONDS.labels(STEP)

    def decode(batches: list[RawBatch | Batch]) -> Iterable[Batch]:
        for batch in batches:
            if isinstance(batch, Batch):
                yield batch
                continue
            start = perf_counter()
            decoded = decoder.decode(batch)
            seconds.observe(perf_counter() - start)
            _count(decoded)
            yield decoded

    return op.flat_map_batch(step_id, stream, decode)


def _count(batch: Batch) -> None:
    metrics.POSTS_DECODED.inc(sum(not isinstance(change, Deletion) for change in batch.changes))
    for reason, count in batch.skipped.items():
        metrics.RECORDS_SKIPPED.labels(reason).inc(count)
    for cause, count in Counter(letter.cause for letter in batch.dead).items():
        metrics.DEAD_LETTERS.labels(STEP, cause).inc(count)
