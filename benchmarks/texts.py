"""Real texts in the lengths that they have: the posts of the demo, and articles where the public data is there."""

from __future__ import annotations

import gzip
import json
import os
import random
import tarfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
DATA: Final = Path(os.environ.get("GROUNDSWELL_SHARED_DATA") or ROOT.parent / "shared" / "data")


def mixed_texts(count: int, *, one_in: int = 0, seed: int = 1) -> list[str]:
    """``count`` different texts (as far as there are so many): posts, and an article in each ``one_in`` of them.

    Without the public data, posts joined to the length of an article stand for articles.
    """
    draw = random.Random(seed)
    with gzip.open(ROOT / "demo" / "oklahoma-tornado-2013.jsonl.gz", "rt", encoding="utf-8") as file:
        posts = list(dict.fromkeys(json.loads(line)["text"] for line in file))
    number = count // one_in if one_in else 0
    texts = list(islice(_shuffled(posts, draw), count - number))
    if number:
        articles = _articles() or [" ".join(draw.sample(posts, draw.randint(8, 40))) for _ in range(200)]
        texts += islice(_shuffled(articles, draw), number)
    draw.shuffle(texts)
    return texts


def _shuffled(texts: Sequence[str], draw: random.Random) -> Iterator[str]:
    """All of them in random order, over and over."""
    while True:
        yield from draw.sample(texts, len(texts))


def _articles() -> list[str]:
    archive = DATA / "topics" / "bbc_news_2004-2005.tar.gz"
    if not archive.is_file():
        return []
    with tarfile.open(archive) as tar:
        return [
            content.read().decode("utf-8", "replace")
            for member in tar
            if member.name.endswith(".txt") and (content := tar.extractfile(member))
        ]
