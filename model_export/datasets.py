"""Labelled texts for training and validation: reading, cleaning, duplicates and leaks.

The data is public and lies outside the tree; :data:`BRING` says what to bring. Only
the text and the label are kept, never who wrote it.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from groundswell.errors import GroundswellError
from inference.text import URL, USER, words

BRING = (
    "bring the SemEval-2017 task 4A files as <data>/tweets_sentiment/semeval2017_4a/twitter-*-A.tsv.gz "
    "(id, label, text) and the TweetEval sentiment validation files as "
    "<data>/tweeteval/sentiment/{mapping.txt,val_text.txt.gz,val_labels.txt.gz}"
)
SEMEVAL = "tweets_sentiment/semeval2017_4a"
TWEETEVAL = "tweeteval/sentiment"

#: Two texts are the same post when their sets of words overlap at least this much (Jaccard).
NEAR = 0.7


class DataError(GroundswellError):
    """Training data that is absent or cannot be used; says what to bring or to mend."""


class Example(NamedTuple):
    """A text and the name of its label."""

    text: str
    label: str


class PairExample(NamedTuple):
    """A premise, a hypothesis and the name of what holds between them."""

    premise: str
    hypothesis: str
    label: str


class Fingerprint(NamedTuple):
    """A data file that was read: its path below the data folder, its hash and its rows."""

    path: str
    sha256: str
    rows: int


_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def clean(text: str) -> str:
    r"""Undo what the export of a data set did to a text: quoting and literal escapes.

    >>> clean('"It\\u2019s ""fine""\\u002c really"')
    'It’s "fine", really'
    """
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    text = text.replace('""', '"').replace('\\"', '"')
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text).strip()


def read_semeval(data: Path) -> tuple[list[Example], list[Fingerprint]]:
    """All years of SemEval-2017 4A, cleaned; raises :class:`DataError` where they are absent."""
    files = sorted((data / SEMEVAL).glob("twitter-*-A.tsv.gz"))
    if not files:
        raise DataError(f"no SemEval files below {data / SEMEVAL}: {BRING}")
    examples: list[Example] = []
    fingerprints = []
    for file in files:
        before = len(examples)
        for line in read_text(file).split("\n"):
            columns = line.split("\t")
            if len(columns) >= 3 and columns[2].strip() not in ("", "Not Available"):
                examples.append(Example(clean(columns[2]), columns[1].strip()))
        fingerprints.append(fingerprint(data, file, len(examples) - before))
    return examples, fingerprints


def read_tweeteval(data: Path) -> tuple[list[Example], list[Fingerprint]]:
    """TweetEval's sentiment validation set, its labels by name; raises :class:`DataError` where it is absent."""
    folder = data / TWEETEVAL
    texts, labels, mapping = (folder / name for name in ("val_text.txt.gz", "val_labels.txt.gz", "mapping.txt"))
    for file in (texts, labels, mapping):
        if not file.is_file():
            raise DataError(f"{file} is absent: {BRING}")
    names = dict(line.split() for line in mapping.read_text(encoding="utf-8").splitlines() if line.strip())
    rows = read_text(texts).rstrip("\n").split("\n")
    numbers = read_text(labels).split()
    if len(rows) != len(numbers):
        raise DataError(f"{texts} has {len(rows)} rows, {labels} has {len(numbers)}")
    examples = [Example(clean(row), names[number]) for row, number in zip(rows, numbers, strict=True)]
    return examples, [fingerprint(data, texts, len(rows)), fingerprint(data, labels, len(rows))]


def signature(text: str) -> frozenset[str]:
    """The words of a text that tell posts apart: no address, no mention, no punctuation.

    >>> signature("RT @ann: Great DAY!! http://t.co/x") == signature("great day")
    True
    """
    found = (word for word in words(text) if word[0].isalnum() and word not in (URL, USER, "rt"))
    return frozenset(found)


def distinct(examples: Iterable[Example]) -> list[Example]:
    """One example for each text, with the label most given to it; texts whose labels tie are left out."""
    votes: defaultdict[frozenset[str], Counter[str]] = defaultdict(Counter)
    first: dict[frozenset[str], str] = {}
    for text, label in examples:
        key = signature(text)
        if key:
            votes[key][label] += 1
            first.setdefault(key, text)
    kept = []
    for key, text in first.items():
        ranked = votes[key].most_common(2)
        if len(ranked) == 1 or ranked[0][1] > ranked[1][1]:
            kept.append(Example(text, ranked[0][0]))
    return kept


def without_leaks(train: Sequence[Example], held_out: Iterable[Example], near: float = NEAR) -> list[Example]:
    """The training examples that are in the held-out set neither word by word nor nearly so.

    Two texts are near when the Jaccard overlap of their :func:`signature` is at least ``near``.
    """
    signatures = [signature(text) for text, _ in train]
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for position, words_of in enumerate(signatures):
        for word in words_of:
            holders[word].append(position)
    leaked: set[int] = set()
    for text, _ in held_out:
        wanted = signature(text)
        # A near text lacks so few of the words that it has one of these; the rarest have the fewest holders.
        needed = len(wanted) - _least_shared(len(wanted), near) + 1
        probes = sorted(wanted, key=lambda word: (len(holders[word]), word))[:needed]
        for position in {position for word in probes for position in holders[word]} - leaked:
            other = signatures[position]
            shared = len(wanted & other)
            if shared >= near * (len(wanted) + len(other) - shared):
                leaked.add(position)
    return [example for position, example in enumerate(train) if position not in leaked]


def split(examples: Sequence[Example], share: float, salt: str = "") -> tuple[list[Example], list[Example]]:
    """Part ``examples`` in two, about ``share`` of them second, by a hash of the text: the same on every machine."""
    parts: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        digest = hashlib.sha256(f"{salt}\x00{example.text}".encode("utf-8", "surrogatepass")).digest()
        parts[int.from_bytes(digest[:8], "big") < share * 2**64].append(example)
    return parts


def _least_shared(size: int, near: float) -> int:
    """The fewest words that a text near one of ``size`` words shares with it."""
    return max(1, -int(-near * size // 1))


def read_text(file: Path) -> str:
    """A gzipped text; raises :class:`DataError` for a damaged one, :class:`FileNotFoundError` where there is none."""
    try:
        return gzip.decompress(file.read_bytes()).decode("utf-8")
    except FileNotFoundError:
        raise
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def fingerprint(data: Path, file: Path, rows: int) -> Fingerprint:
    """What identifies a file that was read, and how many rows it gave."""
    return Fingerprint(file.relative_to(data).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest(), rows)
