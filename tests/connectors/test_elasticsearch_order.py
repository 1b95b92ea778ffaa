"""The writer's own bookkeeping, against a server in memory: bulks in flight, changes held back, refusals."""

from __future__ import annotations

import random
import threading
from typing import Any

import msgspec
import pytest

from connectors.document_store import Change
from connectors.elasticsearch_bulk import ActionLines
from connectors.elasticsearch_writer import BulkLimits, ElasticsearchWriter
from groundswell.records import Deletion, document_id
from groundswell.waits import Waits
from tests.connectors.documents import Tally, deletion, envelope

_DEADLINE_SECONDS = 60


class MemoryServer:
    """What the writer asks of Elasticsearch; refuses each document as often as ``refusals`` says."""

    def __init__(self, refusals: dict[str, int]) -> None:
        self.documents: set[str] = set()
        self._refusals = refusals
        self._lock = threading.Lock()

    def bulk(self, body: bytes, _filter_path: str, *, gzipped: bool) -> bytes:
        assert not gzipped
        assert body, "an empty bulk is refused as a whole"
        with self._lock:
            actions = [line for line in map(msgspec.json.decode, body.splitlines()) if {"create", "delete"} & set(line)]
            items = [self._apply(name, action["_id"]) for line in actions for name, action in line.items()]
        return msgspec.json.encode({"errors": True, "items": items})

    def request(self, _method: str, path: str, body: bytes | None, _params: object) -> bytes:
        if path.endswith("_refresh"):
            return b"{}"
        wanted = msgspec.json.decode(body or b"")["query"]["ids"]["values"]
        with self._lock:
            hits = [{"_index": "posts-all", "_id": identity} for identity in wanted if identity in self.documents]
        return msgspec.json.encode({"hits": {"hits": hits}})

    def _apply(self, name: str, identity: str) -> dict[str, Any]:
        if name == "delete":
            self.documents.discard(identity)
            return {"delete": {"status": 200}}
        if self._refusals.get(identity, 0):
            self._refusals[identity] -= 1
            return {"create": {"status": 400, "error": {"type": "document_parsing_exception", "reason": "no"}}}
        if identity in self.documents:
            return {"create": {"status": 409}}
        self.documents.add(identity)
        return {"create": {"status": 201}}


@pytest.mark.parametrize("seed", range(60))
def test_every_change_settles_once_and_the_last_one_of_a_document_stands(seed: int) -> None:
    dice = random.Random(seed)
    changes: list[Change] = [
        deletion(number) if dice.random() < 0.15 else envelope(number, text="x" * dice.choice((1, 300, 900)))
        for number in (dice.randrange(12) for _ in range(400))
    ]
    given = {document_id("test", str(number)): dice.randrange(4) for number in range(12)}
    server = MemoryServer({**given})
    limits = BulkLimits(
        documents=dice.choice((1, 2, 5)), size=dice.choice((500, 2000)), in_flight=dice.choice((1, 2)), compress=False
    )
    tally = Tally()
    writer = ElasticsearchWriter(server, "posts", ActionLines("posts", "none"), limits, Waits(), tally, lambda: True)  # type: ignore[arg-type]

    def write() -> None:
        for start in range(0, len(changes), 7):
            writer.add(changes[start : start + 7])
        writer.flush()

    worker = threading.Thread(target=write, daemon=True)
    worker.start()
    worker.join(_DEADLINE_SECONDS)
    assert not worker.is_alive(), "the writer never came to its end"
    writer.close()
    created, duplicates, _, refused = tally.counts
    assert created + duplicates + refused == sum(not isinstance(change, Deletion) for change in changes)
    assert server.documents == _standing(changes, {**given})


def _standing(changes: list[Change], refusals: dict[str, int]) -> set[str]:
    """The documents that are left when the changes are applied one after the other."""
    left: set[str] = set()
    for change in changes:
        if isinstance(change, Deletion):
            left.discard(document_id(change.source, change.id))
            continue
        identity = document_id(change.post.source, change.post.id)
        if refusals[identity]:
            refusals[identity] -= 1
        else:
            left.add(identity)
    return left
