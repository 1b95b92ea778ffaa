"""The models of the benchmark, made small: the pipeline and the engine read the very same file alike."""

from __future__ import annotations

from pathlib import Path

from tests.training import requires_training

pytestmark = requires_training()

from benchmarks.bert_models import classifiers, pipeline, three_heads
from benchmarks.inference import require_same
from groundswell.records import Analysis
from inference.engine import Engine
from inference.manifest import Tokens
from inference.model import Model
from inference.routing import FixedRouter
from inference.tasks import EMBEDDING, EMOTION, SENTIMENT
from tests.model_export.tiny_base import tiny_base

TOKENS = Tokens(max_length=16)
TEXTS = ["a good day", "", "never a bad night in the city " * 5, "i love it"]


def test_pipeline_and_engine_give_the_same_in_every_precision(tmp_path: Path) -> None:
    versions = classifiers(tmp_path / "models", tiny_base(tmp_path / "base"), TOKENS, ["fp32", "int8"])
    assert list(versions) == ["fp32", "int8"]
    for precision, version in versions.items():
        assert version.graph()[0] == precision
        with Engine(FixedRouter(Model(version, threads=1))) as engine:
            answers = engine.submit(TEXTS, [SENTIMENT])
        require_same(answers, pipeline(version, 1)(TEXTS, 2))


def test_three_heads_in_one_graph(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    version = three_heads(tmp_path / "models", tiny_base(tmp_path / "base"), TOKENS)
    with Engine(FixedRouter(Model(version, threads=1))) as engine:
        (answer,) = engine.submit(["a good day"], [SENTIMENT, EMOTION, EMBEDDING])
    assert isinstance(answer, Analysis)
    assert sorted(answer.scores) == [EMOTION, SENTIMENT]
    assert answer.embedding is not None
