from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training import requires_training

pytestmark = requires_training()

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForSequenceClassification

from groundswell.errors import ModelError
from inference.session import Session
from model_export.draft import draft
from model_export.exported_run import ExportedRun
from model_export.import_folder import import_folder
from model_export.parity import LIMITS
from model_export.publish import publish
from model_export.run_files import Imported
from tests.model_export.tiny_folders import POSITIONS, WIDTH, edit, hugging_face, tokenizer_for

KINDS = ("bert", "roberta", "xlm-roberta", "distilbert", "deberta", "deberta-v2")
#: Those whose graphs take the kinds of tokens.
WITH_TYPES = ("bert",)
TEXTS = ("good day", "a", "the bad bad day was not good " * 3)


def through_the_graph(run: Path, texts: tuple[Any, ...], output: str) -> NDArray[Any]:
    """What the graph says of texts that share a batch, so that all but the longest are padded."""
    exported = ExportedRun(run)
    session = Session(exported.source, exported.inputs, exported.outputs, threads=1)
    rows = [encoded.rows[0] for encoded in exported.encoder().encode(texts)]
    return session.run(exported.encoder().collate(rows, max(row.size for row in rows)))[output]


def through_transformers(folder: Path, kind: str, texts: tuple[Any, ...], output: str) -> NDArray[Any]:
    """What transformers itself says, one text after the other."""
    tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    classifier = output != "embedding"
    model = (AutoModelForSequenceClassification if classifier else AutoModel).from_pretrained(folder).eval()
    found = []
    for text in texts:
        encoding = tokenizer.encode(*((text,) if isinstance(text, str) else text))
        given = {"input_ids": torch.tensor([encoding.ids]), "attention_mask": torch.ones(1, len(encoding.ids)).long()}
        if kind in WITH_TYPES:
            given["token_type_ids"] = torch.tensor([encoding.type_ids])
        with torch.inference_mode():
            answer = model(**given)
        if classifier:
            found.append(answer.logits[0].numpy())
        else:
            mean = answer.last_hidden_state[0].mean(0)
            found.append((mean / mean.norm()).numpy())
    return np.stack(found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_answers_as_it_does_in_transformers(tmp_path: Path, kind: str) -> None:
    folder, run = hugging_face(tmp_path / "folder", kind), tmp_path / "run"
    imported = import_folder(folder, run, task="sentiment")
    found = through_the_graph(run, TEXTS, "sentiment")
    wanted = through_transformers(folder, kind, TEXTS, "sentiment")
    assert np.abs(found - wanted).max() < 1e-4
    assert np.ptp(wanted, axis=0).max() > 0.01, "the texts must differ, or this proves nothing"
    assert max(imported.parity.values()) < LIMITS["classes"]
    assert imported.labels == ("negative", "neutral", "positive")
    assert imported.max_length == POSITIONS
    names = [tensor.name for tensor in ExportedRun(run).inputs]
    assert names == ["input_ids", "attention_mask", *(["token_type_ids"] if kind in WITH_TYPES else [])]
    assert msgspec.json.decode((run / "imported.json").read_bytes(), type=Imported) == imported


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "deberta-v2"])
def test_an_encoder_gives_the_mean_over_its_tokens_at_unit_length(tmp_path: Path, kind: str) -> None:
    folder, run = hugging_face(tmp_path / "folder", kind, labels=()), tmp_path / "run"
    imported = import_folder(folder, run, task="embedding")
    found = through_the_graph(run, TEXTS, "embedding")
    assert found.shape == (len(TEXTS), WIDTH)
    assert np.abs(found - through_transformers(folder, kind, TEXTS, "embedding")).max() < 1e-5
    assert imported.embedding_space is not None
    assert imported.embedding_space.startswith("folder-")


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_pairs_are_read_as_the_tokenizer_frames_them(tmp_path: Path, kind: str) -> None:
    folder = hugging_face(tmp_path / "folder", kind, labels=("entailment", "neutral", "contradiction"))
    run = tmp_path / "run"
    import_folder(folder, run, task="nli", pairs=True)
    pairs = (("good day", "bad day"), ("the day", "good"), ("bad " * 9, "day"))
    found = through_the_graph(run, pairs, "nli")
    assert np.abs(found - through_transformers(folder, kind, pairs, "nli")).max() < 1e-4
    assert ExportedRun(run).tokens.pairs


def test_what_was_imported_is_published_without_anything_in_between(tmp_path: Path) -> None:
    folder, run = hugging_face(tmp_path / "folder", "roberta"), tmp_path / "mine"
    import_folder(folder, run, task="sentiment", normaliser="social", max_length=32)
    found = draft(run, form="fp32")
    assert (found.name, found.licence, found.embedding_space) == ("mine", "not stated", None)
    assert found.tokens is not None
    assert (found.tokens.normaliser, found.tokens.max_length) == ("social", 32)
    publish(tmp_path / "models", found)


