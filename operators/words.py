"""The words of a text, in any script, without what every post has: links, mentions, hashtags, RT."""

from __future__ import annotations

import re
from unicodedata import category, normalize

#: A longer run of letters is no word.
LONGEST_WORD = 40

# ``\w`` has no combining marks, without which no word of Hindi or Tamil is whole.
_MARKS = "".join(chr(point) for point in range(0x300, 0xFE30) if category(chr(point)) in ("Mn", "Mc")) + "\u200c\u200d"
_WITH_MARKS = rf"[\w{_MARKS}]"
# Scripts without spaces whose characters mean something each: pairs of neighbours stand for words.
_IDEOGRAPHS = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

# Every branch begins with a plain character: the search skips to these at once.
_NOISE = r"https?://\S+|www\.\S+|[@\#]{word}+|&\#?\w{{1,8}};"
_LATIN_NOISE = re.compile(_NOISE.format(word=r"\w"), re.ASCII)
_ANY_NOISE = re.compile(_NOISE.format(word=_WITH_MARKS))
_LINK_WITHOUT_PROTOCOL = re.compile(r"\b[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,4}/\S*")
_LATIN_WORD = re.compile(r"\w+(?:'(?!s\b)[a-z]+)?", re.ASCII)
_ANY_WORD = re.compile(rf"\w{_WITH_MARKS}*(?:'(?!s\b)[^\W\d_]+)?")
_CUT_WORD = re.compile(rf"(?<!\w)[^\W{_IDEOGRAPHS}]+…")
_RUN_OF_IDEOGRAPHS = re.compile(f"[{_IDEOGRAPHS}]+")


def words(text: str) -> set[str]:
    """The distinct words of a text: NFKC, case folded, at least two characters,
    the first of them a letter.

    A possessive ``'s`` and a word that an ellipsis cuts off are dropped. Runs of Chinese or
    Japanese become their pairs of neighbours; Thai, Lao, Khmer and Burmese are split at
    spaces only.

    >>> sorted(words("RT @ann: Oklahoma's tornado &amp; the #okwx warning, don't wait… https://t.co/x"))
    ["don't", 'oklahoma', 'the', 'tornado', 'warning']
    >>> sorted(words("東京で地震 नमस्ते दुनिया"))
    ['दुनिया', 'नमस्ते', 'で地', '京で', '地震', '東京']
    """
    text = text.lower() if text.isascii() else _folded(text)
    latin = text.isascii()
    text = (_LATIN_NOISE if latin else _ANY_NOISE).sub(" ", text).replace("_", " ")
    if "/" in text:
        text = _LINK_WITHOUT_PROTOCOL.sub(" ", text)
    if not latin:
        text = _RUN_OF_IDEOGRAPHS.sub(_pairs, text)
    found = (_LATIN_WORD if latin else _ANY_WORD).findall(text)
    kept = {word for word in found if 1 < len(word) <= LONGEST_WORD and word[0].isalpha()}
    kept.discard("rt")
    return kept


def _folded(text: str) -> str:
    return normalize("NFKC", _CUT_WORD.sub(" ", text)).casefold().replace("’", "'")


def _pairs(run: re.Match[str]) -> str:
    found = run.group()
    return f" {' '.join(found[at : at + 2] for at in range(max(1, len(found) - 1)))} "
