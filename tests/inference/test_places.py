"""One behaviour of the repository wherever it lies: a folder, an S3 endpoint, or any other fsspec file system."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.aliases import ALIASES
from inference.manifest import MANIFEST, MODEL
from inference.objects import Objects
from inference.promotion import point, roll_back
from inference.remote import open_repository
from inference.repository import Repository
from model_export.publish import publish
from model_export.verify import findings
from tests.inference.places import FAULTY, FaultyStore
from tests.inference.tiny import NAME, SENTIMENT, tiny_draft


@pytest.fixture(params=["folder", "file", "memory", "objects in a folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the repository lies; it is empty."""
    match request.param:
        case "folder":
            (tmp_path / "models").mkdir()
            return str(tmp_path / "models")
        case "file":
            (tmp_path / "with space").mkdir()
            return f"file://{tmp_path}/with space"
        case "memory":
            FaultyStore.reset()
            return f"{FAULTY}://models"
        case "objects in a folder":
            (tmp_path / "objects").mkdir()
            return f"local://{tmp_path}/objects"
        case _:
            return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


@pytest.fixture
def repository(root: str, tmp_path: Path) -> Repository:
    return open_repository(root, tmp_path / "cache")


def write(root: str, path: str, content: bytes) -> None:
    """Write a file of the repository past everything that publishes."""
    Objects(root.replace("file://", "local://") if "://" in root else f"local://{root}").write(path, content)


def test_what_was_published_is_read(root: str, repository: Repository) -> None:
    draft = tiny_draft(temperature=1.5)
    ref = publish(root, draft)
    version = repository.open(f"{NAME}@champion")
    assert version.ref == ref == ModelRef(NAME, draft.version) == repository.resolve(NAME)
    assert version.labels() == {"sentiment": SENTIMENT}
    assert version.read(MODEL) == draft.files[MODEL]
    assert version.manifest == repository.manifest(ref)
    assert findings(version) == []
    assert repository.models() == [NAME]
    assert repository.versions(NAME) == [ref.version]
    assert repository.look(NAME) == ({"champion": ref.version}, None)


def test_a_second_champion_is_seen_at_once_and_the_first_is_remembered(root: str, repository: Repository) -> None:
    first = publish(root, tiny_draft())
    assert repository.open(NAME).ref == first
    second = publish(root, tiny_draft(temperature=2.0))
    assert repository.open(NAME).ref == second
    assert repository.manifest(second).parent == first.version
    assert repository.aliases(NAME) == {"champion": second.version, "previous": first.version}
    assert sorted(repository.versions(NAME)) == sorted([first.version, second.version])


def test_publishing_the_same_again_changes_nothing(root: str, repository: Repository) -> None:
    ref = publish(root, tiny_draft())
    made = repository.manifest(ref).created_at
    assert publish(root, tiny_draft(metrics={"other": {"n": 1}})) == ref
    assert (repository.manifest(ref).created_at, repository.versions(NAME)) == (made, [ref.version])


def test_aliases_move_and_roll_back(root: str, repository: Repository) -> None:
    first = publish(root, tiny_draft())
    second = publish(root, tiny_draft(temperature=2.0), alias="candidate")
    assert repository.aliases(NAME) == {"champion": first.version, "candidate": second.version}
    point(repository, NAME, "champion", second.version, expected=first.version)
    assert repository.aliases(NAME) == {"champion": second.version, "previous": first.version}
    with pytest.raises(ModelError, match=f"the champion of {NAME} is {second.version} by now, not {first.version}"):
        roll_back(repository, NAME, expected=first.version)
    roll_back(repository, NAME, expected=second.version)
    assert repository.aliases(NAME) == {"champion": first.version}
    with pytest.raises(ModelError, match="no previous champion"):
        roll_back(repository, NAME)


def test_half_a_version_is_not_there_and_publishing_completes_it(root: str, repository: Repository) -> None:
    draft = tiny_draft()
    write(root, f"{NAME}/{draft.version}/{MODEL}", b"half")
    write(root, f"{NAME}/{draft.version}/left", b"half")
    write(root, f"{NAME}/{ALIASES}", b'{"champion": "%s"}' % draft.version.encode())
    assert repository.versions(NAME) == []
    with pytest.raises(ModelError, match=f"{draft.version}, which is not there, or not whole"):
        repository.open(NAME)
    publish(root, draft)
    assert repository.open(NAME).read(MODEL) == draft.files[MODEL]


def test_a_version_whose_files_are_not_those_of_its_manifest_is_refused_until_it_is_published_again(
    root: str, repository: Repository
) -> None:
    ref = publish(root, tiny_draft())
    write(root, f"{NAME}/{ref.version}/{MODEL}", b"other")
    with pytest.raises(ModelError, match=f"{MODEL} is not the file"):
        repository.open(NAME)
    assert publish(root, tiny_draft()) == ref
    assert repository.open(NAME).ref == ref


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 1}', b"\xff"])
def test_a_broken_manifest_is_refused(root: str, repository: Repository, content: bytes) -> None:
    ref = publish(root, tiny_draft())
    write(root, f"{NAME}/{ref.version}/{MANIFEST}", content)
    with pytest.raises(ModelError, match=MANIFEST):
        repository.open(NAME)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("other@champion", r"no model 'other' in .* \(there: tiny\)"),
        (f"{NAME}@candidate", "candidate, which is not there"),
        (f"{NAME}@../{NAME}", "no name of a model"),
        ("", "no name of a model"),
    ],
)
def test_a_reference_to_nowhere_says_what_is_there(
    root: str, repository: Repository, reference: str, reason: str
) -> None:
    publish(root, tiny_draft())
    with pytest.raises(ModelError, match=reason):
        repository.open(reference)


def test_an_empty_place_has_no_models(repository: Repository) -> None:
    assert (repository.models(), repository.versions(NAME), repository.aliases(NAME)) == ([], [], {})
    with pytest.raises(ModelError, match="there: none"):
        repository.open(NAME)


def test_publishers_at_once_are_completed_one_after_the_other_or_refused(root: str, repository: Repository) -> None:
    drafts = [tiny_draft(temperature=1 + number % 2) for number in range(4)]
    outcomes: list[ModelRef | ModelError] = []

    def run(draft: object) -> None:
        try:
            outcomes.append(publish(root, draft))  # type: ignore[arg-type]
        except ModelError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=(draft,)) for draft in drafts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refs = {outcome for outcome in outcomes if isinstance(outcome, ModelRef)}
    assert len(outcomes) == 4
    assert repository.open(NAME).ref in refs
    for version in repository.versions(NAME):
        assert findings(repository.open(f"{NAME}@{version}")) == []
