"""What a decoder of one shape is, and what may become of a record."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from groundswell.errors import DecodeError
from groundswell.records import Deletion, Post


class Skip(NamedTuple):
    """A record that is no post and no error; counted by reason."""

    reason: str


Outcome = Post | Deletion | Skip


class Part(NamedTuple):
    """What became of one post inside a record that wraps several, with its own bytes."""

    raw: bytes
    outcome: Outcome | DecodeError


class Shape(Protocol):
    """A way in which one post is written down."""

    name: str

    def read(self, value: bytes, *, sure: bool) -> Outcome | list[Part] | None:
        """The post in a record; ``None`` when the record is something else.

        ``sure`` is false while the shape is only a guess: then a record that might
        be of another shape is ``None`` too. Raises
        :class:`~groundswell.errors.DecodeError` for a bad post of this shape, and
        lets out ``msgspec.MsgspecError``, ``UnicodeDecodeError`` and
        ``RecursionError`` for bytes that do not parse as it.
        """
        ...
