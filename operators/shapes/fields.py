"""What every shape does to the fields of a post; raises only :class:`~groundswell.errors.DecodeError`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from groundswell.errors import DecodeError
from groundswell.records import Geo
from operators import times

#: Longest id, author, language or link, in code points: far above any real one, and
#: far below what the stores refuse.
LONGEST_FIELD = 2_000


#: What Twitter writes for a language that it did not find out, or where there is none to find.
_NO_LANGUAGES = frozenset(("und", "zxx", "qme", "qht", "qst", "qam", "qct", "art"))


def twitter_language(code: str | None) -> str | None:
    """The language of a tweet, where Twitter knew one."""
    return None if code in _NO_LANGUAGES else word(code)


def post_id(value: str | int | None) -> str:
    """The id as text."""
    if value is None:
        raise DecodeError("missing_id", "the post has no id")
    text = str(value)
    if not text or text.isspace() or "\x00" in text or len(text) > LONGEST_FIELD:
        raise DecodeError("bad_id", f"id {text[:60]!r}")
    return text


def optional_id(value: str | int | None) -> str | None:
    """A reference to another post; ``None`` when there is none or it cannot be one."""
    return None if value is None or value == "" else post_id(value)


def word(value: str | None) -> str | None:
    """A short optional field such as an author or a language; empty is ``None``."""
    if not value:
        return None
    if len(value) > LONGEST_FIELD:
        raise DecodeError("field_too_long", f"{len(value)} characters: {value[:60]!r}")
    return value.replace("\x00", "\ufffd")


def body(text: str | None) -> str:
    """The text of a post; a NUL, which stores cannot hold, becomes U+FFFD."""
    if text is None:
        raise DecodeError("missing_text", "the post has no text")
    if not text or text.isspace():
        raise DecodeError("empty_text", "the text is empty")
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


def unescape(text: str) -> str:
    """HTML entities as the characters they stand for."""
    if "&" not in text:
        return text
    try:
        return html.unescape(text)
    except ValueError:  # a numeric entity with more digits than Python converts
        return text


def moment(value: str | float | None, formats: Sequence[str] = ()) -> datetime:
    """A time in any known format."""
    if value is None or value == "":
        raise DecodeError("missing_time", "the post has no time")
    try:
        return times.parse(value, formats)
    except ValueError as error:
        raise DecodeError("bad_time", str(error)) from error


def twitter_moment(created_at: str | float | None, identity: str) -> datetime:
    """The time of a tweet: as given, or else from its id."""
    if created_at is None or created_at == "":
        from_id = times.from_twitter_id(identity)
        if from_id is None:
            raise DecodeError("missing_time", "no created_at, and the id holds no time")
        return from_id
    return moment(created_at)


def point(lat: Any, lon: Any) -> Geo | None:
    """A place on earth; ``None`` when the numbers name none."""
    if not (isinstance(lat, (int, float)) and isinstance(lon, (int, float))):
        return None
    return Geo(float(lat), float(lon)) if -90 <= lat <= 90 and -180 <= lon <= 180 else None


def lon_lat(value: Any, *, latitude_first: bool = False) -> Geo | None:
    """A GeoJSON point, ``{"type": "Point", "coordinates": [lon, lat]}``; ``None`` when it is none."""
    pair = value.get("coordinates") if isinstance(value, dict) else None
    if not isinstance(pair, list) or len(pair) != 2:
        return None
    return point(*pair) if latitude_first else point(pair[1], pair[0])


def unreadable(error: Exception) -> DecodeError:
    """What the parser's own errors mean: bytes that are not UTF-8, no JSON, too deep, or of wrong types."""
    if isinstance(error, DecodeError):
        return error
    if isinstance(error, RecursionError):
        return DecodeError("too_deep", "nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return DecodeError("bad_utf8", str(error))
    if isinstance(error, msgspec.ValidationError):
        return DecodeError("invalid", str(error))
    return DecodeError("not_json", str(error))
