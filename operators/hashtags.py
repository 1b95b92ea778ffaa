"""Hashtags: found in a text by the rules of twitter-text, or given and checked; always normalised.

The rules are those of the twitter-text specification (its conformance cases are
tests here) but for one simplification: a link without ``http://`` counts as a link
whatever its top-level domain is. Positions are Unicode code points.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from unicodedata import category, normalize

#: Most hashtags kept of one post, in order of appearance.
MOST_TAGS = 1_000
#: A longer tag, in code points, is dropped; no service allows one.
LONGEST_TAG = 280

_SIGNS = "#＃"
_SIGN_SET = frozenset(_SIGNS)
_VARIATION_SELECTORS = "\ufe0e\ufe0f"
#: What turns a hash sign before it into an emoji (a keycap).
_EMOJI_TAILS = ("\ufe0f", "\u20e3")
_NO_TAG_BEFORE = ("#", "＃", "://")
_SPECIAL = frozenset(
    "_\u200c\u200d\ua67e\u05be\u05f3\u05f4\uff5e\u301c\u309b\u309c\u30a0\u30fb\u3003\u0f0b\u0f0c\u00b7"
)

# Letters that ``\w`` knows too: a link must not be able to start inside of one.
_ALNUM = r"a-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0400-\u0481\u048a-\u04ff"
_HOST = rf"[{_ALNUM}][{_ALNUM}_\-]*"
_PATH = r"a-z0-9\u0400-\u04ff\u00c0-\u024f!*';:=+,.$/%#\[\]\-–_~@|&()"
_PATH_END = r"a-z0-9\u0400-\u04ff\u00c0-\u024f=_#/+\-"
_QUERY = r"a-z0-9!?*'@();:&=+$/%#\[\]\-_.,~|"
_QUERY_END = r"a-z0-9\-_&=#/"
# A shortened link ends with its token, so that ``t.co/abc,#tag`` has a tag. Links without a
# protocol start where no word does: trying every letter of a word would take quadratic time.
_LINK = re.compile(
    rf"""https?://t\.co/[a-z0-9]+
    | (?:https?:// | (?<![\w@.$\#/\-]) )
      {_HOST}(?:\.{_HOST})+ (?::[0-9]+)?
      (?:/(?:[{_PATH}]*[{_PATH_END}])?)?
      (?:\?[{_QUERY}]*[{_QUERY_END}])?""",
    re.IGNORECASE | re.VERBOSE,
)

_SIGN = re.compile(f"[{_SIGNS}]")
_CUT_OFF = re.compile(r"…\s{0,3}(?:https?://\S{1,100}\s{0,3})?\Z")

_NEITHER, _NUMERAL, _LETTER = range(3)


@cache  # at most one entry for each of Unicode's code points
def _kind(char: str) -> int:
    """What the character may be in a tag; a tag needs at least one letter."""
    group = category(char)
    if group[0] in "LM":
        return _LETTER
    return _NUMERAL if group == "Nd" or char in _SPECIAL else _NEITHER


def has_sign(text: str) -> bool:
    """Whether the text can hold a hashtag at all."""
    return "#" in text or "＃" in text


def find(text: str) -> list[tuple[str, int, int]]:
    """The hashtags of a text as they are written: ``(tag, start, end)`` with the sign at ``start``.

    >>> find("One #two three #four")
    [('two', 4, 8), ('four', 15, 20)]
    """
    if not has_sign(text):
        return []
    found: list[tuple[str, int, int]] = []
    links: _Links | None = None
    for match in _SIGN.finditer(text):
        sign = match.start()
        before = text[sign - 1] if sign else " "
        if before == "&" or (_kind(before) and before not in _VARIATION_SELECTORS):
            continue
        end = _tag_end(text, sign + 1)
        if not end:
            continue
        if not before.isspace():
            links = links or _Links(text)
            if links.cover(sign, end):
                continue
        found.append((text[sign + 1 : end], sign, end))
    return found


def _tag_end(text: str, start: int) -> int:
    """Where the tag that starts after a sign ends; 0 when there is none."""
    if text.startswith(_EMOJI_TAILS, start):
        return 0
    letter = False
    end = start
    length = len(text)
    while end < length and (kind := _kind(text[end])):
        letter = letter or kind == _LETTER
        end += 1
    if not letter or text.startswith(_NO_TAG_BEFORE, end):
        return 0
    return end


class _Links:
    """The links of a text, asked about from left to right."""

    def __init__(self, text: str) -> None:
        self._spans = (match.span() for match in _LINK.finditer(text))
        self._span: tuple[int, int] | None = next(self._spans, None)

    def cover(self, start: int, end: int) -> bool:
        """Whether a link reaches into this stretch."""
        while self._span and self._span[1] <= start:
            self._span = next(self._spans, None)
        return self._span is not None and self._span[0] < end


def extract(text: str) -> tuple[str, ...]:
    """The normalised hashtags of a text, less those that an ellipsis cuts off.

    >>> extract("#Rain in #München, says #rain or #Ra…")
    ('rain', 'münchen')
    """
    return normalise(tag for tag, _, end in find(text) if not _is_cut(text, end))


def from_entities(text: str, entities: Iterable[tuple[str, int, int]], *, truncated: bool) -> tuple[str, ...] | None:
    """The normalised hashtags that a service gave for a text, or ``None`` when they do not fit it.

    Each is ``(tag, start, end)``. A tag that ends at an ellipsis is dropped where
    the text is known to be cut: it is ``truncated``, or ``…`` ends it, a link aside.
    """
    tags = []
    for tag, start, end in entities:
        if start < 0 or end - start - 1 != len(tag) or not text.startswith(tag, start + 1):
            return None
        if text[start] not in _SIGN_SET:
            return None
        if not (_is_cut(text, end) and (truncated or _CUT_OFF.match(text, end))):
            tags.append(tag)
    return normalise(tags)


def normalise(tags: Iterable[str]) -> tuple[str, ...]:
    """NFKC, case folded, without sign or surrounding space, distinct, in order of appearance.

    Keeps the first :data:`MOST_TAGS`; drops what is longer than :data:`LONGEST_TAG` or empty.

    >>> normalise(["#Ｋyiv", "kyiv", " ", "Straße"])
    ('kyiv', 'strasse')
    """
    kept: dict[str, None] = {}
    for tag in tags:
        if len(tag) > 2 * LONGEST_TAG:  # not worth normalising
            continue
        folded = tag.lower() if tag.isascii() else normalize("NFKC", tag).casefold()
        folded = folded.replace("\x00", "").strip().lstrip("#").strip()
        if folded and len(folded) <= LONGEST_TAG:
            kept[folded] = None
            if len(kept) == MOST_TAGS:
                break
    return tuple(kept)


def _is_cut(text: str, end: int) -> bool:
    return text.startswith(("…", "..."), end)
