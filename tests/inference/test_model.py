"""A version that serves: what it answers, against an oracle; and everything for which it must not serve."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell.errors import ModelError
from groundswell.records import Analysis
from inference.manifest import (
    CALIBRATION,
    LABELS,
    MODEL,
    TOKENIZER,
    Calibration,
    Golden,
    Head,
    Isotonic,
    Tensor,
    Tokens,
)
from inference.model import Model
from inference.repository import Repository, default_repository
from inference.rows import NOT_FINITE, RowError, Text
from inference.session import DeviceError
from tests.inference import tiny
from tests.inference.odd_texts import ODD_TEXTS
from tests.inference.tiny_bert import (
    HEADS,
    NLI_HEADS,
    NOTHING,
    POISON,
    TinyBert,
    published_bert,
    tiny_bert_draft,
    tiny_bert_embedding,
    tiny_bert_scores,
    unproved,
)

TEXTS = ["what a good day!", "", "not bad", "i hate rain :("]
PAIRS = [("a train in the rain", "it rains"), ("", ""), ("good", "")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return opened(tmp_path_factory.mktemp("models"), poison=True)


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return opened(tmp_path_factory.mktemp("models"), pairs=True)


def opened(root: Path, seed: int = 0, **options: Any) -> Model:
    folder = published_bert(root, seed, **options)
    return Model(Repository(root).open(f"{folder.parent.name}@{folder.name}"), threads=1)


def ask(
    model: Model, texts: Sequence[Text], tasks: Collection[str] | None = None, length: int = 0
) -> list[Analysis | RowError]:
    """All texts in one batch, padded to ``length`` or to the longest row."""
    asked = model.tasks if tasks is None else tasks
    encoded = model.encode(texts)
    rows = [row for text in encoded for row in text.rows]
    outputs = model.run(rows, max(length, *(row.size for row in rows), 1), model.outputs(asked))
    return model.analyse(encoded, outputs, asked)


def analysis(answer: Analysis | RowError) -> Analysis:
    assert isinstance(answer, Analysis)
    return answer


def scores(answer: Analysis | RowError) -> dict[str, dict[str, float]]:
    return {task: found.scores for task, found in analysis(answer).scores.items()}


def close(answer: Analysis | RowError, other: Analysis | RowError, tolerance: float = 1e-4) -> None:
    """Both say the same, as far as arithmetic goes."""
    first, second = scores(answer), scores(other)
    assert first.keys() == second.keys()
    assert all(first[task] == pytest.approx(second[task], abs=tolerance) for task in first)
    one, two = (np.frombuffer(analysis(found).embedding or b"", dtype=np.int8).astype(int) for found in (answer, other))
    assert np.abs(one - two).max(initial=0) <= 1


def test_one_pass_answers_every_head_as_the_oracle_does(model: Model) -> None:
    bert = TinyBert(poison=True)
    for text, answer in zip(TEXTS, ask(model, TEXTS), strict=True):
        found, expected = scores(answer), tiny_bert_scores(bert, text)
        assert found.keys() == HEADS.keys()
        assert all(found[task] == pytest.approx(expected[task], abs=1e-5) for task in HEADS)
        embedding = np.frombuffer(analysis(answer).embedding or b"", dtype=np.int8).astype(int)
        assert np.abs(embedding - np.frombuffer(tiny_bert_embedding(bert, text), dtype=np.int8)).max() <= 1
        assert analysis(answer).embedding_space == "tiny-0"
        assert analysis(answer).model == model.ref


def test_pairs_are_read_as_the_oracle_does(nli: Model) -> None:
    bert = TinyBert(heads=NLI_HEADS, embedding=0)
    for pair, answer in zip(PAIRS, ask(nli, PAIRS), strict=True):
        assert scores(answer)["nli"] == pytest.approx(tiny_bert_scores(bert, pair)["nli"], abs=1e-5)
        assert (analysis(answer).embedding, analysis(answer).embedding_space) == (None, None)


def test_a_graph_without_kinds_of_tokens(tmp_path: Path) -> None:
    model = opened(tmp_path, token_types=False)
    expected = tiny_bert_scores(TinyBert(token_types=False), "not bad")
    assert scores(*ask(model, ["not bad"]))["sentiment"] == pytest.approx(expected["sentiment"], abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([*TEXTS, "good " * 30, "day"]), min_size=1, max_size=6), st.integers(0, 60))
def test_padding_and_neighbours_change_nothing(model: Model, texts: list[str], length: int) -> None:
    for text, answer in zip(texts, ask(model, texts, length=length), strict=True):
        close(answer, ask(model, [text])[0])


def test_long_texts_are_read_through_windows(tmp_path: Path) -> None:
    model = opened(tmp_path, max_length=10, overlap=2, max_windows=2)
    alone = opened(tmp_path, name="alone", max_length=10, overlap=2, max_windows=1)
    # Ten tokens hold eight words: of 13, the first window adds 8 and the second, which shares two, 5.
    words = ["good", "day", "bad", "city", "love", "hate", "rain", "train", "sad", "happy", "angry", "night", "no"]
    (answer,) = ask(model, [" ".join(words)])
    outputs = ("sentiment", "embedding")
    rows = [alone.encode([" ".join(part)])[0].rows[0] for part in (words[:8], words[6:])]
    found = alone.run(rows, 10, outputs)
    weights = np.array([[8 / 13], [5 / 13]])
    logits = (found["sentiment"] * weights).sum(axis=0)
    powers = np.exp(logits) / np.exp(logits).sum()
    assert list(scores(answer)["sentiment"].values()) == pytest.approx(powers, abs=1e-5)
    vector = (found["embedding"] * weights).sum(axis=0)
    quantised = np.frombuffer(analysis(answer).embedding or b"", dtype=np.int8)
    assert quantised == pytest.approx(vector / np.abs(vector).max() * 127, abs=0.6)
    assert not analysis(answer).truncated
    assert analysis(*ask(model, [" ".join(words * 2)])).truncated
    assert analysis(*ask(alone, [" ".join(words)])).truncated


def test_only_what_is_asked_for_is_answered(model: Model) -> None:
    assert model.tasks == {"sentiment", "emotion", "embedding"}
    assert model.outputs(["sentiment"]) == ("sentiment",)
    whole = analysis(*ask(model, ["not bad"]))
    (answer,) = ask(model, ["not bad"], ["emotion"])
    assert scores(answer) == {"emotion": whole.scores["emotion"].scores}
    assert (analysis(answer).embedding, analysis(answer).embedding_space) == (None, None)
    (answer,) = ask(model, ["not bad"], ["embedding"])
    assert analysis(answer).scores == {}
    assert analysis(answer).embedding == whole.embedding
    with pytest.raises(ModelError, match=r"does not serve nli \(it serves embedding, emotion, sentiment\)"):
        model.outputs(["nli"])


def test_tasks_that_are_not_wanted_are_not_served(tmp_path: Path) -> None:
    published_bert(tmp_path)
    model = Model(Repository(tmp_path).open("tiny-bert"), tasks=["emotion"], threads=1, buckets=[(2, 8), (4, 32)])
    assert model.tasks == {"emotion"}
    expected = tiny_bert_scores(TinyBert(), "not bad")
    assert scores(*ask(model, ["not bad"])) == {"emotion": pytest.approx(expected["emotion"], abs=1e-5)}


def test_labels_in_another_order_in_the_graph_give_the_same_scores(tmp_path: Path) -> None:
    turned = {task: list(reversed(labels)) for task, labels in HEADS.items()}
    plain, other = opened(tmp_path), opened(tmp_path, heads=turned)
    assert plain.ref != other.ref
    for answer, same in zip(ask(plain, TEXTS), ask(other, TEXTS), strict=True):
        close(answer, same, tolerance=1e-6)
        assert all(
            analysis(answer).scores[task].label == analysis(same).scores[task].label for task in analysis(answer).scores
        )


def test_a_head_that_only_the_manifest_knows(tmp_path: Path) -> None:
    heads = {**HEADS, "genre": ["politics", "sport", "weather", "arts", "other"]}
    answer = analysis(*ask(opened(tmp_path, heads=heads), ["rain"]))
    expected = tiny_bert_scores(TinyBert(heads=heads), "rain")["genre"]
    assert answer.scores["genre"].scores == pytest.approx(expected, abs=1e-5)


def test_probabilities_are_calibrated(tmp_path: Path) -> None:
    (answer,) = ask(opened(tmp_path, temperature=3.0), ["not bad"])
    expected = tiny_bert_scores(TinyBert(), "not bad", temperature=3.0)["sentiment"]
    assert scores(answer)["sentiment"] == pytest.approx(expected, abs=1e-5)


def test_curves_of_labels_are_applied(tmp_path: Path) -> None:
    draft = tiny_bert_draft(heads={"spam": ["no", "yes"]}, embedding=0)
    curves = {"yes": Isotonic(x=(0, 1), y=(0, 0.5)), "no": Isotonic(x=(0, 1), y=(0, 1))}
    calibration = msgspec.json.encode({"spam": Calibration(temperature=1, isotonic=curves)})

    def mended(probabilities: dict[str, float]) -> dict[str, float]:
        total = probabilities["no"] + probabilities["yes"] / 2
        return {"no": probabilities["no"] / total, "yes": probabilities["yes"] / 2 / total}

    golden = [msgspec.structs.replace(one, expected={"spam": mended(one.expected["spam"])}) for one in draft.golden]
    draft = msgspec.structs.replace(draft, files={**draft.files, CALIBRATION: calibration}, golden=tuple(golden))
    (answer,) = ask(Model(unproved(tmp_path, draft), threads=1), ["rain"])
    expected = mended(tiny_bert_scores(TinyBert(heads={"spam": ["no", "yes"]}, embedding=0), "rain")["spam"])
    assert scores(answer)["spam"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_texts_have_an_answer_and_change_no_other(model: Model, nli: Model, text: str) -> None:
    first, odd, last = ask(model, ["good day", text, "bad"])
    assert sum(scores(odd)["sentiment"].values()) == pytest.approx(1, abs=1e-5)
    close(first, ask(model, ["good day"])[0])
    close(last, ask(model, ["bad"])[0])
    for answer in ask(nli, [(text, "good"), ("good", text)]):
        assert sum(scores(answer)["nli"].values()) == pytest.approx(1, abs=1e-5)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=())), min_size=1, max_size=4))
def test_any_text_has_an_answer(model: Model, texts: list[str]) -> None:
    for answer in ask(model, texts):
        assert all(sum(found.values()) == pytest.approx(1, abs=1e-5) for found in scores(answer).values())


def test_what_the_device_cannot_do_and_what_is_no_number(model: Model) -> None:
    with pytest.raises(DeviceError):
        ask(model, ["good", POISON])
    good, nothing = ask(model, ["good", NOTHING])
    assert isinstance(good, Analysis)
    assert isinstance(nothing, RowError)
    assert nothing.cause == NOT_FINITE


def test_nothing_is_asked_and_nothing_answered(model: Model) -> None:
    assert model.encode([]) == []
    assert model.analyse([], {}, model.tasks) == []


def test_the_shipped_baseline_serves() -> None:
    model = Model(Repository(default_repository()).open("sentiment-baseline"), threads=1)
    good, bad, _ = ask(model, ["I love this wonderful day", "worst service ever, I hate it", ""])
    assert analysis(good).scores["sentiment"].label == "positive"
    assert analysis(bad).scores["sentiment"].label == "negative"
    close(good, ask(model, ["I love this wonderful day"])[0])
    with pytest.raises(ModelError, match="single texts"):
        model.encode([("a", "b")])


def replaced(name: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda fields: {"files": {**fields["files"], name: change(fields["files"][name])}}


def relabelled(labels: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return replaced(LABELS, lambda _: msgspec.json.encode(labels))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (relabelled({**HEADS, "sentiment": ["positive", "neutral", "negative"]}), "golden input .* gives sentiment"),
        (relabelled({**HEADS, "sentiment": ["good", "neutral", "bad"]}), "its labels for sentiment are .*, they must"),
        (relabelled({"emotion": HEADS["emotion"]}), "its labels for sentiment are"),
        (relabelled(["negative"]), "labels.json"),
        (replaced(CALIBRATION, lambda _: b"{}"), "its calibration says nothing of"),
        (
            replaced(CALIBRATION, lambda content: content.replace(b"1.0", b"1.5", 1)),
            "golden input 'what a good day!' gives sentiment",
        ),
        (replaced(MODEL, lambda content: content[: len(content) // 2]), "cannot load the graph"),
        (replaced(MODEL, lambda _: TinyBert(1).graph()), "golden input"),
        (replaced(MODEL, lambda _: TinyBert(token_types=False).graph()), "the graph's inputs are"),
        (replaced(TOKENIZER, lambda _: b"{}"), "its tokenizer cannot be used"),
        (replaced(TOKENIZER, lambda content: content.replace(b'"good":', b'"gxxd":')), "golden input"),
        (lambda _: {"tokens": None}, "does not say how texts are cut into tokens"),
        (lambda _: {"tokens": Tokens(max_length=3)}, "its windows of 3 tokens"),
        (lambda _: {"encoder": "letters"}, "'letters', which this release does not know: update it"),
        (lambda _: {"golden": ()}, "no golden inputs"),
        (lambda _: {"embedding_space": None}, "names no embedding_space"),
        (lambda fields: {"heads": (*fields["heads"], Head(task="emotion", output="emotion"))}, "two heads for one"),
        (lambda _: {"heads": (Head(task="nli", output="emotion"),)}, "its labels for nli are"),
        (lambda _: {"heads": (Head(task="sentiment", output="emotion"),)}, "not one column a label"),
        (lambda _: {"heads": (Head(task="sentiment", output="absent"),)}, "not one column a label"),
        (lambda _: {"heads": ()}, "no heads"),
        (lambda fields: {"inputs": fields["inputs"][:1]}, "has the inputs input_ids, attention_mask"),
        (
            lambda fields: {"outputs": (*fields["outputs"], Tensor(name="x", dtype="float32", shape=("rows", 3)))},
            "its manifest says",
        ),
        (
            lambda fields: {"golden": tuple(msgspec.structs.replace(one, embedding=None) for one in fields["golden"])},
            "has no embedding of 32 dimensions",
        ),
        (
            lambda fields: {
                "golden": tuple(msgspec.structs.replace(one, embedding="7f" * 32) for one in fields["golden"])
            },
            "has a cosine of",
        ),
        (
            lambda fields: {"golden": tuple(msgspec.structs.replace(one, second="x") for one in fields["golden"])},
            "reads single texts, not pairs",
        ),
    ],
)
def test_a_version_that_does_not_fit_itself_never_serves(
    tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], reason: str
) -> None:
    draft = tiny_bert_draft()
    version = unproved(tmp_path, msgspec.structs.replace(draft, **change(msgspec.structs.asdict(draft))))
    with pytest.raises(ModelError, match=f"tiny-bert@{version.ref.version} must not serve: .*{reason}"):
        Model(version, threads=1)


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        ([9.0, *[0.0] * 9], None),
        ([11.0, *[0.0] * 19], "the golden input"),
        ([1.5] * 10, "over its 10 golden inputs sentiment lies 0.0150 from what it was on average, more than 0.01"),
        ([9.0, 9.0, 0.0, 0.0], "on average"),
    ],
)
def test_golden_answers_may_differ_a_little_on_average_and_more_on_one(
    tmp_path: Path, shares: list[float], reason: str | None
) -> None:
    """Another processor rounds otherwise, which hardly moves most answers, and a few by more."""

    def golden(share: float) -> Golden:
        scores = tiny.tiny_scores("good day")
        moved = {"positive": -0.01 * share, "negative": 0.01 * share}
        return Golden(
            text="good day", expected={"sentiment": {name: scores[name] + moved.get(name, 0) for name in scores}}
        )

    draft = tiny.tiny_draft(golden=tuple(map(golden, shares)), tolerance=0.01)
    version = unproved(tmp_path, draft)
    if reason is None:
        Model(version, threads=1)
    else:
        with pytest.raises(ModelError, match=reason):
            Model(version, threads=1)


def test_a_golden_input_that_the_device_cannot_do_never_serves(tmp_path: Path) -> None:
    draft = tiny_bert_draft(poison=True)
    golden = (msgspec.structs.replace(draft.golden[0], text=POISON),)
    with pytest.raises(ModelError, match="golden input 'poison' fails"):
        Model(unproved(tmp_path, msgspec.structs.replace(draft, golden=golden)), threads=1)


def test_tasks_that_it_cannot_serve_are_refused(tmp_path: Path) -> None:
    version = unproved(tmp_path, tiny_bert_draft())
    with pytest.raises(ModelError, match=r"no head for irony \(it has sentiment, emotion, embedding\)"):
        Model(version, tasks=["irony"], threads=1)
    with pytest.raises(ModelError, match="none was asked for"):
        Model(version, tasks=[], threads=1)


def test_a_precision_that_it_does_not_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"must not serve: .*fp16"):
        Model(unproved(tmp_path, tiny_bert_draft()), precision="fp16", threads=1)
