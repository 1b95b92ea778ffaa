"""Cut the demo's sample of real posts out of CrisisLexT6.

    python demo/make_sample.py 2013_Oklahoma_Tornado-ontopic_offtopic.csv.gz demo/oklahoma-tornado-2013.jsonl.gz

Takes the posts of the first two and a half days, replaces every mentioned name by
``@user`` and every link by ``https://example.org/``, leaves out posts with coarse
words (a demonstration is shown to people), and reads the time from the id.
"""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

_TWITTER_EPOCH_MS = 1_288_834_974_657
_DAYS = 2.5
_COARSE = re.compile(
    r"fuck|shit|bitch|nigg|cunt|dick|pussy|slut|whore|\bho(?:e|es|s)\b|fag|\bass\b|asshole|cock|\bcum", re.I
)


def main(source: Path, target: Path) -> None:
    """Write the sample as JSON lines in the order of time."""
    with gzip.open(source) as packed:
        rows = list(csv.reader(io.TextIOWrapper(packed, "utf-8"), skipinitialspace=True))[1:]
    posts = []
    for cell, text, *_ in rows:
        identity = int(cell.strip("'"))
        time = datetime.fromtimestamp(((identity >> 22) + _TWITTER_EPOCH_MS) / 1000, UTC)
        text = html.unescape(text)
        if _COARSE.search(text):
            continue
        clean = re.sub(r"https?://\S+", "https://example.org/", re.sub(r"@\w+", "@user", text))
        posts.append((time, {"id": str(identity), "source": "crisislex", "text": clean, "lang": "en"}))
    posts.sort(key=lambda post: post[0])
    last = posts[0][0] + timedelta(days=_DAYS)
    lines = [
        json.dumps(post | {"created_at": time.isoformat(timespec="milliseconds")}, ensure_ascii=False)
        for time, post in posts
        if time <= last
    ]
    target.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))
    print(f"{len(lines)} posts, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
