"""The benchmark of models on a processor: its measurements run here on a tiny BERT, its peers by an oracle."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.inference import (
    BATCH_SIZES,
    BareLoop,
    Recording,
    beside_pipeline,
    beside_three_models,
    best_size,
    latency,
    main,
    require_same,
)
from benchmarks.report import Row
from groundswell.records import Analysis
from inference.model import Model
from inference.tasks import SENTIMENT
from inference.version import ModelVersion
from tests.inference.tiny_bert import TinyBert, tiny_bert_draft, tiny_bert_scores, unproved

TEXTS = ["a good day", "rain", "never a bad night in the city", "i love it"] * 3


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return unproved(tmp_path_factory.mktemp("models"), tiny_bert_draft(max_windows=1))


def oracle(texts: Sequence[str], _batch_size: int) -> list[dict[str, float]]:
    return [tiny_bert_scores(TinyBert(), text)[SENTIMENT] for text in texts]


def test_without_the_peers_packages_it_says_so_and_invents_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.inference.NEEDED", ("no_such_package",))
    main([])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "inference is not measured: no_such_package missing, install groundswell[train]\n"


def test_the_operator_is_measured_beside_a_pipeline_and_a_bare_loop(version: ModelVersion) -> None:
    rows = beside_pipeline("tiny", version, oracle, TEXTS, rounds=1, threads=1)
    assert [(row.name.partition(" peer: ")[2].partition(",")[0], row.unit) for row in rows] == [
        ("pipeline", "texts/s"),
        ("pipeline", "texts/s a processor"),
        ("bare loop over the same batches", "texts/s"),
        ("bare loop over the same batches", "texts/s a processor"),
    ]
    assert all(_both(row) for row in rows)


def test_a_peer_that_computes_something_else_is_no_peer(version: ModelVersion) -> None:
    with pytest.raises(AssertionError):
        beside_pipeline("tiny", version, lambda texts, size: oracle(texts, size)[::-1], TEXTS, rounds=1, threads=1)


def test_one_pass_is_measured_beside_a_model_for_each_task(version: ModelVersion) -> None:
    rows = beside_three_models(version, TEXTS, rounds=1, threads=1)
    assert [row.unit for row in rows] == ["texts/s", "texts/s a processor"]
    assert all(_both(row) for row in rows)


def test_latency_is_measured_beside_its_limit(version: ModelVersion) -> None:
    highest, middle = latency(version, TEXTS, seconds=0.2, threads=1)
    assert _both(highest)
    assert 0 < middle.ours <= highest.ours


def test_the_bare_loop_runs_the_batches_that_the_device_had(version: ModelVersion) -> None:
    recording = Recording(Model(version, threads=1))
    encoded = recording.encode(TEXTS[:2])
    rows = [row for text in encoded for row in text.rows]
    outputs = recording.run(rows, 16, recording.outputs([SENTIMENT]))
    answers = recording.analyse(encoded, outputs, [SENTIMENT])
    assert all(isinstance(answer, Analysis) for answer in answers)
    require_same(answers, oracle(TEXTS[:2], 1))
    assert recording.batches == [(rows, 16)]
    assert len(recording.seconds) == 1
    loop = BareLoop(version, threads=1)
    loop.take(recording.batches)
    loop.run()


def test_batch_sizes_are_tried_on_the_texts() -> None:
    tried: list[int] = []
    assert best_size(lambda texts, size: tried.append(size), TEXTS) in BATCH_SIZES
    assert tried[:2] == [1, 1]


def _both(row: Row) -> bool:
    return row.ours > 0 and row.peer is not None and row.peer > 0
