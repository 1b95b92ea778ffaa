"""Which graph of a version runs where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.manifest import MODEL, Head, Precision
from inference.remote import open_repository
from inference.repository import Repository
from inference.version import content_version
from model_export.publish import publish
from tests.inference.tiny import NAME, published, remanifest, tiny_draft
from tests.inference.tiny_bert import tiny_bert_draft

ALL: tuple[Precision, ...] = ("fp32", "fp16", "int8")


@pytest.mark.parametrize(
    ("held", "precision", "provider", "chosen"),
    [
        (ALL, "auto", "cpu", "int8"),
        (ALL, "auto", "cuda", "fp16"),
        (ALL, "auto", "tensorrt", "fp16"),
        (("fp32",), "auto", "cpu", "fp32"),
        (("fp32", "int8"), "auto", "cuda", "fp32"),
        (("fp32", "fp16"), "auto", "cpu", "fp32"),
        (("int8",), "auto", "cpu", "int8"),
        (("int8",), "auto", "cuda", None),
        (("fp16",), "auto", "cpu", None),
        (("fp16",), "fp16", "cpu", "fp16"),
        (("int8",), "int8", "tensorrt", "int8"),
        (("int8",), "fp32", "cpu", None),
        (ALL, "fp32", "cuda", "fp32"),
    ],
)
def test_the_graph_of_a_precision_and_a_provider(
    tmp_path: Path, held: tuple[str, ...], precision: str, provider: str, chosen: str | None
) -> None:
    folder = published(tmp_path)
    files = dict(Repository(tmp_path).open(NAME).manifest.files)
    for each in held:
        (folder / f"{each}.onnx").write_bytes((folder / "model.onnx").read_bytes())
        files[f"{each}.onnx"] = files["model.onnx"]
    remanifest(folder, graphs={each: f"{each}.onnx" for each in held}, files=files)
    version = Repository(tmp_path).open(NAME)
    if chosen is None:
        with pytest.raises(
            ModelError, match=f"holds {', '.join(held)} and not .* precision '{precision}' on {provider}"
        ):
            version.graph(precision, provider)
    else:
        assert version.graph(precision, provider) == (chosen, f"{chosen}.onnx")


def test_a_version_may_hold_int8_only(tmp_path: Path) -> None:
    draft = tiny_draft()
    files = {("model.int8.onnx" if name == "model.onnx" else name): content for name, content in draft.files.items()}
    publish(tmp_path, tiny_draft(files=files, graphs={"int8": "model.int8.onnx"}))
    assert Repository(tmp_path).open(NAME).graph() == ("int8", "model.int8.onnx")


@pytest.mark.parametrize(
    ("graphs", "reason"), [({}, "names no graph"), ({"int8": "model.int8.onnx"}, "lists no model.int8.onnx")]
)
def test_graphs_that_are_not_there_are_refused(tmp_path: Path, graphs: dict[str, str], reason: str) -> None:
    remanifest(published(tmp_path), graphs=graphs)
    with pytest.raises(ModelError, match=reason):
        Repository(tmp_path).open(NAME)


def test_a_version_is_named_by_its_files_but_for_the_card() -> None:
    draft = tiny_draft()
    files = {"model.onnx": "0" * 64, "labels.json": "1" * 64}
    with_card = {**dict(reversed(files.items())), "README.md": "2" * 64}
    assert content_version(files, draft) == content_version(with_card, draft)
    assert content_version(files, draft) != content_version({**files, "model.onnx": "2" * 64}, draft)


def test_a_version_is_named_by_how_its_files_are_read() -> None:
    draft = tiny_bert_draft()
    tokens, heads = draft.tokens, draft.heads
    assert tokens is not None
    others: list[dict[str, Any]] = [
        {"encoder": "ngrams"},
        {"tokens": None},
        {"tokens": msgspec.structs.replace(tokens, max_windows=1)},
        {"tokens": msgspec.structs.replace(tokens, normaliser="none")},
        {"heads": heads[1:]},
        {"heads": heads[:-1]},
        {"heads": (Head(task="mood", output=heads[0].output), *heads[1:])},
        {"graphs": {"int8": MODEL}},
        {"embedding_space": "another"},
        {"embedding_space": None},
    ]
    named = [draft.version, *(msgspec.structs.replace(draft, **other).version for other in others)]
    assert len(set(named)) == len(named)


def test_what_decides_no_answer_is_no_part_of_the_name() -> None:
    draft = tiny_bert_draft()
    same = msgspec.structs.replace(
        draft, heads=draft.heads[::-1], metrics={"validation": {"accuracy": 1.0}}, licence="MIT", tolerance=0.5
    )
    assert same.version == draft.version


def test_the_shipped_versions_are_what_their_names_say() -> None:
    repository = open_repository("")
    shipped = [ModelRef(name, version) for name in repository.models() for version in repository.versions(name)]
    assert ModelRef("sentiment-baseline", "8a57f6191cb0") in shipped
    for ref in shipped:
        manifest = repository.manifest(ref)
        assert content_version(manifest.files, manifest) == ref.version