def test_the_space_is_that_of_the_weights_the_tokenizer_and_how_texts_are_cut(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path / "folder", labels=())
    ways: tuple[dict[str, Any], ...] = ({}, {}, {"max_length": 32}, {"normaliser": "social"})
    spaces = [
        import_folder(folder, tmp_path / f"run{number}", task="embedding", **way).embedding_space
        for number, way in enumerate(ways)
    ]
    other = hugging_face(tmp_path / "other" / "folder", labels=(), seed=2)
    spaces.append(import_folder(other, tmp_path / "run9", task="embedding").embedding_space)
    assert spaces[0] == spaces[1]
    assert len(set(spaces)) == 4


class TestRefused:
    def test_more_tokens_than_there_are_positions(self, tmp_path: Path) -> None:
        folder = hugging_face(tmp_path / "folder", "roberta")
        with pytest.raises(ModelError, match=f"positions for {POSITIONS} tokens, not for {POSITIONS + 1}"):
            import_folder(folder, tmp_path / "run", task="sentiment", max_length=POSITIONS + 1)

    def test_weights_that_are_not_all_there(self, tmp_path: Path) -> None:
        folder = hugging_face(tmp_path / "folder")
        path = folder / "model.safetensors"
        weights = {name: value for name, value in load_file(path).items() if not name.startswith("classifier")}
        save_file(weights, path, metadata={"format": "pt"})
        with pytest.raises(ModelError, match=r"lacks 2 of its weights \(classifier\.bias, classifier\.weight\)"):
            import_folder(folder, tmp_path / "run", task="sentiment")
        assert not (tmp_path / "run" / "export").exists()

    def test_weights_of_another_shape(self, tmp_path: Path) -> None:
        folder = hugging_face(tmp_path / "folder")
        edit(folder, id2label={"0": "Spam", "1": "Ham"}, label2id={"Spam": 0, "Ham": 1})
        with pytest.raises(ModelError, match="cannot be loaded"):
            import_folder(folder, tmp_path / "run", task="spam")

    def test_weights_that_are_no_weights(self, tmp_path: Path) -> None:
        folder = hugging_face(tmp_path / "folder")
        (folder / "model.safetensors").write_bytes(b"\x80\x04" + bytes(100))
        with pytest.raises(ModelError, match="cannot be loaded"):
            import_folder(folder, tmp_path / "run", task="sentiment")

    def test_a_pickle_beside_safetensors_is_never_touched(self, tmp_path: Path) -> None:
        folder = hugging_face(tmp_path / "folder")
        (folder / "pytorch_model.bin").write_bytes(b"no pickle at all")
        import_folder(folder, tmp_path / "run", task="sentiment")

    def test_a_tokenizer_of_another_model(self, tmp_path: Path) -> None:
        folder = hugging_face(tmp_path / "folder", "roberta")
        edit(folder, pad_token_id=0)
        with pytest.raises(ModelError, match="fills rows with token 1, and its positions are counted by 0"):
            import_folder(folder, tmp_path / "run", task="sentiment")
        edit(folder, pad_token_id=1, vocab_size=50)
        with pytest.raises(ModelError, match="do not belong together"):
            import_folder(folder, tmp_path / "run", task="sentiment")

    def test_a_tokenizer_that_is_none(self, tmp_path: Path) -> None:
        folder = hugging_face(tmp_path / "folder")
        (folder / "tokenizer.json").write_text("{}")
        with pytest.raises(ModelError, match=r"tokenizer\.json cannot be used"):
            import_folder(folder, tmp_path / "run", task="sentiment")

    def test_a_task_that_names_no_output(self, tmp_path: Path) -> None:
        folder = hugging_face(tmp_path / "brought", "bert")
        for task in ("../x", "a.b"):
            with pytest.raises(ModelError, match="can be no name of a task"):
                import_folder(folder, tmp_path / "run", task=task)
        assert not (tmp_path / "run").exists()

    def test_a_run_that_was_trained_here_is_not_written_over(self, tmp_path: Path) -> None:
        folder, run = hugging_face(tmp_path / "folder"), tmp_path / "run"
        run.mkdir()
        (run / "recipe.json").write_text("{}")
        with pytest.raises(ModelError, match="import into another folder"):
            import_folder(folder, run, task="sentiment")


def test_the_longest_text_of_a_roberta_stays_within_its_positions(tmp_path: Path) -> None:
    folder, run = hugging_face(tmp_path / "folder", "roberta"), tmp_path / "run"
    import_folder(folder, run, task="sentiment")
    found = through_the_graph(run, ("day " * 500, "day"), "sentiment")
    assert np.isfinite(found).all()
    assert tokenizer_for("roberta").token_to_id("<pad>") == 1
