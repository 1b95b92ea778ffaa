"""``groundswell classify``: by a tiny cross-encoder, by tiny embeddings and by evidence, against what these say."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from math import isclose
from pathlib import Path

import pytest

from cli.main import main
from tests.inference.tiny_bert import NAME, NLI_HEADS, TinyBert, published_bert, tiny_bert_scores
from tests.inference.tiny_topics import published_evidence

Classify = Callable[..., tuple[int, str, str]]

TEXT = "the train was late in the rain"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "models"
    published_bert(place, embedding=384, embedding_space="one")
    return place


@pytest.fixture
def classify(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Classify:
    options = [
        f"models.repository={root}",
        f"models.posts={NAME}",
        f"job.data_dir={tmp_path}/data",
        "models.threads=1",
        "models.buckets=[32]",
    ]

    def run(*words: str, **changes: str) -> tuple[int, str, str]:
        given = [*options, *(f"{key.replace('__', '.')}={value}" for key, value in changes.items())]
        code = main(["classify", *words, *(word for option in given for word in ("--set", option))])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def reader(root: Path) -> TinyBert:
    """The repository holds a cross-encoder: this one."""
    published_bert(root, 2, pairs=True, name="nli")
    return TinyBert(2, heads=NLI_HEADS, embedding=0)


def entailed(reader: TinyBert, label: str) -> tuple[float, float]:
    """What the cross-encoder says: entailment, and contradiction."""
    said = tiny_bert_scores(reader, (TEXT, f"this text is about {label} ."))["nli"]
    return said["entailment"], said["contradiction"]


def test_labels_compete_by_entailment_where_there_is_a_cross_encoder(classify: Classify, reader: TinyBert) -> None:
    code, out, _ = classify("--label", "rain", "--label", "love", "--json", TEXT)
    assert code == 0
    found = json.loads(out)
    assert found["text"] == TEXT
    assert isclose(sum(found["scores"].values()), 1, abs_tol=1e-3)
    odds = {label: entailed(reader, label)[0] / (1 - entailed(reader, label)[0]) for label in ("rain", "love")}
    assert isclose(found["scores"]["rain"], odds["rain"] / sum(odds.values()), abs_tol=0.01)


@pytest.mark.parametrize("labels", [("rain",), ("rain", "love")])
def test_one_label_alone_and_each_of_several_has_a_probability_of_its_own(
    classify: Classify, reader: TinyBert, labels: tuple[str, ...]
) -> None:
    code, out, _ = classify(*(word for label in labels for word in ("--label", label)), "--several", "--json", TEXT)
    assert code == 0
    for label in labels:
        yes, no = entailed(reader, label)
        assert isclose(json.loads(out)["scores"][label], yes / (yes + no), abs_tol=0.01)
    assert classify("--label", "rain", "--json", TEXT)[1] == classify("--label", "rain", "--several", "--json", TEXT)[1]


def test_without_a_cross_encoder_embeddings_say_what_is_near(classify: Classify) -> None:
    code, out, err = classify("--label", TEXT, "--label", "we love the game", f"This is about {TEXT}.")
    assert code == 0
    first, second = out.splitlines()
    assert first.startswith(TEXT)
    assert "we love the game" in second
    assert err.startswith(f"by embedding, {NAME}@")


def test_by_embedding_one_label_is_weighed_by_its_evidence(classify: Classify, root: Path) -> None:
    code, _, err = classify("--label", "flood", "--by", "embedding", TEXT)
    assert code == 1
    assert "no model 'topic-evidence'" in err
    published_evidence(root, "one")

    def probability(text: str) -> float:
        code, out, _ = classify("--label", "river flood", "--label", "storm", "--several", "--json", text)
        assert code == 0
        return float(json.loads(out)["scores"]["river flood"])

    assert probability("the river is high, a flood comes") > 0.5 > probability("the game is on")


def test_evidence_of_another_space_is_refused(classify: Classify, root: Path) -> None:
    published_evidence(root, "elsewhere")
    code, _, err = classify("--label", "flood", TEXT)
    assert code == 1
    assert "weighs vectors of the space elsewhere, and models.posts gives one" in err


@pytest.mark.usefixtures("reader")
def test_a_file_gives_a_json_line_a_text(classify: Classify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(f'{{"id": {number}, "text": "rain {number}"}}\n' for number in range(300)))
    code, out, err = classify("--label", "rain", "--label", "love", "--file", str(path))
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, [line["id"] for line in lines]) == (0, list(range(300)))
    assert all(set(line) == {"id", "text", "label", "score", "scores"} for line in lines)
    assert err.startswith("by entailment, nli@")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"rain 7\n")))
    code, out, _ = classify("--label", "rain", "--label", "love", "--file", "-")
    assert (code, json.loads(out)) == (0, {key: value for key, value in lines[7].items() if key != "id"})


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((TEXT,), 2, "name at least one label: --label"),
        (("--label", " ", TEXT), 2, "--label is empty"),
        (("--label", "a b", "--label", "a  b", TEXT), 2, "--label 'a b' is there twice"),
        (("--label", "rain"), 2, "give one text, or --file FILE"),
        (("--label", "rain", "--file", "x", TEXT), 2, "give one text, or --file FILE"),
        (("--label", "rain", "  "), 2, "the text is empty"),
        (("--label", "rain", "--file", "nowhere.txt"), 1, "--file nowhere.txt: No such file"),
        (("--label", "rain", "--file", "/dev/null"), 1, "/dev/null holds no text"),
        (("--label", "rain", "--by", "entailment", TEXT), 1, "the repository holds no model nli: publish one"),
    ],
)
def test_bad_input_is_told(classify: Classify, words: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = classify(*words)
    assert (found, out) == (code, "")
    assert said in err


@pytest.mark.parametrize(("posts", "said"), [("", "models are turned off"), ("absent", "no model 'absent'")])
def test_a_model_that_is_not_there_is_told(classify: Classify, posts: str, said: str) -> None:
    code, out, err = classify("--label", "rain", "--label", "love", TEXT, models__posts=posts)
    assert (code, out) == (1, "")
    assert said in err
