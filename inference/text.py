"""From a text to its words, and from a word to its character n-grams."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator

#: What stands for an address and for a mention: which one it was says nothing about the mood.
URL = "<url>"
USER = "<user>"

#: Longest word that is read in full, in characters.
MAX_WORD = 48

_PIECES = re.compile(
    r"https?://\S+|www\.\S+"  # an address
    r"|@\w+"  # a mention
    r"|[<>]?[:;=8x][-'^]?[)(\]\[dpo/\\|*3]+(?!\w)|<3+"  # an emoticon
    r"|\w+(?:'\w+)*"  # a word
    r"|[^\w\s]+"  # a run of punctuation or emoji
)
_STRETCHED = re.compile(r"(.)\1{2,}", re.DOTALL)
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "\u2026": "..."})


def unescape(text: str) -> str:
    """HTML entities resolved, in any text.

    >>> unescape("fish &amp; chips &#128031;")
    'fish & chips 🐟'
    """
    try:
        return html.unescape(text)
    except ValueError:
        # A character reference of thousands of digits, which Python makes no number of.
        return text


def pieces(text: str) -> list[str]:
    """The raw pieces of a text: case folded, composed (NFKC), HTML entities resolved."""
    if "&" in text:
        text = unescape(text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_QUOTES))
    return _PIECES.findall(text.lower())


def word(piece: str) -> str:
    """What a piece counts as.

    >>> word("@ann"), word("https://t.co/x"), word("sooooo"), word("good")
    ('<user>', '<url>', 'soo', 'good')
    """
    if piece.startswith("@") and len(piece) > 1:
        return USER
    if piece.startswith(("http://", "https://", "www.")):
        return URL
    return _STRETCHED.sub(r"\1\1", piece)[:MAX_WORD]


def words(text: str) -> list[str]:
    """The words of a whole text, in order.

    >>> words("Not GOOD at all :( @ann")
    ['not', 'good', 'at', 'all', ':(', '<user>']
    """
    return [word(piece) for piece in pieces(text)]


def grams(text: str, shortest: int, longest: int) -> Iterator[str]:
    """The character n-grams of a word, its edges marked by spaces; a mention or an address has none.

    >>> list(grams("ok", 2, 3))
    [' o', 'ok', 'k ', ' ok', 'ok ']
    """
    if text in (URL, USER):
        return
    edged = f" {text} "
    for size in range(shortest, longest + 1):
        for start in range(len(edged) - size + 1):
            yield edged[start : start + size]
