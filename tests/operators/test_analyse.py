"""Posts become documents, with what the models say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import bytewax.operators as op
import msgspec
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main
from hypothesis import given
from hypothesis import strategies as st

from groundswell.metrics import REGISTRY
from groundswell.records import (
    Analysis,
    Batch,
    Deletion,
    Document,
    Envelope,
    Geo,
    ModelRef,
    Origin,
    Post,
    Scores,
)
from inference.rows import RowError
from operators.analyse import Analyser, analyse_step, document
from tests.inference.engines import open_engine
from tests.inference.tiny import NAME, POISON, published, tiny_scores

WRITTEN = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOW = datetime(2024, 5, 1, 13, tzinfo=UTC)
MODEL = ModelRef("m", "1")


def clock() -> datetime:
    return NOW


def envelope(number: int, text: str = "good") -> Envelope:
    post = Post(id=str(number), source="twitter", text=text, created_at=WRITTEN)
    return Envelope(Origin("posts", 0, number), text.encode(), post)


def batch(*changes: Envelope | Deletion) -> Batch:
    return Batch("posts", 0, len(changes), 0, list(changes), [], Counter())


def documents(*batches: Batch) -> list[Document | None]:
    return [change.document for found in batches for change in found.changes if isinstance(change, Envelope)]


def scored(text: str) -> Analysis:
    return Analysis(MODEL, {"sentiment": Scores(text, 1.0, {text: 1.0})})


def test_a_document_holds_all_of_the_post_and_all_of_the_analysis() -> None:
    post = Post(
        id="1",
        source="twitter",
        text="good",
        created_at=WRITTEN,
        author="ann",
        lang="en",
        hashtags=("a", "b"),
        url="https://x/1",
        reply_to="2",
        repost_of="3",
        geo=Geo(1.0, 2.0),
        original_hashtags=("c",),
    )
    sentiment = Scores("positive", 0.5, {"positive": 0.5})
    emotion = Scores("joy", 0.7, {"joy": 0.7})
    analysis = Analysis(MODEL, {"sentiment": sentiment, "emotion": emotion}, b"\x00\xff", "space-1", truncated=True)
    whole = {**msgspec.structs.asdict(post), "indexed_at": NOW}
    del whole["original_hashtags"]
    assert document(post, NOW) == Document(**whole)
    assert document(post, NOW, analysis) == Document(
        **whole,
        sentiment=sentiment,
        emotion=emotion,
        embedding="00ff",
        embedding_space="space-1",
        model=MODEL,
        truncated=True,
    )
    analysed = {"sentiment", "emotion", "embedding", "embedding_space", "model", "truncated"}
    assert set(Document.__struct_fields__) == {*whole, *analysed, "topics", "classification"}


def test_without_a_model_documents_carry_no_analysis() -> None:
    found = Analyser(None, clock).analyse(batch(envelope(1), envelope(2)))
    assert documents(found) == [document(envelope(number).post, NOW) for number in (1, 2)]


def test_a_text_that_cannot_be_scored_is_a_document_all_the_same() -> None:
    def submit(texts: Sequence[str]) -> list[Analysis | RowError]:
        return [RowError("device", "broken") if text == "bad" else scored(text) for text in texts]

    found = Analyser(submit, clock).analyse(batch(envelope(1), envelope(2, "bad"), envelope(3)))
    bare = document(envelope(2, "bad").post, NOW)
    assert documents(found) == [
        document(envelope(1).post, NOW, scored("good")),
        bare,
        document(envelope(3).post, NOW, scored("good")),
    ]


def test_deletions_keep_their_place() -> None:
    gone = Deletion("twitter", "1")
    found = Analyser(None, clock).analyse(batch(gone, envelope(1), gone, envelope(2), gone))
    assert [isinstance(change, Deletion) for change in found.changes] == [True, False, True, False, True]


@given(st.lists(st.lists(st.none() | st.text(max_size=3), max_size=9), max_size=6), st.integers(1, 7))
def test_each_post_gets_its_own_answer_however_the_batches_are_cut(layout: list[list[str | None]], chunk: int) -> None:
    asked: list[int] = []

    def submit(texts: Sequence[str]) -> list[Analysis]:
        asked.append(len(texts))
        return [scored(text) for text in texts]

    batches = [
        batch(*(Deletion("twitter", "9") if text is None else envelope(1, text) for text in texts)) for texts in layout
    ]
    Analyser(submit, clock, chunk).analyse_all(batches)
    texts = [text for row in layout for text in row if text is not None]
    assert [found.sentiment.label for found in documents(*batches) if found and found.sentiment] == texts
    # All batches share the chunks: only the last is not full.
    assert asked == [chunk] * (len(texts) // chunk) + [len(texts) % chunk] * (len(texts) % chunk > 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_in_a_flow_on_a_real_model(tmp_path: Path, workers: int) -> None:
    version = published(tmp_path).name
    texts = ["good day", "bad", POISON, "", "the day"] * 40
    batches = [
        batch(*(envelope(start + place, text) for place, text in enumerate(texts[start : start + 7])))
        for start in range(0, len(texts), 7)
    ]
    out: list[Batch] = []
    flow = Dataflow("analyse_test")
    source = op.input("in", flow, TestingSource(batches, batch_size=3))
    before = REGISTRY.get_sample_value("groundswell_step_seconds_count", {"step": "analyse"}) or 0

    with open_engine(tmp_path, NAME) as engine:
        analyser = Analyser(partial(engine.submit, tasks=["sentiment"]), clock)
        op.output("out", analyse_step("analyse", source, analyser), TestingSink(out))
        if workers == 1:
            run_main(flow)
        else:
            cluster_main(flow, [], 0, worker_count_per_proc=workers)

    found = {found.id: found for found in documents(*out) if found}
    assert len(found) == len(texts)
    for number, text in enumerate(texts):
        answer = found[str(number)]
        assert answer.text == text
        assert answer.indexed_at == NOW
        if text == POISON:
            assert (answer.sentiment, answer.model) == (None, None)
        else:
            assert answer.sentiment is not None
            assert answer.sentiment.scores == pytest.approx(tiny_scores(text), abs=1e-5)
            assert answer.model == ModelRef(NAME, version)
    assert (REGISTRY.get_sample_value("groundswell_step_seconds_count", {"step": "analyse"}) or 0) > before
