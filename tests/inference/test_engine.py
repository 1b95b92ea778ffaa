"""The engine on a tiny real graph: what it answers, what it isolates, what it refuses to serve."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell.errors import ModelError
from groundswell.metrics import REGISTRY
from groundswell.records import Analysis
from inference.engine import Engine
from inference.manifest import CALIBRATION, LABELS, MODEL, VOCABULARY
from inference.rows import DEVICE, NOT_FINITE, RowError
from tests.inference.odd_texts import ODD_TEXTS
from tests.inference.tiny import NAME, NOTHING, POISON, published, remanifest, rewrite, tiny_draft, tiny_scores

MODELS = {"sentiment": f"{NAME}@champion"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    root = tmp_path_factory.mktemp("models")
    published(root)
    return Engine(root, MODELS, threads=1, max_rows=8, max_cells=64)


def scored(answer: Analysis | RowError) -> dict[str, float]:
    assert isinstance(answer, Analysis)
    found = answer.scores["sentiment"]
    assert found.label == max(found.scores, key=found.scores.__getitem__)
    assert found.score == found.scores[found.label]
    return found.scores


def test_answers_each_text_in_order_with_labels_by_name(engine: Engine) -> None:
    texts = ["good day", "bad", "the day", "not good", "", "unheard of"]
    answers = engine.submit(texts)
    assert [scored(answer) for answer in answers] == [pytest.approx(tiny_scores(text), abs=1e-5) for text in texts]
    assert [answer.scores["sentiment"].label for answer in answers[:3] if isinstance(answer, Analysis)] == [
        "positive",
        "negative",
        "neutral",
    ]
    assert all(isinstance(answer, Analysis) and answer.model == engine.ref for answer in answers)


def test_probabilities_are_calibrated(tmp_path: Path) -> None:
    published(tmp_path, temperature=2.0)
    (answer,) = Engine(tmp_path, MODELS, threads=1).submit(["good day"])
    assert scored(answer) == pytest.approx(tiny_scores("good day", temperature=2.0), abs=1e-5)


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["good", "bad", "not", "day", POISON, NOTHING]), max_size=5).map(" ".join)))
def test_poison_takes_no_neighbour_with_it(engine: Engine, texts: list[str]) -> None:
    for text, answer in zip(texts, engine.submit(texts), strict=True):
        if POISON in text:
            assert isinstance(answer, RowError)
            assert answer.cause == DEVICE
            assert "out of data bounds" in answer.detail
        elif NOTHING in text:
            assert answer == RowError(NOT_FINITE, "sentiment is not finite")
        else:
            assert scored(answer) == pytest.approx(tiny_scores(text), abs=1e-5)


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_texts_have_an_answer_and_change_no_other(engine: Engine, text: str) -> None:
    first, odd, last = engine.submit(["good day", text, "bad"])
    assert sum(scored(odd).values()) == pytest.approx(1, abs=1e-5)
    assert scored(first) == pytest.approx(tiny_scores("good day"), abs=1e-5)
    assert scored(last) == pytest.approx(tiny_scores("bad"), abs=1e-5)


def test_says_what_was_truncated(engine: Engine) -> None:
    whole, cut = engine.submit(["good", "good " * 10_000])
    assert isinstance(whole, Analysis)
    assert isinstance(cut, Analysis)
    assert (whole.truncated, cut.truncated) == (False, True)


def test_nothing_is_asked_and_nothing_answered(engine: Engine) -> None:
    assert engine.submit([]) == []


def test_more_texts_than_are_held_at_once(engine: Engine) -> None:
    texts = [f"{'good' if number % 3 else 'bad'} w{number}" for number in range(10_000)]
    labels = [max(scored(answer).items(), key=lambda item: item[1])[0] for answer in engine.submit(texts)]
    assert labels == ["positive" if number % 3 else "negative" for number in range(10_000)]


def test_threads_share_an_engine(engine: Engine) -> None:
    texts = ["good day", "bad", POISON, "the day"] * 50
    expected = engine.submit(texts)
    found: list[list[Analysis | RowError]] = []
    threads = [threading.Thread(target=lambda: found.append(engine.submit(texts))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8


def test_counts_rows_and_errors_and_names_the_model(tmp_path: Path) -> None:
    version = published(tmp_path, name="counted").name
    engine = Engine(tmp_path, {"sentiment": "counted"}, threads=1)
    engine.submit(["good", POISON, "bad"])
    info = {"model": "counted", "version": version, "provider": "CPUExecutionProvider"}
    assert REGISTRY.get_sample_value("groundswell_model_info", info) == 1
    assert REGISTRY.get_sample_value("groundswell_inference_rows_total", {"model": "counted"}) == 2
    assert REGISTRY.get_sample_value("groundswell_inference_errors_total", {"model": "counted"}) == 1
    engine.close()
    engine.close()
    assert REGISTRY.get_sample_value("groundswell_model_info", info) is None
    with pytest.raises(ModelError, match="closed"):
        engine.submit(["good"])


def test_a_model_that_answers_otherwise_than_when_published_never_serves(tmp_path: Path) -> None:
    folder = published(tmp_path)
    rewrite(folder, CALIBRATION, lambda content: content.replace(b"1.0", b"1.2"))
    with pytest.raises(ModelError, match=f"{NAME}@{folder.name} must not serve: the golden input 'good day' gives"):
        Engine(tmp_path, MODELS)


def test_labels_in_another_order_never_serve(tmp_path: Path) -> None:
    rewrite(published(tmp_path), LABELS, lambda _: b'{"sentiment": ["positive", "neutral", "negative"]}')
    with pytest.raises(ModelError, match="golden input"):
        Engine(tmp_path, MODELS)


@pytest.mark.parametrize(
    "labels",
    [
        b"{}",
        b'{"sentiment": ["negative", "neutral"]}',
        b'{"sentiment": ["negative", "neutral", "good"]}',
        b'{"sentiment": ["negative", "neutral", "positive", "positive"]}',
        b'{"sentiment": ["negative", "negative", "positive"]}',
    ],
)
def test_labels_that_are_not_the_task_s_never_serve(tmp_path: Path, labels: bytes) -> None:
    rewrite(published(tmp_path), LABELS, lambda _: labels)
    with pytest.raises(ModelError, match=r"its labels for sentiment are .*, they must be"):
        Engine(tmp_path, MODELS)


@pytest.mark.parametrize("calibration", [b"{}", b'{"sentiment": {"temperature": 0}}', b'{"sentiment": 1}'])
def test_a_calibration_that_cannot_be_used_never_serves(tmp_path: Path, calibration: bytes) -> None:
    rewrite(published(tmp_path), CALIBRATION, lambda _: calibration)
    with pytest.raises(ModelError, match="calibration"):
        Engine(tmp_path, MODELS)


@pytest.mark.parametrize(("name", "content"), [(MODEL, b"not a graph"), (VOCABULARY, b'{"words": []}')])
def test_files_that_are_whole_but_not_what_they_should_be_never_serve(
    tmp_path: Path, name: str, content: bytes
) -> None:
    rewrite(published(tmp_path), name, lambda _: content)
    with pytest.raises(ModelError, match="must not serve"):
        Engine(tmp_path, MODELS)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"encoder": "wordpiece"}, "'wordpiece', which this release does not know"),
        ({"heads": []}, r"no head for sentiment \(it has none\)"),
        ({"golden": []}, "no golden inputs"),
        ({"golden": [{"text": "good day", "expected": {}}]}, "golden input 'good day' gives"),
        ({"inputs": [{"name": "tokens", "dtype": "int32", "shape": ["rows", "length"]}]}, "one input, 'ids'"),
        ({"outputs": [{"name": "sentiment", "dtype": "float32", "shape": ["rows", 4]}]}, "one column a label"),
        ({"inputs": [{"name": "ids", "dtype": "int64", "shape": ["rows", "length"]}]}, "its manifest says"),
    ],
)
def test_a_manifest_that_does_not_fit_the_model_never_serves(
    tmp_path: Path, fields: dict[str, object], reason: str
) -> None:
    remanifest(published(tmp_path), **fields)
    with pytest.raises(ModelError, match=reason):
        Engine(tmp_path, MODELS)


def test_a_golden_input_that_fails_never_serves(tmp_path: Path) -> None:
    golden = msgspec.to_builtins(tiny_draft().golden[0])
    remanifest(published(tmp_path), golden=[{**golden, "text": POISON}])
    with pytest.raises(ModelError, match=f"golden input '{POISON}' fails"):
        Engine(tmp_path, MODELS)


def test_tasks_that_cannot_be_served_together_are_refused(tmp_path: Path) -> None:
    published(tmp_path)
    published(tmp_path, name="other")
    with pytest.raises(ModelError, match="must share one model, not 2"):
        Engine(tmp_path, {"sentiment": NAME, "emotion": "other"})
    with pytest.raises(ModelError, match="must share one model, not 0"):
        Engine(tmp_path, {})
    with pytest.raises(ModelError, match="no head for emotion"):
        Engine(tmp_path, {"sentiment": NAME, "emotion": NAME})
    with pytest.raises(ModelError, match="no task 'irony'"):
        Engine(tmp_path, {"irony": NAME})
