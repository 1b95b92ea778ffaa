"""Posts that people judged as about an event or not, and posts at large: what evidence models are fitted on.

CrisisLexT6 has the posts of five disasters, collected half by keywords and half by place,
each judged on-topic or off-topic; CrisisLexT26 has those of 25 events, whose off-topic ones
are few, so that posts of the other events are its negatives.
"""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from model_export.datasets import DataError, Fingerprint, fingerprint, read_semeval

T6: Final = "tweets_trend/crisislex_t6"
T26: Final = "tweets_trend/crisislex_t26_tweets_labeled_25events.tar.gz"
#: Events that both have, by their names in T6 and in T26.
SAME: Final = {
    "2013_Alberta_Floods": "2013_Alberta_floods",
    "2013_Queensland_Floods": "2013_Queensland_floods",
    "2013_West_Texas_Explosion": "2013_West_Texas_explosion",
}

_BRING: Final = f"bring CrisisLexT6 as <data>/{T6}/*-ontopic_offtopic.csv.gz and CrisisLexT26 as <data>/{T26}"
_NOT_ABOUT: Final = ("Not related", "Not applicable")


class JudgedPost(NamedTuple):
    """A post of an event's collection, and whether people judged it to be about the event."""

    event: str
    id: str
    text: str
    about: bool

    @property
    def repost(self) -> bool:
        """Whether it repeats another."""
        return self.text.startswith("RT @")


def read_t6(data: Path) -> tuple[list[JudgedPost], list[Fingerprint]]:
    """CrisisLexT6; raises :class:`DataError` where it is absent or something else."""
    files = sorted((data / T6).glob("*-ontopic_offtopic.csv.gz"))
    if not files:
        raise DataError(f"no file below {data / T6}: {_BRING}")
    posts: list[JudgedPost] = []
    prints = []
    for file in files:
        event = file.name.partition("-")[0]
        rows = _rows(gzip.decompress(file.read_bytes()).decode("utf-8"), 3, str(file))
        found = [JudgedPost(event, row[0].strip("'"), row[1], row[2].strip() == "on-topic") for row in rows]
        posts += found
        prints.append(fingerprint(data, file, len(found)))
    return posts, prints


def read_t26(data: Path) -> tuple[list[JudgedPost], list[Fingerprint]]:
    """CrisisLexT26; raises :class:`DataError` where it is absent or something else."""
    file = data / T26
    if not file.is_file():
        raise DataError(f"{file} is absent: {_BRING}")
    posts: list[JudgedPost] = []
    with tarfile.open(file) as tar:
        for member in sorted(tar.getmembers(), key=lambda each: each.name):
            content = tar.extractfile(member) if member.name.endswith(".csv") else None
            if content is None:
                continue
            event = member.name.partition("/")[0]
            posts += [
                JudgedPost(event, row[0].strip(), row[1], row[4].strip() not in _NOT_ABOUT)
                for row in _rows(content.read().decode("utf-8"), 5, member.name)
            ]
    return posts, [fingerprint(data, file, len(posts))]


def read_posts_at_large(data: Path) -> tuple[list[str], list[Fingerprint]]:
    """Different posts about anything, reposts left out; raises :class:`DataError` where they are absent."""
    examples, prints = read_semeval(data)
    return [text for text in dict.fromkeys(text for text, _ in examples) if not text.startswith("RT @")], prints


def _rows(content: str, columns: int, name: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(content, newline=""))
    if len(next(reader, ())) < columns:
        raise DataError(f"{name} has not the columns of CrisisLex: {_BRING}")
    return (row for row in reader if len(row) >= columns)
