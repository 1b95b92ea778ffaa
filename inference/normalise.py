"""What happens to a text before it is cut into tokens, in training and in serving alike.

Every function here takes any text, never raises, and takes time linear in its length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from inference.text import unescape

#: What stands for an address and for a mention, as public sets of posts write them.
URL: Final = "http"
USER: Final = "@user"

_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
#: Not the second half of an e-mail address.
_MENTION = re.compile(r"(?<![\w@])@\w+")
#: Control characters separate; marks of direction and the byte order mark are not seen, so they vanish.
_MARKS: Final[Mapping[int, str | None]] = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " "),
    **dict.fromkeys([0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF], None),
    **dict.fromkeys(range(0xD800, 0xE000), _REPLACEMENT),
}
#: One of them that is no blank: those are seen to in any case.
_MARK = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
#: A pictograph with what only modifies it (presentation, joiners, tones of skin), as often as it is repeated.
_PICTOGRAPH = re.compile(
    "([\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff])"
    "(?:[\ufe0e\ufe0f\u200d\U0001f3fb-\U0001f3ff]|\\1)*"
)
_FLAG = re.compile("([\U0001f1e6-\U0001f1ff])([\U0001f1e6-\U0001f1ff])")
_FIRST_OF_FLAGS: Final = 0x1F1E6


def harmless(text: str) -> str:
    """The text with lone surrogates, which no UTF-8 can hold, replaced by U+FFFD.

    >>> harmless("a\\ud83d"), harmless("a")
    ('a\ufffd', 'a')
    """
    return text if text.isascii() else _SURROGATE.sub(_REPLACEMENT, text)


def social(text: str) -> str:
    """A post as models of posts read it.

    HTML entities are resolved once, addresses become ``http`` and mentions ``@user``,
    control characters and runs of blanks become one space, invisible marks of direction
    vanish, and lone surrogates become U+FFFD. A pictograph becomes its name in Unicode, which
    never changes, and a flag the two letters of its country: vocabularies made of prose know neither.

    >>> social("RT @ann: fish &amp; chips\\n\\nhttps://t.co/x?y=1 a@b.org")
    'RT @user: fish & chips http a@b.org'
    >>> social("late again\U0001f621\U0001f621")
    'late again pouting face'
    """
    if "&" in text:
        text = unescape(text)
    if _MARK.search(text):
        text = text.translate(_MARKS)
    if "://" in text or "www." in text.lower():
        text = _ADDRESS.sub(URL, text)
    if "@" in text:
        text = _MENTION.sub(USER, text)
    if not text.isascii():
        text = _FLAG.sub(_country, _PICTOGRAPH.sub(_named, text))
    return " ".join(text.split())


def _named(found: re.Match[str]) -> str:
    return _name(found[1])


@cache
def _name(pictograph: str) -> str:
    """Its name between blanks; what has none yet stays as it is."""
    return f" {unicodedata.name(pictograph, pictograph).lower()} "


def _country(found: re.Match[str]) -> str:
    return " " + "".join(chr(ord("a") + ord(letter) - _FIRST_OF_FLAGS) for letter in found.groups()) + " "


#: The normalisers by the name that a manifest gives them.
NORMALISERS: Final[Mapping[str, Callable[[str], str]]] = {"none": harmless, "social": social}
