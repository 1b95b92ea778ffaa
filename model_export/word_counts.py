"""How often words occur, and follow each other: in public texts, in hashtags that show them, and in a table of the web.

The table is ``en_lexeme_prob`` of the package spacy-lookups-data (MIT): smoothed logarithmic
probabilities of a million tokens in comments on Reddit. Of the texts only counts are kept.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import html
import importlib.util
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import exp
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from inference.manifest import Source
from model_export.datasets import DataError, clean, fingerprint

#: The package of the table, and the table's file in it.
PACKAGE: Final = "spacy_lookups_data"
TABLE: Final = "data/en_lexeme_prob.json.gz"

USE: Final = "counts of words"


class Texts(NamedTuple):
    """Files below the data folder, and the column of their texts: its name in CSV, its number in tab-separated rows."""

    pattern: str
    column: str | int


TEXTS: Final = (
    Texts("tweets_sentiment/semeval2017_4a/twitter-*-A.tsv.gz", 2),
    Texts("emotion/goemotions/*.tsv.gz", 0),
    Texts("tweets_trend/mabed_sample_2009-11.tsv.gz", 2),
    Texts("tweets_trend/mayweather_mcgregor_2017-08-27.csv.gz", "text"),
    Texts("tweets_trend/rstats_*.csv.gz", "text"),
    Texts("tweets_trend/up_elections_2017/*.csv.gz", "text"),
    Texts("tweets_trend/demonetization_2016-11.csv.gz", "text"),
    Texts("tweets_trend/vaccination_tweets_2020-12_2021-04.csv.gz", "text"),
    Texts("tweets_trend/crypto_2022-11-30.csv.gz", "Content"),
    Texts("tweets_trend/fifa_world_cup_2022-11-20.csv.gz", "Tweet"),
    Texts("tweets_trend/pheme_ottawashooting_2014-10.csv.gz", "text"),
)

#: What is no word of a text, ``<U+0915>`` and what is in pieces of an emoji included.
_NOISE: Final = re.compile(r"https?://\S+|www\.\S+|@\w+|\bRT\b|<U\+\w+>|<[0-9a-f]{2}>")
_CUT: Final = re.compile(r"\b\w+…")
_TAG: Final = re.compile(r"#(\w+)")
_WORD: Final = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*|\w+|[#.!?;:()\"]")
#: What a word of the model looks like: letters, or a short mixture of letters and digits.
PLAIN: Final = re.compile(r"[a-z]+|(?=.*[a-z])(?=.*\d)[a-z\d]{2,6}")
#: The words of a tag by its capitals, and what a tag has that shows them.
_CAPITALS: Final = re.compile(r"[A-Z]{2,}(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_SHOWS: Final = re.compile(r"[a-z][A-Z]")


class Counts(NamedTuple):
    """Words, and pairs of words that follow each other, with their counts."""

    words: Counter[str]
    pairs: Counter[tuple[str, str]]

    def add(self, words: list[str]) -> None:
        """Count a stretch of words that follow each other."""
        self.words.update(words)
        self.pairs.update(pairwise(words))


class Counted(NamedTuple):
    """What was counted in the texts, in their hashtags that show their words (each spelling once), and the files."""

    texts: Counts
    tags: Counts
    sources: tuple[Source, ...]


def count(data: Path) -> Counted:
    """Count :data:`TEXTS` below ``data``, each distinct text once; raises :class:`DataError` where one is absent."""
    texts, tags = Counts(Counter(), Counter()), Counts(Counter(), Counter())
    sources = []
    read: set[bytes] = set()
    shown: set[str] = set()
    for each in TEXTS:
        files = sorted(data.glob(each.pattern))
        if not files:
            raise DataError(f"no {data / each.pattern}: bring the public texts that the word model is counted on")
        for file in files:
            rows = 0
            for text in _texts(file, each.column):
                rows += 1
                digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]
                if digest not in read:
                    read.add(digest)
                    for words in stretches(text):
                        texts.add(words)
                    for tag, words in words_of_tags(text):
                        if tag not in shown:
                            shown.add(tag)
                            tags.add(words)
            found = fingerprint(data, file, rows)
            sources.append(Source(path=found.path, sha256=found.sha256, rows=rows, use=USE))
    return Counted(texts, tags, tuple(sources))


def stretches(text: str) -> Iterator[list[str]]:
    """The words of a text that follow each other, without mentions, links, hashtags and punctuation, lower case.

    >>> list(stretches("@ann Don't stop #now, it's 5 o'clock! http://t.co/x or so"))
    [['dont', 'stop'], ['its', '5', 'oclock'], ['or', 'so']]
    """
    found: list[str] = []
    for word in _WORD.findall(_TAG.sub(" # ", _NOISE.sub(" # ", _uncut(html.unescape(text))))):
        if word[0].isalnum():
            found.append(word.replace("'", "").replace("’", "").lower())
        elif found:
            yield found
            found = []
    if found:
        yield found


def words_of_tags(text: str) -> Iterator[tuple[str, list[str]]]:
    """The hashtags of a text whose capitals show their words, and these, lower case.

    >>> list(words_of_tags("#PrayForOklahoma #oklahoma #OKC"))
    [('PrayForOklahoma', ['pray', 'for', 'oklahoma'])]
    """
    for tag in _TAG.findall(_uncut(text)):
        if tag.isascii() and _SHOWS.search(tag):
            yield tag, [word.lower() for word in _CAPITALS.findall(tag)]


def _uncut(text: str) -> str:
    return _CUT.sub(" # ", text) if "…" in text else text


def table(file: Path | None = None) -> tuple[dict[str, float], Source]:
    """The probability of each word of the table, however it is capitalised, and what file that was.

    Words are of letters from a to z, or short mixtures of these with digits. ``file`` is that of the
    installed package where it is None; raises :class:`DataError` where that is absent or damaged.
    """
    file = file or _installed()
    try:
        content = file.read_bytes()
        tokens = msgspec.json.decode(gzip.decompress(content), type=dict[str, float])
    except (OSError, EOFError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}: install spacy-lookups-data again") from error
    words: dict[str, float] = {}
    for token, logarithm in tokens.items():
        word = token.lower()
        if PLAIN.fullmatch(word):
            words[word] = words.get(word, 0.0) + exp(logarithm)
    digest = hashlib.sha256(content).hexdigest()
    return words, Source(path=f"{PACKAGE}/{TABLE}", sha256=digest, rows=len(tokens), use=USE)


def _installed() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DataError("the table of words is absent: pip install 'groundswell[words]'")
    return Path(spec.submodule_search_locations[0]) / TABLE


def _texts(file: Path, column: str | int) -> Iterator[str]:
    try:
        content = gzip.decompress(file.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    try:
        whole = content.decode()
    except UnicodeDecodeError:
        whole = content.decode("windows-1252", "replace")
    if isinstance(column, int):
        for line in whole.split("\n"):
            cells = line.split("\t")
            if len(cells) > column:
                yield clean(cells[column])
        return
    reader = csv.DictReader(io.StringIO(whole, newline=""))
    if column not in (reader.fieldnames or ()):
        raise DataError(f"{file} has no column {column!r}: bring the file that the word model is counted on")
    for row in reader:
        if row[column]:
            yield row[column]
