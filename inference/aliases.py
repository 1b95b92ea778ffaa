"""Aliases of a model's versions: what each move makes of them, whole, so that one write is one step.

``champion`` serves, ``candidate`` may read a share beside it, and ``previous`` is the
champion before: it is written in the very step that makes a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from groundswell.errors import ModelError
from inference.names import CHAMPION, is_plain
from inference.version import decoded

#: The file of a model's aliases.
ALIASES: Final = "aliases.json"

CANDIDATE: Final = "candidate"
PREVIOUS: Final = "previous"


class Look(NamedTuple):
    """Alias → version. ``stale`` says why these are the last known ones, where the repository does not answer."""

    aliases: dict[str, str]
    stale: str | None = None


def require_settable(alias: str) -> None:
    """Raise :class:`ModelError` for an alias that is not to be set."""
    if not is_plain(alias) or alias == PREVIOUS:
        raise ModelError(f"the alias {alias!r} cannot be set: choose {CHAMPION}, {CANDIDATE} or a name of your own")


def moved(aliases: Mapping[str, str], alias: str, version: str) -> dict[str, str]:
    """The aliases once ``alias`` means ``version``.

    A new champion makes the old one ``previous``, and is no candidate any more. Raises
    :class:`ModelError` for an alias that is not to be set.

    >>> moved({"champion": "a", "candidate": "b"}, "champion", "b")
    {'champion': 'b', 'previous': 'a'}
    """
    require_settable(alias)
    changed = dict(aliases)
    if alias == CHAMPION and version != aliases.get(CHAMPION):
        if CHAMPION in aliases:
            changed[PREVIOUS] = aliases[CHAMPION]
        if changed.get(CANDIDATE) == version:
            del changed[CANDIDATE]
    changed[alias] = version
    return changed


def rolled_back(aliases: Mapping[str, str]) -> dict[str, str]:
    """The aliases once the previous champion is the champion again.

    There is no ``previous`` then: going back twice never returns to what was left. Raises
    :class:`ModelError` where there is none.

    >>> rolled_back({"champion": "b", "previous": "a"})
    {'champion': 'a'}
    """
    changed = dict(aliases)
    if PREVIOUS not in changed:
        raise ModelError("there is no previous champion to go back to: promote the version that is to serve")
    changed[CHAMPION] = changed.pop(PREVIOUS)
    return changed


def encode(aliases: Mapping[str, str]) -> bytes:
    """The content of :data:`ALIASES`."""
    return msgspec.json.format(msgspec.json.encode(dict(aliases), order="sorted")) + b"\n"


def decode(place: object, content: bytes) -> dict[str, str]:
    """Alias → version from the content of the file at ``place``; raises :class:`ModelError` where it is not that."""
    return decoded(str(place), content, dict[str, str])
