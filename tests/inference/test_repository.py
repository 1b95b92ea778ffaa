"""The model repository refuses whatever is not exactly what was published."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.manifest import CALIBRATION, LABELS, MANIFEST, MODEL, VOCABULARY
from inference.repository import Repository
from tests.inference.tiny import NAME, SENTIMENT, published, remanifest

REFERENCE = f"{NAME}@champion"


def test_opens_what_was_published(tmp_path: Path) -> None:
    folder = published(tmp_path, temperature=1.5)
    repository = Repository(tmp_path)
    version = repository.open(REFERENCE)
    assert version.ref == ModelRef(NAME, folder.name)
    assert version.labels() == {"sentiment": SENTIMENT}
    assert version.calibration()["sentiment"].temperature == 1.5
    assert version.read(MODEL) == (folder / MODEL).read_bytes()
    assert repository.models() == [NAME]
    assert repository.versions(NAME) == [folder.name]
    assert repository.resolve(NAME) == repository.resolve(f"{NAME}@{folder.name}") == version.ref


@pytest.mark.parametrize("name", [MODEL, LABELS, CALIBRATION, VOCABULARY])
@pytest.mark.parametrize("damage", ["missing", "truncated", "altered", "empty", "a folder"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, damage: str) -> None:
    file = published(tmp_path) / name
    content = file.read_bytes()
    file.unlink()
    match damage:
        case "truncated":
            file.write_bytes(content[:-1])
        case "altered":
            file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case "empty":
            file.touch()
        case "a folder":
            file.mkdir()
    with pytest.raises(ModelError, match=f"{name} .*: restore the folder"):
        Repository(tmp_path).open(REFERENCE)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"format": 1}', b"\xff"])
def test_a_half_copied_version_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = published(tmp_path) / MANIFEST
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelError, match=MANIFEST):
        Repository(tmp_path).open(REFERENCE)


def test_a_file_that_changes_after_opening_is_refused(tmp_path: Path) -> None:
    folder = published(tmp_path)
    version = Repository(tmp_path).open(REFERENCE)
    (folder / MODEL).write_bytes(b"other")
    with pytest.raises(ModelError, match="sha256 differs"):
        version.read(MODEL)


def test_a_version_under_another_name_is_refused(tmp_path: Path) -> None:
    folder = published(tmp_path)
    shutil.copytree(folder, folder.with_name("renamed"))
    with pytest.raises(ModelError, match=f"is of {NAME}@{folder.name}, not of {NAME}@renamed"):
        Repository(tmp_path).open(f"{NAME}@renamed")


def test_a_layout_of_the_future_is_refused(tmp_path: Path) -> None:
    remanifest(published(tmp_path), format=2)
    with pytest.raises(ModelError, match="has format 2, this release reads 1"):
        Repository(tmp_path).open(REFERENCE)


def test_a_manifest_cannot_reach_out_of_its_folder(tmp_path: Path) -> None:
    folder = published(tmp_path)
    (folder / "../outside.onnx").write_bytes(b"x")
    files = {name: Repository(tmp_path).open(REFERENCE).manifest.files[name] for name in (MODEL, LABELS, CALIBRATION)}
    remanifest(folder, files={**files, "../outside.onnx": "0" * 64})
    with pytest.raises(ModelError, match="no plain file name"):
        Repository(tmp_path).open(REFERENCE)


@pytest.mark.parametrize("required", [MODEL, LABELS, CALIBRATION])
def test_a_manifest_lists_the_files_that_serving_needs(tmp_path: Path, required: str) -> None:
    folder = published(tmp_path)
    files = dict(Repository(tmp_path).open(REFERENCE).manifest.files)
    del files[required]
    remanifest(folder, files=files)
    with pytest.raises(ModelError, match=f"lists no {required}"):
        Repository(tmp_path).open(REFERENCE)


class Bomb:
    """Unpickling it is seen."""

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise SystemExit('a pickle was read')",))


@pytest.mark.parametrize("name", ["model.pkl", LABELS])
def test_a_pickle_is_never_read(tmp_path: Path, name: str) -> None:
    folder = published(tmp_path)
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    if name == LABELS:
        with pytest.raises(ModelError, match=LABELS):
            Repository(tmp_path).open(REFERENCE)
    else:
        Repository(tmp_path).open(REFERENCE)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("other@champion", r"no model 'other' in .* \(there: tiny\)"),
        (f"{NAME}@candidate", "candidate, which is not there"),
        (f"{NAME}@../{NAME}", "no name of a model"),
        ("../tiny@champion", "no name of a model"),
        ("", "no name of a model"),
        (f"{NAME}@.staging-x", "no name of a model"),
    ],
)
def test_a_reference_to_nowhere_says_what_is_there(tmp_path: Path, reference: str, reason: str) -> None:
    published(tmp_path)
    with pytest.raises(ModelError, match=reason):
        Repository(tmp_path).open(reference)


def test_an_alias_to_nowhere_is_refused(tmp_path: Path) -> None:
    folder = published(tmp_path)
    (folder.parent / "aliases.json").write_text('{"champion": "gone"}')
    with pytest.raises(ModelError, match=f"gone, which is not there.* .known: champion, {folder.name}"):
        Repository(tmp_path).open(REFERENCE)


def test_broken_aliases_are_named(tmp_path: Path) -> None:
    folder = published(tmp_path)
    (folder.parent / "aliases.json").write_text('{"champion": 7}')
    with pytest.raises(ModelError, match=r"aliases\.json cannot be used"):
        Repository(tmp_path).open(REFERENCE)


def test_an_empty_place_has_no_models(tmp_path: Path) -> None:
    assert Repository(tmp_path / "nowhere").models() == []
    with pytest.raises(ModelError, match="there: none"):
        Repository(tmp_path / "nowhere").open(REFERENCE)


def test_a_repository_that_this_user_may_not_read_is_named(tmp_path: Path) -> None:
    published(tmp_path)
    repository = Repository(tmp_path)
    asked: list[Callable[[], object]] = [
        repository.models,
        lambda: repository.versions(NAME),
        lambda: repository.aliases(NAME),
        lambda: repository.has(ModelRef(NAME, "1")),
        lambda: repository.open(NAME),
    ]
    with closed(tmp_path):
        for ask in asked:
            with pytest.raises(ModelError, match=r"cannot be read \(Permission denied\): let this user read it"):
                ask()
    assert repository.open(NAME)


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """A folder that nobody may look into; root, who may, is somebody else meanwhile."""
    root = os.geteuid() == 0
    folder.chmod(0)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
