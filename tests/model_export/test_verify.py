"""Every way to damage a good version is refused, with its reason."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest

from inference.manifest import CALIBRATION, LABELS, MANIFEST, MODEL, TOKENIZER, Calibration, Manifest
from inference.repository import Repository
from inference.version import content_version
from model_export.verify import verify, verify_folder
from tests.inference import tiny
from tests.inference.tiny_bert import NAME, published_bert

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a good version; each test damages a copy of it."""
    return published_bert(tmp_path_factory.mktemp("good"))


def settle(folder: Path, **fields: Any) -> Path:
    """Make manifest and folder agree with the files as they are, so that no hash or name tells of a change."""
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes())
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    manifest |= {"files": files, **fields}
    try:
        version = content_version(files, msgspec.convert(manifest, Manifest))
    except msgspec.ValidationError:
        version = "0" * 12  # no manifest at all, so nothing of it names a version
    (folder / MANIFEST).write_bytes(msgspec.json.encode({**manifest, "version": version}))
    return folder.rename(folder.with_name(version))


def replaced(name: str, content: bytes) -> Damage:
    """A file with other content that the manifest agrees with."""

    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)
        settle(folder)

    return damage


def changed(**fields: Any) -> Damage:
    """A manifest that says something else."""

    def damage(folder: Path) -> None:
        settle(folder, **fields)

    return damage


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((folder / MANIFEST).read_bytes())
    return found


def graph(change: Callable[[onnx.ModelProto], None]) -> Damage:
    """A graph that was changed, and a manifest that agrees with it."""

    def damage(folder: Path) -> None:
        model = onnx.load(folder / MODEL)
        change(model)
        (folder / MODEL).write_bytes(model.SerializeToString())
        settle(folder)

    return damage


def truncated(name: str) -> Damage:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return damage


