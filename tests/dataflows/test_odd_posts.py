"""Texts that break scorers, through the posts flow and its model: each is taken or refused, and no other suffers."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

from bytewax.testing import TestingSource, run_main

from connectors.credits import Credits
from connectors.dead_letter_sink import DeadLetterSink
from connectors.document_sink import DocumentSink
from connectors.sqlite_dead_letters import SqliteDeadLetters
from connectors.sqlite_store import SqliteStore
from dataflows import posts
from dataflows.models import open_model
from groundswell import step_ids
from groundswell.analysis_settings import Models
from groundswell.records import Document, RawBatch, document_id
from groundswell.settings import Settings
from groundswell.waits import Waits
from operators.analyse import Analyser
from operators.decode import Decoder
from operators.isolate import Isolation
from tests.dataflows.harness import sqlite_dead_letters
from tests.inference.odd_texts import ODD_TEXTS
from tests.inference.tiny_bert import NAME, NOTHING, POISON, published_bert

SOURCE = "odd"
#: What the device fails on, or answers with what is no number.
POISONED = {
    "poison": POISON,
    "poison among words": f"what a {POISON} day",
    "poison in a window": "day " * 50 + POISON,
    "no number": f"a {NOTHING}",
}
#: Posts without a text are none: they are dead letters.
TEXTLESS = {"empty", "blank"}
PLAIN = ("not bad", "i hate rain", "what a good day!")


def post(identity: str, text: str) -> bytes:
    moment = "2024-05-06T12:00:00+00:00"
    return json.dumps({"id": identity, "source": SOURCE, "author": "a", "text": text, "created_at": moment}).encode()


def stored(folder: Path, texts: dict[str, str], settings: Settings) -> dict[str, Document]:
    """The documents that the flow makes of posts, by their ids; only textless ones may become dead letters."""
    folder.mkdir()
    database = folder / "documents.db"
    store, letters = SqliteStore(database, Waits()), SqliteDeadLetters(database, Waits())
    store.prepare()
    values = [post(identity, text) for identity, text in texts.items()]
    raw = [
        RawBatch("posts", 0, list(range(start, start + len(part))), part)
        for start in range(0, len(values), 16)
        if (part := values[start : start + 16])
    ]
    allowance = Credits(len(values), sum(map(len, values)))
    allowance.acquire(len(values), sum(map(len, values)))
    slots = step_ids.slots_of(0, 1)
    stop = threading.Event()
    model = open_model(settings)
    assert model is not None
    with model:
        run_main(
            posts.build(
                posts.PostsFlow(
                    source=TestingSource(raw, batch_size=2),
                    isolation=Isolation(),
                    decoder=Decoder(),
                    analyser=Analyser(model.read, lambda: datetime.now(UTC)),
                    documents=DocumentSink(store, letters, allowance, slots, lambda: not stop.is_set()),
                    dead_letters=DeadLetterSink(letters, slots, lambda: not stop.is_set()),
                    slots=slots,
                    now=lambda: datetime.now(UTC),
                )
            )
        )
    keys = {document_id(SOURCE, identity): identity for identity in texts}
    found = {keys[key]: document for key, document in store.get(list(keys)).items()}
    store.close()
    dead = {json.loads(value)["id"] for _, value in sqlite_dead_letters(database)}
    assert dead == TEXTLESS & texts.keys()
    return found


def test_odd_texts_are_taken_or_refused_and_change_no_other(tmp_path: Path) -> None:
    version = published_bert(tmp_path / "models", embedding=384, embedding_space="tiny", poison=True).name
    settings = Settings(
        models=Models(repository=str(tmp_path / "models"), posts=NAME, threads=1, buckets=(8, 16, 32), linger=0.0)
    )
    plain = {f"plain {number}": PLAIN[number % len(PLAIN)] for number in range(120)}
    alone = stored(tmp_path / "alone", plain, settings)
    texts = list(plain.items())
    for place, odd in enumerate({**ODD_TEXTS, **POISONED}.items()):
        texts.insert(6 * place, odd)
    found = stored(tmp_path / "all", dict(texts), settings)

    assert found.keys() == dict(texts).keys() - TEXTLESS
    for identity, document in found.items():
        if identity in POISONED:
            assert (document.sentiment, document.emotion, document.embedding, document.model) == (None,) * 4
            continue
        assert document.sentiment is not None
        assert document.emotion is not None
        assert document.model is not None
        assert (document.model.version, document.embedding_space) == (version, "tiny")
        assert len(bytes.fromhex(document.embedding or "")) == 384
        for scores in (document.sentiment, document.emotion):
            assert abs(sum(scores.scores.values()) - 1) < 1e-4
        if identity in plain:
            before = alone[identity]
            assert before.sentiment is not None
            assert document.sentiment.label == before.sentiment.label
            assert abs(document.sentiment.score - before.sentiment.score) < 1e-4
