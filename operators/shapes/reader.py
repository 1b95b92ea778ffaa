"""One record of any shape: found by configuration or by looking, unfolded when it wraps posts."""

from __future__ import annotations

import re

import msgspec

from groundswell.errors import DecodeError
from groundswell.input_settings import Mapping
from groundswell.records import UNREADABLE
from operators.shapes import fields, twitter_v1
from operators.shapes.bluesky import Bluesky
from operators.shapes.generic import Generic
from operators.shapes.mastodon import Mastodon
from operators.shapes.probe import Probe, identify, look, present
from operators.shapes.sentiment140 import Sentiment140
from operators.shapes.shape import Outcome, Part, Shape, Skip
from operators.shapes.twitter_v1 import TwitterV1
from operators.shapes.twitter_v2 import TwitterV2

AUTO = "auto"

#: Most posts in one record; a record with more is one dead letter.
MOST_PARTS = 100_000
#: Wrappers inside wrappers (an array of pages) are opened this deep.
_DEEPEST = 3

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_TWITTER_ID = re.compile(rb'"[0-9]{1,19}"')

_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Reader:
    """Reads records; its only state is the shape that fitted last, which is tried first."""

    def __init__(self, mapping: Mapping, max_record_bytes: int) -> None:
        known: tuple[Shape, ...] = (
            TwitterV1(),
            TwitterV2(),
            Mastodon(),
            Bluesky(),
            Sentiment140(),
            Generic(mapping),
        )
        self._shapes = {each.name: each for each in known}
        self._last: Shape | None = None
        self._max_record_bytes = max_record_bytes

    def named(self, shape: str) -> Shape | None:
        """The shape of this name, ``None`` for ``auto``. Raises ``ValueError`` for any other."""
        if shape == AUTO:
            return None
        if shape not in self._shapes:
            raise ValueError(f"no shape {shape!r}: one of {AUTO}, {', '.join(self._shapes)}")
        return self._shapes[shape]

    def read(self, value: bytes, fixed: Shape | None, depth: int = 0) -> Outcome | list[Part]:
        """What a record holds, by the shape it has where none is fixed.

        A list when it wraps posts, whose errors are then values in it. Raises
        :class:`~groundswell.errors.DecodeError` and nothing else.
        """
        if len(value) > self._max_record_bytes:
            raise DecodeError("too_large", f"{len(value)} bytes, more than {self._max_record_bytes}")
        if value.startswith(UNREADABLE):
            raise DecodeError("unreadable", _first_line(value.removeprefix(UNREADABLE)))
        value = value.removeprefix(_BOM)
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
        return self._look(value.strip(_BLANK), fixed, failure, depth)

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
                outcome = self.read(raw, fixed, depth + 1)
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
    if present(probe.includes):
        return True
    elements = _decode_list(data)
    if not elements or bytes(elements[0])[:1] != b"{":
        return present(probe.meta)
    first = look(elements[0])
    if identify(first) is not None:
        return identify(first) == TwitterV2.name
    # Other APIs have a ``meta``, too. Twitter's own ids are digits in a string, and its posts name no author.
    if present(first.hashtags) or (present(first.author) and bytes(first.author)[:1] == b'"'):
        return False
    return present(first.id) and _TWITTER_ID.fullmatch(bytes(first.id)) is not None


def _may_be_twitter(fixed: Shape | None) -> bool:
    return fixed is None or isinstance(fixed, (TwitterV1, TwitterV2))


def _unknown(shape: Shape | None, value: bytes) -> DecodeError:
    keys = ", ".join(sorted(msgspec.json.decode(value, type=dict[str, msgspec.Raw]))[:20])
    if shape is not None:
        return DecodeError("missing_text", f"no text where {shape.name} has it; keys: {keys}")
    return DecodeError("unknown_shape", f"no known shape; keys: {keys}")


_ESCAPES = re.compile(
    rb"""\\\\
    | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
    | \\(u[dD][89a-fA-F][0-9a-fA-F]{2})""",
    re.VERBOSE,
)


def _without_lone_surrogates(value: bytes) -> bytes:
    r"""JSON with each ``\ud800`` that lacks its other half as ``\ufffd``: half an emoji is no reason to lose a post."""
    return _ESCAPES.sub(lambda match: rb"\ufffd" if match[1] else match[0], value)


def _first_line(value: bytes) -> str:
    return value.partition(b"\n")[0].decode("utf-8", "replace")