def renamed_output(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name == "sentiment":
                node.output[place] = "mood"
    next(each for each in model.graph.output if each.name == "sentiment").name = "mood"


def floats_for_ids(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def outside(tensor: onnx.TensorProto) -> onnx.TensorProto:
    onnx.external_data_helper.set_external_data(tensor, location="../../outside.bin")
    tensor.ClearField("raw_data")
    return tensor


def weights_outside(model: onnx.ModelProto) -> None:
    outside(max(model.graph.initializer, key=lambda each: len(each.raw_data)))


def weights_outside_of_a_branch(model: onnx.ModelProto) -> None:
    tensor = onnx.TensorProto(name="hidden", data_type=onnx.TensorProto.FLOAT, dims=[1], raw_data=b"0000")
    branch = onnx.helper.make_graph([], "branch", [], [], [outside(tensor)])
    model.graph.node.add(op_type="If").attribute.append(onnx.helper.make_attribute("then_branch", branch))


def other_weights(model: onnx.ModelProto) -> None:
    tensor = next(each for each in model.graph.initializer if each.name == "sentiment.weight")
    tensor.raw_data = tensor.raw_data[::-1]


def added(name: str, content: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return damage


def listed(name: str, content: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)
        files = {**manifest(folder)["files"], name: hashlib.sha256(content).hexdigest()}
        (folder / MANIFEST).write_bytes(msgspec.json.encode({**manifest(folder), "files": files}))
        settle(folder)

    return damage


def torch_file(folder: Path) -> None:
    with zipfile.ZipFile(folder / "weights", "w") as archive:
        archive.writestr("archive/data.pkl", b"")


def stale_goldens(folder: Path) -> None:
    golden = manifest(folder)["golden"]
    scores = golden[0]["expected"]["sentiment"]
    golden[0]["expected"]["sentiment"] = dict(zip(scores, reversed(scores.values()), strict=True))
    settle(folder, golden=golden)


def stale_embedding(folder: Path) -> None:
    golden = manifest(folder)["golden"]
    golden[0]["embedding"] = bytes(byte ^ 0xFF for byte in bytes.fromhex(golden[0]["embedding"])).hex()
    settle(folder, golden=golden)


def missing(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()

    return damage


def swapped_labels(folder: Path) -> None:
    labels = msgspec.json.decode((folder / LABELS).read_bytes())
    labels["sentiment"].reverse()
    replaced(LABELS, msgspec.json.encode(labels))(folder)


def other_labels(folder: Path) -> None:
    labels = msgspec.json.decode((folder / LABELS).read_bytes())
    replaced(LABELS, msgspec.json.encode({**labels, "sentiment": ["bad", "good", "so-so"]}))(folder)


def fewer_labels(folder: Path) -> None:
    labels = msgspec.json.decode((folder / LABELS).read_bytes())
    replaced(LABELS, msgspec.json.encode({**labels, "emotion": labels["emotion"][:-1]}))(folder)


def unlisted_normaliser(folder: Path) -> None:
    settle(folder, tokens={**manifest(folder)["tokens"], "normaliser": "unheard-of"})


def changed_and_agreed_upon(folder: Path) -> None:
    tiny.rewrite(folder, CALIBRATION, lambda content: content + b" ")


def second_graph(folder: Path) -> None:
    (folder / "model.int8.onnx").write_bytes(b"no graph")
    files = {**manifest(folder)["files"], "model.int8.onnx": ""}
    (folder / MANIFEST).write_bytes(msgspec.json.encode({**manifest(folder), "files": files}))
    settle(folder, graphs={"fp32": "model.int8.onnx", "int8": MODEL})


def reread(folder: Path) -> None:
    """Other windows, as if somebody had edited the manifest: every hash is right."""
    tiny.remanifest(folder, tokens={**manifest(folder)["tokens"], "max_windows": 1})


def other_second_graph(folder: Path) -> None:
    """A graph in another precision that says something else."""
    model = onnx.load(folder / MODEL)
    other_weights(model)
    (folder / "model.fp32.onnx").write_bytes(model.SerializeToString())
    (folder / MANIFEST).write_bytes(
        msgspec.json.encode({**manifest(folder), "files": {**manifest(folder)["files"], "model.fp32.onnx": ""}})
    )
    settle(folder, graphs={"fp32": "model.fp32.onnx", "int8": MODEL})


DAMAGES: dict[str, tuple[Damage, str]] = {
    "a corrupt graph": (added(MODEL, b"\x00" * 100), f"{MODEL} is not the file"),
    "a truncated graph": (truncated(MODEL), f"{MODEL} is not the file"),
    "a truncated tokenizer": (truncated(TOKENIZER), f"{TOKENIZER} is not the file"),
    "a truncated manifest": (truncated(MANIFEST), f"{MANIFEST} cannot be used"),
    "a missing manifest": (missing(MANIFEST), f"{MANIFEST} cannot be read"),
    "a missing graph": (missing(MODEL), f"{MODEL} cannot be read"),
    "missing labels": (missing(LABELS), f"{LABELS} cannot be read"),
    "a missing tokenizer": (missing(TOKENIZER), f"{TOKENIZER} cannot be read"),
    "no graph at all, agreed upon": (replaced(MODEL, b"no graph"), "cannot load the graph"),
    "half a graph, agreed upon": (replaced(MODEL, b"\x08\x0a\x12"), "cannot load the graph"),
    "an empty graph, agreed upon": (replaced(MODEL, b""), "cannot load the graph"),
    "another format": (changed(format=2), "has format 2, this release reads 1"),
    "an unknown field": (changed(surprise=1), "unknown field `surprise`"),
    "an unknown normaliser": (unlisted_normaliser, "unheard-of"),
    "an unknown encoder": (changed(encoder="telepathy"), "'telepathy', which this release does not know"),
    "an output under another name": (graph(renamed_output), "its manifest says"),
    "an input of another type": (graph(floats_for_ids), "cannot load the graph|its manifest says"),
    "weights in a file outside": (graph(weights_outside), f"{MODEL} keeps weights in other files"),
    "weights of a branch outside": (graph(weights_outside_of_a_branch), f"{MODEL} keeps weights in other files"),
    "other weights": (graph(other_weights), "the golden input"),
    "labels in another order": (swapped_labels, "the golden input"),
    "other labels": (other_labels, "they must be"),
    "fewer labels than columns": (fewer_labels, "its labels for emotion|has not one column a label"),
    "no labels": (replaced(LABELS, b"{}"), "its labels for"),
    "broken labels": (replaced(LABELS, b"[1]"), f"{LABELS} cannot be used"),
    "no calibration": (replaced(CALIBRATION, b"{}"), "its calibration says nothing"),
    "a calibration that is none": (
        replaced(
            CALIBRATION, msgspec.json.encode(dict.fromkeys(("sentiment", "emotion"), Calibration(temperature=-1.0)))
        ),
        "its calibration of",
    ),
    "a tokenizer that is none": (replaced(TOKENIZER, b"{}"), "tokenizer"),
    "stale golden answers": (stale_goldens, "the golden input"),
    "a stale golden embedding": (stale_embedding, "the embedding of the golden input"),
    "no golden answers": (changed(golden=[]), "no golden inputs"),
    "no heads": (changed(heads=[]), "no heads"),
    "a head without an output": (changed(heads=[{"task": "sentiment", "output": "nowhere"}]), "'nowhere'"),
    "no graphs": (changed(graphs={}), "names no graph"),
    "another graph that is broken": (second_graph, "its graph in fp32: .* must not serve"),
    "another graph that answers otherwise": (other_second_graph, "its graph in fp32: .* the golden input"),
    "a pickle beside": (added("weights.pkl", pickle.dumps([1])), "weights.pkl holds a pickle"),
    "a pickle by another name": (added("notes.txt", pickle.dumps([1])), "notes.txt holds a pickle"),
    "a pickle that is listed": (listed("pytorch_model.bin", b"x"), "pytorch_model.bin holds a pickle"),
    "a torch file": (torch_file, "weights holds a pickle"),
    "a file that is not listed": (added("notes.txt", b"hello"), "notes.txt is not in"),
    "a change that hashes agree with": (changed_and_agreed_upon, "changed after it was published"),
    "another way to read the same files": (reread, "changed after it was published"),
}


def test_a_good_version_has_no_findings(good: Path) -> None:
    assert verify_folder(good) == []
    assert verify(Repository(good.parent.parent), NAME) == []
    assert verify(Repository(good.parent.parent), f"{NAME}@{good.name}") == []


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_version_is_refused_with_its_reason(good: Path, tmp_path: Path, name: str) -> None:
    damage, reason = DAMAGES[name]
    folder = tmp_path / NAME / good.name
    shutil.copytree(good, folder)
    damage(folder)
    (left,) = folder.parent.iterdir()
    found = verify_folder(left)
    assert found
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError("; ".join(found))
    assert len(found) == 1


def test_a_reference_to_nowhere_is_a_finding(good: Path) -> None:
    (found,) = verify(Repository(good.parent.parent), f"{NAME}@candidate")
    assert "which is not there" in found


def test_a_folder_under_another_name_is_refused(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path / NAME / "v2")
    (found,) = verify_folder(tmp_path / NAME / "v2")
    assert f"is of {NAME}@{good.name}, not of {NAME}@v2" in found


def test_a_provider_that_is_not_here_is_a_finding(good: Path) -> None:
    (found,) = verify_folder(good, provider="abacus")
    assert "no execution provider 'abacus'" in found


def test_everything_that_is_wrong_is_told_at_once(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / NAME / good.name
    shutil.copytree(good, folder)
    added("x.pkl", b"")(folder)
    changed_and_agreed_upon(folder)
    assert len(verify_folder(folder)) == 2


def test_pairs_are_verified_too(tmp_path: Path) -> None:
    assert verify_folder(published_bert(tmp_path, pairs=True)) == []
