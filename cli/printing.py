"""Posts on a terminal: text that strangers wrote, so nothing in it may steer the terminal."""

from __future__ import annotations

import unicodedata
from datetime import datetime

#: Joins emoji; every other invisible character is replaced.
_JOINER = "\u200d"


def printable(text: str) -> str:
    """The text on one line, without control characters, escape sequences or changes of direction.

    >>> printable("two\\nlines \\x1b[31mred")
    'two lines \ufffd[31mred'
    """
    line = " ".join(text.split())
    return "".join(
        character
        if character == _JOINER or character == " " or unicodedata.category(character)[0] not in "CZ"
        else "\ufffd"
        for character in line
    )


def moment(time: datetime) -> str:
    """A time as people read it, in UTC."""
    return f"{time:%Y-%m-%d %H:%M:%S}"
