"""An evidence model proves itself on golden rows of features, which it knows by their names."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.evidence_model import EvidenceFile, EvidenceModel, Weights, probabilities
from inference.manifest import EVIDENCE_MODEL
from inference.repository import Repository
from model_export.evidence_fit import NAME, Rows, calibration_error, common_words, draft, fit
from model_export.publish import publish
from model_export.verify import verify

NAMES = ("near", "said")


def rows(seed: int = 1, posts: int = 400) -> Rows:
    """Posts of which the near ones are about it, and those that say it."""
    draw = np.random.default_rng(seed)
    about = draw.random(posts) < 0.5
    return Rows("storm", {name: draw.normal(about * 2.0, 1.0) for name in NAMES}, about)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelRef]:
    root = tmp_path_factory.mktemp("models")
    file = EvidenceFile(forms={"posts": fit([rows()], NAMES)}, texts=3, words={2: "a b", 3: "the"})
    return root, publish(root, draft(file, "space-1", {}, (), {"posts": [rows(2)]}, "# card\n"))


def test_a_published_one_verifies_and_answers_as_it_was_fitted(published: tuple[Path, ModelRef]) -> None:
    root, _ = published
    repository = Repository(root)
    assert verify(repository, NAME) == []
    model = EvidenceModel.load(repository.open(NAME))
    found = rows(3)
    scores = probabilities(model.logits("posts", found.features))
    assert scores[found.about].mean() > 0.85 and scores[~found.about].mean() < 0.15
    assert calibration_error(scores, found.about) < 0.06
    assert (model.space, model.knows("the"), model.knows("c")) == ("space-1", True, False)
    assert model.share("the") > model.share("a") > model.share("c") > 0


def test_one_that_answers_otherwise_than_its_manifest_says_is_found_out(
    published: tuple[Path, ModelRef], tmp_path: Path
) -> None:
    root, _ = published
    version = Repository(root).open(NAME)
    file = msgspec.json.decode(version.read(EVIDENCE_MODEL), type=EvidenceFile)
    moved = {"posts": msgspec.structs.replace(file.forms["posts"], bias=1.0)}
    made = draft(msgspec.structs.replace(file, forms=moved), "space-1", {}, (), {"posts": [rows(2)]}, "")
    golden = msgspec.structs.replace(made, golden=version.manifest.golden)
    with pytest.raises(ModelError, match="its manifest expects"):
        publish(tmp_path, golden)


def test_features_go_by_their_names_and_one_that_is_missing_is_an_error() -> None:
    model = EvidenceModel(
        EvidenceFile(forms={"posts": Weights(0.0, {"a": 1.0, "b": -2.0})}, texts=1, words={}), "m", None
    )
    assert model.logits("posts", {"b": np.array([1.0]), "a": np.array([3.0]), "c": np.array([9.0])}).tolist() == [1.0]
    with pytest.raises(ModelError, match="fit the evidence model again"):
        model.logits("posts", {"a": np.array([3.0])})
    with pytest.raises(ModelError, match="fit the evidence model again"):
        model.logits("words", {})


@pytest.mark.parametrize(
    "file",
    [
        EvidenceFile(forms={}, texts=1, words={}),
        EvidenceFile(forms={"posts": Weights(0.0, {})}, texts=0, words={}),
        EvidenceFile(forms={"posts": Weights(float("nan"), {})}, texts=1, words={}),
    ],
)
def test_a_file_that_cannot_be_is_refused(file: EvidenceFile) -> None:
    with pytest.raises(ModelError, match="fit it again"):
        EvidenceModel(file, "m", None)


def test_every_event_counts_the_same_whatever_its_posts() -> None:
    small, large = rows(1, 200), rows(2, 4_000)._replace(event="flood")
    again = fit([small, large, large], NAMES)
    once = fit([small, large], NAMES)
    assert again.weights == pytest.approx(once.weights, abs=1e-2)


def test_words_that_few_posts_have_are_not_counted() -> None:
    assert common_words([{"a", "b"}, {"a"}, {"a", "c"}, {"c"}, {"c"}]) == (5, {3: "a c"})


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_a_calibration_error_lies_between_nought_and_one(found: list[tuple[float, bool]]) -> None:
    scores, about = np.array([score for score, _ in found]), np.array([yes for _, yes in found])
    assert 0 <= calibration_error(scores, about) <= 1
    assert calibration_error(about.astype(float), about) == 0
