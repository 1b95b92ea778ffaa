"""Real streams with hashtags from the shared data, in order of time, for measuring what detects bursts.

Each file has its own oddities (the data's README names them); what comes out is the
same everywhere: time, author (or ``None`` where the file names none), tags.
"""

from __future__ import annotations

import ast
import csv
import gzip
import io
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from operators.hashtags import extract
from operators.times import from_twitter_id, parse

csv.field_size_limit(1 << 24)
#: Cells hold characters beyond ASCII as ``<U+0915>``.
_ESCAPED = re.compile(r"<U\+([0-9A-F]{4,6})>")


class Tweet(NamedTuple):
    """What counting needs of a post: Unix time in seconds, author, distinct normalised hashtags."""

    time: float
    author: str | None
    tags: tuple[str, ...]


def load(name: str, root: Path) -> list[Tweet]:
    """The stream of this name below ``root`` (the folder ``tweets_trend``), in order of time.

    Raises ``KeyError`` for an unknown name and ``OSError`` when the file is not there.
    """
    pattern, read = STREAMS[name]
    paths = sorted(root.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"{root / pattern} is not there")
    return sorted((tweet for path in paths for tweet in read(path)), key=lambda tweet: tweet.time)


def _text(path: Path) -> str:
    data = gzip.decompress(path.read_bytes())
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), skipinitialspace=True)
    for row in reader:
        yield {key: value or "" for key, value in row.items() if key}


def _columns(time: str, author: str | None, text: str, *formats: str) -> Callable[[Path], Iterable[Tweet]]:
    """A reader of CSV files by the names of their columns; rows without a time are left out, repeated ones too."""

    def read(path: Path) -> Iterator[Tweet]:
        seen: set[tuple[str, str, str]] = set()
        for row in _rows(path):
            name = row[author] if author else ""
            key = (row[time], name, row[text])
            if key in seen:
                continue
            seen.add(key)
            try:
                when = parse(row[time], formats).timestamp()
            except ValueError:
                continue
            yield Tweet(when, name or None, extract(_ESCAPED.sub(_character, row[text])))

    return read


def _character(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))


def _elections(path: Path) -> Iterator[Tweet]:
    yield from _columns("created", "screenName", "text", "%d-%m-%Y %H:%M", "%d/%m/%y %H:%M", "%m/%d/%Y %H:%M")(path)


def _crisis(path: Path) -> Iterator[Tweet]:
    seen: set[str] = set()
    for row in _rows(path):
        identity = row["tweet id"].strip("'")
        when = from_twitter_id(identity)
        if when is not None and identity not in seen:
            seen.add(identity)
            yield Tweet(when.timestamp(), None, extract(row["tweet"]))


def _syria(path: Path) -> Iterator[Tweet]:
    for line in _text(path).splitlines():
        when, _, _, text, _, names, *_ = ast.literal_eval(line)
        yield Tweet(float(when), names[0] if names else None, extract(text))


def _mabed(path: Path) -> Iterator[Tweet]:
    for line in _text(path).splitlines():
        author, when, text = line.split("\t", 2)
        try:
            time = datetime.fromisoformat(when.strip()).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
        yield Tweet(time, author, extract(text))


_soccer = _columns("timestamp", "user", "text")
#: Name → pattern of its files, reader.
STREAMS: dict[str, tuple[str, Callable[[Path], Iterable[Tweet]]]] = {
    "leicester-arsenal": ("soccer_2015/leiars.csv.gz", _soccer),
    "southampton-swansea": ("soccer_2015/souswa.csv.gz", _soccer),
    "swansea-bournemouth": ("soccer_2015/swabou.csv.gz", _soccer),
    "swansea-everton": ("soccer_2015/swaeve.csv.gz", _soccer),
    "mayweather-mcgregor": ("mayweather_*.gz", _columns("created_at", "screen_name", "text")),
    "sandy": ("crisislex_t6/2012_Sandy*.gz", _crisis),
    "alberta": ("crisislex_t6/2013_Alberta*.gz", _crisis),
    "oklahoma": ("crisislex_t6/2013_Oklahoma*.gz", _crisis),
    "queensland": ("crisislex_t6/2013_Queensland*.gz", _crisis),
    "west-texas": ("crisislex_t6/2013_West*.gz", _crisis),
    "elections": ("up_elections_2017/*.gz", _elections),
    "demonetization": ("demonetization*.gz", _columns("created", "screenName", "text", "%d-%m-%Y %H:%M")),
    "ottawa": ("pheme_ottawa*.gz", _columns("created", None, "text")),
    "world-cup": ("fifa_world_cup*.gz", _columns("Date Created", None, "Tweet")),
    "crypto": ("crypto*.gz", _columns("Date", "Username", "Content")),
    "ggplot2": ("rstats_ggplot2*.gz", _columns("created_at", "screen_name", "text")),
    "vaccination": ("vaccination*.gz", _columns("date", "user_name", "text")),
    "syria-ukraine": ("stream_syria*.gz", _syria),
    "mabed": ("mabed*.gz", _mabed),
}
