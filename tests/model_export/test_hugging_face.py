"""What a folder is refused for before anything of it is loaded; nothing here needs torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from groundswell.errors import ModelError
from model_export.hugging_face import KNOWN, look_through
from tests.inference.tiny_bert import tiny_tokenizer

LABELS = {"0": "negative", "1": "neutral", "2": "positive"}


def folder(place: Path, **changes: Any) -> Path:
    """A folder of a classifier; its weights are never looked into here."""
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "id2label": LABELS,
        "label2id": {name: int(number) for number, name in LABELS.items()},
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "vocab_size": 1_000,
    }
    place.mkdir(exist_ok=True)
    merged = {name: value for name, value in (config | changes).items() if value is not None}
    (place / "config.json").write_text(json.dumps(merged))
    (place / "model.safetensors").write_bytes(b"weights")
    (place / "tokenizer.json").write_text(tiny_tokenizer().to_str())
    return place


def encoder(place: Path, **changes: Any) -> Path:
    return folder(place, architectures=["BertModel"], id2label=None, label2id=None, **changes)


def refused(place: Path, saying: str, task: str = "sentiment") -> None:
    with pytest.raises(ModelError, match=saying):
        look_through(place, task)


def test_a_classifier_is_told_with_its_labels_and_lengths(tmp_path: Path) -> None:
    found = look_through(folder(tmp_path), "sentiment")
    assert (found.kind, found.labels) == ("classes", ("negative", "neutral", "positive"))
    assert (found.positions, found.made_for, found.token_types, found.padding) == (512, 512, True, None)
    assert found.files.keys() == {"config.json", "tokenizer.json", "model.safetensors"}
    assert found.licence is None


@pytest.mark.parametrize("labels", [["Positive", "NEGATIVE", "Neutral"], ["neutral", "positive", "negative"]])
def test_labels_go_by_name_in_any_case_and_order(tmp_path: Path, labels: list[str]) -> None:
    found = look_through(folder(tmp_path, id2label=dict(enumerate(labels)), label2id=None), "sentiment")
    assert found.labels == tuple(label.casefold() for label in labels)


def test_a_task_of_ones_own_keeps_its_labels_as_they_are(tmp_path: Path) -> None:
    found = look_through(folder(tmp_path, id2label={"0": "Spam", "1": "Ham"}, label2id=None), "spam")
    assert found.labels == ("Spam", "Ham")


@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta"])
def test_positions_that_are_counted_from_the_padding_are_fewer(tmp_path: Path, kind: str) -> None:
    place = folder(tmp_path, model_type=kind, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1)
    found = look_through(place, "sentiment")
    assert (found.positions, found.padding, found.token_types) == (512, 1, False)


def test_a_sentence_encoder_says_for_how_many_tokens_it_was_made(tmp_path: Path) -> None:
    place = encoder(tmp_path)
    (place / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 128}))
    (place / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10**30}))
    found = look_through(place, "embedding")
    assert (found.kind, found.labels, found.positions, found.made_for) == ("embedding", (), 512, 128)


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n", "apache-2.0"),
        ('---\nlicense: "cc-by-4.0"\n---\n', "cc-by-4.0"),
        ("# A model\n\nlicense: mit\n", None),
        ("---\nlicense:\n- mit\n---\n", None),
    ],
)
def test_the_licence_is_the_one_that_the_head_of_the_card_states(
    tmp_path: Path, card: str, licence: str | None
) -> None:
    place = folder(tmp_path)
    (place / "README.md").write_text(card)
    assert look_through(place, "sentiment").licence == licence


class TestRefused:
    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "tf_model.h5", "flax_model.msgpack"])
    def test_pickled_weights(self, tmp_path: Path, name: str) -> None:
        place = folder(tmp_path)
        (place / "model.safetensors").rename(place / name)
        refused(place, rf"{re.escape(name)} and not in safetensors: reading a pickle runs what is")

    def test_pickled_parts_of_weights(self, tmp_path: Path) -> None:
        place = folder(tmp_path)
        (place / "model.safetensors").rename(place / "pytorch_model-00001-of-00001.bin")
        index = {"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}
        (place / "model.safetensors.index.json").write_text(json.dumps(index))
        refused(place, "bring all its parts")

    @pytest.mark.parametrize("parts", [{}, {"a": "../model.safetensors"}, {"a": "absent.safetensors"}, ["a"], {"a": 1}])
    def test_an_index_whose_parts_are_not_beside_it(self, tmp_path: Path, parts: Any) -> None:
        place = folder(tmp_path / "inner")
        (place / "model.safetensors").rename(tmp_path / "model.safetensors")
        (place / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
        refused(place, "bring all its parts")

    def test_no_weights_at_all(self, tmp_path: Path) -> None:
        place = folder(tmp_path)
        (place / "model.safetensors").unlink()
        refused(place, r"has no model\.safetensors")

    @pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
    def test_code_of_its_own(self, tmp_path: Path, file: str) -> None:
        place = folder(tmp_path)
        path = place / file
        content = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(content | {"auto_map": {"AutoModel": "modeling.Mine"}}))
        refused(place, "code of its own")

    @pytest.mark.parametrize("kind", ["gpt2", "modernbert", "", None, 3])
    def test_an_architecture_that_is_not_known(self, tmp_path: Path, kind: Any) -> None:
        refused(folder(tmp_path, model_type=kind), f"not known here: {', '.join(KNOWN)}")

    @pytest.mark.parametrize("named", [None, [], ["BertModel", "BertModel"], "BertModel"])
    def test_no_architecture_or_several(self, tmp_path: Path, named: Any) -> None:
        refused(folder(tmp_path, architectures=named), "exactly one")

    @pytest.mark.parametrize("named", ["BertForTokenClassification", "BertForQuestionAnswering"])
    def test_a_model_for_something_else(self, tmp_path: Path, named: str) -> None:
        refused(folder(tmp_path, architectures=[named]), "only sequence classifiers and encoders")

    def test_a_tokenizer_without_its_fast_form(self, tmp_path: Path) -> None:
        place = folder(tmp_path)
        (place / "tokenizer.json").rename(place / "vocab.txt")
        refused(place, "the tokenizer in its fast form")

    @pytest.mark.parametrize("labels", [None, {}, {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}])
    def test_labels_without_names(self, tmp_path: Path, labels: Any) -> None:
        refused(folder(tmp_path, id2label=labels, label2id=None), 'write them into config.json as "id2label"')

    @pytest.mark.parametrize(
        "labels",
        [{"0": "a"}, {"0": "a", "2": "b"}, {"0": "a", "1": "a"}, {"0": "a", "1": ""}, {"x": "a", "1": "b"}],
    )
    def test_labels_that_are_too_few_or_do_not_differ_or_are_numbered_wrongly(
        self, tmp_path: Path, labels: Any
    ) -> None:
        refused(folder(tmp_path, id2label=labels, label2id=None), "labels", task="mine")

    def test_labels_that_contradict_each_other(self, tmp_path: Path) -> None:
        turned = {"negative": 2, "neutral": 1, "positive": 0}
        refused(folder(tmp_path, label2id=turned), "contradicts itself")

    def test_labels_of_another_task(self, tmp_path: Path) -> None:
        refused(folder(tmp_path), "emotion needs anger, joy, optimism, sadness", task="emotion")

    @pytest.mark.parametrize("problem", ["regression", "multi_label_classification"])
    def test_labels_that_do_not_exclude_each_other(self, tmp_path: Path, problem: str) -> None:
        refused(folder(tmp_path, problem_type=problem), "exclude each other")

    def test_a_classifier_for_embeddings_and_an_encoder_for_labels(self, tmp_path: Path) -> None:
        refused(folder(tmp_path), "needs an encoder", task="embedding")
        refused(encoder(tmp_path), "an encoder answers 'embedding'", task="sentiment")

    def test_a_sentence_encoder_that_does_not_take_the_mean(self, tmp_path: Path) -> None:
        place = encoder(tmp_path)
        steps = [
            {"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ]
        (place / "modules.json").write_text(json.dumps(steps))
        (place / "1_Pooling").mkdir()
        pooling = place / "1_Pooling" / "config.json"
        pooling.write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
        refused(place, "pools its tokens by pooling_mode_cls_token", task="embedding")
        pooling.write_text(json.dumps({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}))
        assert look_through(place, "embedding").kind == "embedding"
        steps[2]["type"] = "sentence_transformers.models.Dense"
        (place / "modules.json").write_text(json.dumps(steps))
        refused(place, "a step Dense behind its encoder", task="embedding")

    def test_a_model_that_is_quantised_already(self, tmp_path: Path) -> None:
        refused(folder(tmp_path, quantization_config={"bits": 4}), "quantised already")

    @pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
    def test_a_configuration_that_is_none(self, tmp_path: Path, content: bytes) -> None:
        place = folder(tmp_path)
        (place / "config.json").write_bytes(content)
        refused(place, r"config\.json")

    def test_a_folder_that_is_none(self, tmp_path: Path) -> None:
        refused(tmp_path / "absent", "give the folder of a model that was saved by transformers")

    @pytest.mark.parametrize("number", ["512", -1, 2.5, True])
    def test_numbers_that_are_none(self, tmp_path: Path, number: Any) -> None:
        refused(folder(tmp_path, max_position_embeddings=number), "must be a whole number")
