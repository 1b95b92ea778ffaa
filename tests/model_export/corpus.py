"""A small invented corpus in the layout of the public one."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

_MOODS = {
    "negative": ["awful", "sad", "not good", "terrible", "hate", ":("],
    "neutral": ["at nine", "on monday", "leaves", "schedule", "station", "opens"],
    "positive": ["great", "love", "not bad", "wonderful", "happy", ":)"],
}
_FILLERS = [
    "the",
    "a",
    "train",
    "bus",
    "city",
    "morning",
    "coffee",
    "music",
    "game",
    "team",
    "film",
    "book",
    "phone",
    "garden",
    "river",
    "road",
]


def write_corpus(data: Path, rows: int, seed: int = 1) -> None:
    """Write ``rows`` SemEval rows in two files, and a sixth as many of TweetEval's validation, below ``data``."""
    draw = random.Random(seed)
    semeval = data / "tweets_sentiment/semeval2017_4a"
    tweeteval = data / "tweeteval/sentiment"
    semeval.mkdir(parents=True)
    tweeteval.mkdir(parents=True)
    names = sorted(_MOODS)
    lines = [f"{number}\t{names[number % 3]}\t{_text(draw, names[number % 3])}" for number in range(rows)]
    lines[0] = lines[0] + r" isn\u2019t it\u002c" + "\t"
    half = rows // 2
    _write(semeval / "twitter-2013train-A.tsv.gz", lines[:half])
    _write(semeval / "twitter-2016test-A.tsv.gz", [*lines[half:], "9\tneutral\tNot Available", "broken"])
    held = range(max(3, rows // 6))
    _write(tweeteval / "val_text.txt.gz", [_text(draw, names[number % 3]) for number in held])
    _write(tweeteval / "val_labels.txt.gz", [str(number % 3) for number in held])
    (tweeteval / "mapping.txt").write_text("".join(f"{number}\t{name}\n" for number, name in enumerate(names)))


def _text(draw: random.Random, mood: str) -> str:
    chosen = draw.sample(_FILLERS, 8) + draw.sample(_MOODS[mood], 2)
    draw.shuffle(chosen)
    return " ".join([*chosen, f"w{draw.randrange(10**6)}"])


def _write(file: Path, lines: list[str]) -> None:
    file.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
