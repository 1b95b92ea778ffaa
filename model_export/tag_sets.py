"""Hashtags with their right words: public sets, the part on which weights are chosen, and how many are read right."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterator, Sequence
from math import sqrt
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from inference.manifest import Source
from model_export.datasets import DataError, fingerprint

FOLDER: Final = "hashtag_segmentation"
STAN: Final = ("stan_large_train.tsv.gz", "stan_large_dev.tsv.gz")
BOUN: Final = "Dev-BOUN.txt.gz"
HASHSET: Final = "HashSet-Distant-sampled.csv.gz"

#: The sets that nothing was chosen on, and those that the weights were.
SETS: Final = ("STAN", "BOUN", "HashSet")
CHOSEN_ON: Final = ("STAN, chosen on", "HashSet, chosen on")

#: The standard normal distribution's 97.5 % point.
_Z: Final = 1.959964
_NEITHER: Final = re.compile(r"[^a-z0-9 ]")


class Tag(NamedTuple):
    """A hashtag as it was written, its right readings (``pray for oklahoma``), and the post it was in, if known."""

    form: str
    right: frozenset[str]
    text: str = ""

    @property
    def tag(self) -> str:
        """Its letters and digits, lower case."""
        return _plain(self.form)


class Accuracy(NamedTuple):
    """The share of tags read right, of ``n``, with Wilson's 95 % interval."""

    n: int
    share: float
    low: float
    high: float

    def flat(self) -> dict[str, float]:
        """By name, for a manifest."""
        return {
            "accuracy": round(self.share, 4),
            "accuracy_low": round(self.low, 4),
            "accuracy_high": round(self.high, 4),
            "n": self.n,
        }


def read(data: Path) -> dict[str, list[Tag]]:
    """The tags of :data:`SETS` and of :data:`CHOSEN_ON`, which share no tag with them.

    Chosen on are the half of STAN's training part and the tenth of HashSet that a hash of
    the tag says. Raises :class:`DataError` where a file is absent or has not its columns.
    """
    folder = data / FOLDER
    train, dev = (list(_stan(folder / name)) for name in STAN)
    boun = [
        Tag(line.replace(" ", ""), frozenset({_spaced(line)})) for line in _text(folder / BOUN).splitlines() if line
    ]
    hashset = list(_hashset(folder / HASHSET))
    chosen = [tag for tag in train if _falls(tag, 2)]
    known = {tag.tag for tag in chosen}
    return {
        "STAN": [tag for tag in (*train, *dev) if tag.tag not in known],
        "BOUN": boun,
        "HashSet": [tag for tag in hashset if not _falls(tag, 10)],
        "STAN, chosen on": chosen,
        "HashSet, chosen on": [tag for tag in hashset if _falls(tag, 10)],
    }


def sources(data: Path) -> tuple[Source, ...]:
    """The files that :func:`read` reads."""
    found = []
    for name in (*STAN, BOUN, HASHSET):
        file = fingerprint(data, data / FOLDER / name, len(_text(data / FOLDER / name).splitlines()))
        found.append(Source(path=file.path, sha256=file.sha256, rows=file.rows, use="validation"))
    return tuple(found)


def accuracy(tags: Sequence[Tag], words_of: Callable[[Tag], Sequence[str]]) -> Accuracy:
    """How many of the tags are read right; case and punctuation in words do not count.

    The interval is Wilson's (Journal of the American Statistical Association 22, 1927).
    """
    right = sum(_spaced(" ".join(words_of(tag))) in tag.right for tag in tags)
    n = len(tags)
    if not n:
        return Accuracy(0, 0.0, 0.0, 1.0)
    share = right / n
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return Accuracy(n, share, middle - half, middle + half)


def _stan(file: Path) -> Iterator[Tag]:
    for line in _text(file).splitlines():
        cells = line.split("\t")
        if len(cells) < 3:
            raise DataError(f"{file} has a row of {len(cells)} columns: expected post, hashtag and its words")
        yield Tag(cells[1], frozenset(_spaced(cell) for cell in cells[2:] if cell.strip()), cells[0])


def _hashset(file: Path) -> Iterator[Tag]:
    reader = csv.DictReader(io.StringIO(_text(file), newline=""))
    for row in reader:
        try:
            yield Tag(row["Unsegmented_hashtag"].lstrip("#"), frozenset({_spaced(row["Segmented_hashtag_lowerCase"])}))
        except KeyError as error:
            raise DataError(f"{file} has no column {error}") from error


def _text(file: Path) -> str:
    try:
        return gzip.decompress(file.read_bytes()).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read ({error}): bring the hashtags with their words") from error


def _falls(tag: Tag, parts: int) -> bool:
    """Whether a tag falls into the first of so many parts: the same on every machine."""
    return crc32(tag.tag.encode()) % parts == 0


def _plain(text: str) -> str:
    return _NEITHER.sub("", text.lower()).replace(" ", "")


def _spaced(text: str) -> str:
    return " ".join(_NEITHER.sub("", text.lower()).split())
