"""The real streams of the shared data as posts, one stream a file.

Rows without a time that can be read are left out; everything else stays as it is: repeated
ids, repeated texts, ties in time. Where a spreadsheet has ruined the ids, rows are numbered.
"""

from __future__ import annotations

import ast
import csv
import gzip
import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from groundswell.records import Post
from operators.hashtags import extract
from operators.times import from_twitter_id, parse

csv.field_size_limit(1 << 24)
_RUINED = re.compile(r"\d\.\d+E\+\d+")


class _Columns(NamedTuple):
    """Where a CSV file has what; an empty ``time`` means that the id tells it."""

    pattern: str
    id: str
    time: str
    author: str
    text: str
    formats: tuple[str, ...] = ()


_CSV = (
    _Columns("crisislex_t6/*.csv.gz", "tweet id", "", "", "tweet"),
    _Columns("crypto_*.csv.gz", "", "Date", "Username", "Content"),
    _Columns("demonetization_*.csv.gz", "id", "created", "screenName", "text", ("%d-%m-%Y %H:%M",)),
    _Columns("fifa_*.csv.gz", "", "Date Created", "", "Tweet"),
    _Columns("mayweather_*.csv.gz", "id", "created_at", "screen_name", "text"),
    _Columns("pheme_*.csv.gz", "id", "created", "", "text"),
    _Columns("rstats_*.csv.gz", "status_id", "created_at", "screen_name", "text"),
    _Columns("soccer_2015/*.csv.gz", "", "timestamp", "user", "text"),
    _Columns(
        "up_elections_2017/**/*.csv.gz",
        "id",
        "created",
        "screenName",
        "text",
        ("%d-%m-%Y %H:%M", "%d/%m/%y %H:%M"),
    ),
    _Columns("vaccination_*.csv.gz", "id", "date", "user_name", "text"),
)


def names(root: Path) -> list[str]:
    """The streams below ``root``, by their paths in it."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.gz"))


def load(root: Path, name: str, *, in_order: bool = True) -> list[Post]:
    """One stream, in order of time or as its file has it. Raises ``KeyError`` for a file that nothing is known of."""
    path = root / name
    if name.startswith("crisislex_t26"):
        posts: Iterable[Post] = _crisislex_t26(path)
    elif name.startswith("mabed"):
        posts = _mabed(path)
    elif name.startswith("stream_syria"):
        posts = _syria(path)
    else:
        found = [columns for columns in _CSV if path in root.glob(columns.pattern)]
        if not found:
            raise KeyError(name)
        posts = _csv(_decoded(gzip.decompress(path.read_bytes())), found[0])
    return sorted(posts, key=lambda post: post.created_at) if in_order else list(posts)


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _csv(text: str, columns: _Columns) -> Iterator[Post]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    for number, row in enumerate(reader):
        identity = (row.get(columns.id) or "").strip("'")
        try:
            time = parse(row[columns.time] or "", columns.formats) if columns.time else from_twitter_id(identity)
        except ValueError:
            continue
        if time is not None:
            known = identity and not _RUINED.fullmatch(identity)
            yield _post(identity if known else str(number), time, row.get(columns.author), row[columns.text])


def _crisislex_t26(path: Path) -> Iterator[Post]:
    columns = _Columns("", "Tweet ID", "", "", "Tweet Text")
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            if file is not None:
                yield from _csv(_decoded(file.read()), columns)


def _mabed(path: Path) -> Iterator[Post]:
    for number, line in enumerate(gzip.decompress(path.read_bytes()).decode().splitlines()[1:]):
        author, time, text = line.split("\t", 2)
        yield _post(str(number), datetime.fromisoformat(time.strip()).replace(tzinfo=UTC), author, text)


def _syria(path: Path) -> Iterator[Post]:
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        time, _, identity, text, *_ = ast.literal_eval(line)
        yield _post(str(identity), datetime.fromtimestamp(time, UTC), None, text)


def _post(identity: str, time: datetime, author: str | None, text: str | None) -> Post:
    return Post(identity, "twitter", text or "", time, author or None, hashtags=extract(text or ""))
