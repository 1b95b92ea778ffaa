"""Decode → document → Elasticsearch bulk body, of real tweets, on one core, without a server.

The peer is the plain way to the same documents: ``json.loads``, dictionaries, and the
chunker and serializer of the client's own bulk helper.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import process_time

from elasticsearch.helpers.actions import _chunk_actions, expand_action
from elasticsearch.serializer import JsonSerializer

from benchmarks.plain import plain_action
from benchmarks.report import Row, alternate, options, print_rows
from connectors.elasticsearch_bulk import ActionLines, Bulk
from groundswell.records import Envelope, RawBatch, document_id
from operators.analyse import document
from operators.decode import Decoder

_ROOT = Path(__file__).resolve().parents[1]
_SHARED = _ROOT.parent / "shared" / "data" / "twitter_json"
_FIXTURES = _ROOT / "tests" / "fixtures" / "twitter_json"
#: Files of tweets, one a line, and what they are.
FILES = {
    "stream_nl_2016.jsonl.gz": "stream of 2016",
    "rumoureval2017_train_dev.jsonl.gz": "conversations of 2014-15",
    "v11_python_twitter/streaming_lines.json.gz": "extended tweets of 2018",
}
_ALIAS = "posts"
_BATCH = 500
_CHUNK_DOCUMENTS = 2_000
_CHUNK_BYTES = 4 * 1024 * 1024


def tweets(name: str) -> list[bytes]:
    """The tweets of a file, or none when it is not there."""
    path = next((folder / name for folder in (_SHARED, _FIXTURES) if (folder / name).exists()), None)
    return gzip.decompress(path.read_bytes()).splitlines() if path else []


def ours(values: list[bytes]) -> int:
    """The bytes of all bulk bodies, the way of the job."""
    decoder = Decoder()
    lines = ActionLines(_ALIAS, "week")
    size = 0
    bulk = Bulk()
    for start in range(0, len(values), _BATCH):
        part = values[start : start + _BATCH]
        now = datetime.now(UTC)
        for change in decoder.decode(RawBatch("bench", 0, list(range(len(part))), part)).changes:
            if not isinstance(change, Envelope):
                continue
            post = change.post
            identity = document_id(post.source, post.id)
            bulk.create(lines.before_id(post.created_at), identity, change, document(post, now))
            if len(bulk) == _CHUNK_DOCUMENTS or len(bulk.body) > _CHUNK_BYTES:
                size += len(bulk.body)
                bulk = Bulk()
    return size + len(bulk.body)


def peer(values: list[bytes]) -> int:
    """The bytes of all bulk bodies, the plain way."""
    chunks = _chunk_actions(
        (expand_action(plain_action(value, _ALIAS)) for value in values),
        _CHUNK_DOCUMENTS,
        _CHUNK_BYTES,
        None,
        JsonSerializer(),
    )
    return sum(len(b"\n".join(lines)) + 1 for _, lines in chunks)


def _rate(work: Callable[[list[bytes]], int], values: list[bytes]) -> Callable[[], float]:
    def run() -> float:
        start = process_time()
        assert work(values)
        return len(values) / (process_time() - start)

    return run


def run(quick: bool) -> list[Row]:
    """One row a file of tweets that is there."""
    rows = []
    for name, meaning in FILES.items():
        values = tweets(name)
        if not values:
            continue
        values = values * max(1, (2_000 if quick else 20_000) // len(values))
        mine, theirs = alternate(_rate(ours, values), _rate(peer, values), 3 if quick else 7)
        size = sum(map(len, values)) / len(values) / 1000
        rows.append(Row(f"decode → document → bulk body: {meaning} ({size:.1f} kB)", mine, theirs, "tweets/s/core"))
    return rows


def main() -> None:
    """Run the benchmark and print its rows."""
    chosen = options(__doc__)
    print_rows(run(chosen.quick), chosen.json)


if __name__ == "__main__":
    main()
