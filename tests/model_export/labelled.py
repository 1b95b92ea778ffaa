"""Labelled files for tests: invented posts, none like another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SENTIMENT = ("negative", "neutral", "positive")
_WORDS = {"negative": "bad", "neutral": "the", "positive": "good"}
_RELATIONS = ("entailment", "neutral", "contradiction")


def sentiment_rows(count: int, salt: str = "") -> list[dict[str, Any]]:
    """``count`` posts, a third of each label, from two sources and in two languages."""
    return [
        {
            "text": f"{_WORDS[label]} day " + " ".join(f"{salt}w{number}x{part}" for part in range(number % 7 + 3)),
            "label": label,
            "source": ("twitter", "mastodon")[number % 2],
            "lang": ("en", "de")[number % 5 == 0],
        }
        for number in range(count)
        for label in [SENTIMENT[number % 3]]
    ]


def nli_rows(count: int) -> list[dict[str, Any]]:
    """``count`` pairs, a third of each label."""
    return [
        {"premise": f"a train w{number}", "hypothesis": f"rain w{number}", "label": _RELATIONS[number % 3]}
        for number in range(count)
    ]


def write_lines(file: Path, rows: Iterable[Mapping[str, Any] | bytes]) -> Path:
    """Write rows as JSON Lines; a row of bytes goes as it is."""
    lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file
