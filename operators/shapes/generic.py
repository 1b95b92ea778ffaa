"""Any JSON object, by a mapping from field paths to the fields of a post.

A path is dotted; a number in it picks from a list (``user.names.0``). A given list of
hashtags is normalised, not extracted again; without one (an empty cell of a table is
none) they come from the text. Ids may be numbers; the author may be missing.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from groundswell.errors import DecodeError
from groundswell.input_settings import Mapping
from groundswell.records import Post
from operators import hashtags, times
from operators.shapes import fields

_MARKS = re.compile(r"""[\s,;'"\[\]{}()]+""")
#: Keys under which services write a tag as an object.
_TAG_KEYS = ("text", "tag", "name")

Path = tuple[str | int, ...]


def _path(dotted: str) -> Path:
    return tuple(int(part) if part.isascii() and part.isdecimal() else part for part in dotted.split("."))


def _walk(value: Any, path: Path) -> Any:
    """What lies at the path, or ``None``."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if step < len(value) else None
        else:
            return None
    return value


class Generic:
    """Posts by mapping."""

    name = "generic"

    def __init__(self, mapping: Mapping) -> None:
        self._formats = mapping.date_formats
        self._default_source = mapping.default_source
        self._time_from_id = mapping.time_from_twitter_id
        paths = {
            field: _path(getattr(mapping, field))
            for field in (
                "id", "source", "author", "text", "created_at", "lang", "hashtags", "url", "reply_to", "repost_of"
            )
        }  # fmt: skip
        # Only the top keys that a path starts with are built as Python objects.
        heads = {str(path[0]): f"f{number}" for number, path in enumerate(paths.values())}
        record = msgspec.defstruct(
            "_Record", [(attribute, Any, None) for attribute in heads.values()], rename={v: k for k, v in heads.items()}
        )
        self._decode = msgspec.json.Decoder(record).decode
        self._paths = {field: (heads[str(path[0])], path[1:]) for field, path in paths.items()}

    def read(self, value: bytes, *, sure: bool) -> Post | None:  # noqa: ARG002 (never one of several guesses)
        record = self._decode(value)
        text = self._at(record, "text")
        if text is None:
            return None
        if not isinstance(text, str):
            raise DecodeError("invalid", f"the text is of type {type(text).__name__}")
        identity = fields.post_id(self._identity(record, "id"))
        given = self._at(record, "hashtags")
        repost_of = fields.optional_id(self._identity(record, "repost_of"))
        body = fields.body(text)
        tags = hashtags.extract(body) if given is None or given == "" else hashtags.normalise(_given(given))
        return Post(
            identity,
            self._word(record, "source") or self._default_source,
            body,
            self._moment(record, identity),
            self._word(record, "author"),
            self._word(record, "lang"),
            tags,
            self._word(record, "url"),
            fields.optional_id(self._identity(record, "reply_to")),
            repost_of,
            None,
            tags if repost_of else (),
        )

    def _at(self, record: Any, field: str) -> Any:
        attribute, rest = self._paths[field]
        value = getattr(record, attribute)
        return _walk(value, rest) if rest else value

    def _identity(self, record: Any, field: str) -> str | int | None:
        value = self._at(record, field)
        if value is None or (isinstance(value, (str, int)) and not isinstance(value, bool)):
            return value
        raise DecodeError("bad_id", f"{field} is of type {type(value).__name__}")

    def _word(self, record: Any, field: str) -> str | None:
        value = self._at(record, field)
        if value is None or isinstance(value, str):
            return fields.word(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return fields.word(str(value))
        raise DecodeError("invalid", f"{field} is of type {type(value).__name__}")

    def _moment(self, record: Any, identity: str) -> Any:
        if self._time_from_id:
            from_id = times.from_twitter_id(identity)
            if from_id is None:
                raise DecodeError("bad_time", f"id {identity[:60]!r} holds no time")
            return from_id
        value = self._at(record, "created_at")
        if value is not None and (not isinstance(value, (str, int, float)) or isinstance(value, bool)):
            raise DecodeError("bad_time", f"created_at is of type {type(value).__name__}")
        return fields.moment(value, self._formats)


def _given(value: Any) -> list[str]:
    """The tags of a list, or of a text that lists them."""
    if isinstance(value, str):
        return _MARKS.split(value)
    if not isinstance(value, list):
        raise DecodeError("invalid", f"hashtags is of type {type(value).__name__}")
    tags = []
    for tag in value:
        name = next((tag[key] for key in _TAG_KEYS if key in tag), None) if isinstance(tag, dict) else tag
        if not isinstance(name, str):
            raise DecodeError("invalid", f"a hashtag is of type {type(name).__name__}")
        tags.append(name)
    return tags
