"""Publishing: whole, proved and on the disk, or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.manifest import LABELS, MANIFEST, MODEL, Golden
from inference.promotion import point
from inference.remote import open_repository
from inference.repository import Repository
from inference.version import CARD
from model_export.publish import publish, restore
from model_export.verify import findings
from tests.inference.tiny import NAME, published, rewrite, tiny_draft


def listing(root: Path) -> dict[str, bytes]:
    """Every file below ``root`` and what it holds."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_published_model_is_the_champion_and_names_its_parent(tmp_path: Path) -> None:
    first = publish(tmp_path, tiny_draft())
    second = publish(tmp_path, tiny_draft(temperature=2.0))
    repository = Repository(tmp_path)
    assert repository.resolve(NAME) == second != first
    assert repository.versions(NAME) == sorted([first.version, second.version])
    assert repository.open(NAME).manifest.parent == first.version
    assert repository.open(f"{NAME}@{first.version}").manifest.parent is None


def test_publishing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    publish(tmp_path, tiny_draft())
    before = listing(tmp_path)
    publish(tmp_path, tiny_draft())
    assert listing(tmp_path) == before


def test_the_card_and_the_figures_are_no_part_of_a_version_s_identity() -> None:
    draft = tiny_draft()
    assert draft.version == tiny_draft(files={**draft.files, CARD: b"# tiny"}, metrics={"x": {"n": 1}}).version
    assert draft.version != tiny_draft(bias=(0, 0.6, 0)).version


def test_an_alias_moves_alone(tmp_path: Path) -> None:
    first = publish(tmp_path, tiny_draft())
    second = publish(tmp_path, tiny_draft(temperature=2.0), alias="candidate")
    assert Repository(tmp_path).aliases(NAME) == {"champion": first.version, "candidate": second.version}
    point(Repository(tmp_path), NAME, "champion", second.version)
    assert Repository(tmp_path).resolve(NAME) == second


@pytest.mark.parametrize(
    "broken",
    [
        {"golden": (Golden(text="good", expected={"sentiment": {"negative": 1, "neutral": 0, "positive": 0}}),)},
        {"golden": ()},
        {"encoder": "none"},
        {"files": {**tiny_draft().files, MODEL: b"not a graph"}},
        {"files": {**tiny_draft().files, LABELS: b"{}"}},
        {"files": {name: content for name, content in tiny_draft().files.items() if name != MODEL}},
    ],
)
def test_what_does_not_prove_itself_leaves_no_trace(tmp_path: Path, broken: dict[str, Any]) -> None:
    publish(tmp_path, tiny_draft(temperature=3.0))
    before = listing(tmp_path)
    with pytest.raises(ModelError):
        publish(tmp_path, tiny_draft(**broken))
    assert listing(tmp_path) == before
    assert len(list((tmp_path / NAME).iterdir())) == 2


def test_a_version_that_was_damaged_is_not_taken_for_published_but_replaced(tmp_path: Path) -> None:
    folder = published(tmp_path)
    (folder / MODEL).write_bytes(b"")
    publish(tmp_path, tiny_draft())
    manifest = Repository(tmp_path).open(NAME).manifest
    assert manifest.parent is None
    assert findings(Repository(tmp_path).open(NAME)) == []


@pytest.mark.parametrize("place", ["folder", "url"])
def test_a_lost_version_is_restored_and_no_alias_moves(tmp_path: Path, place: str) -> None:
    root = tmp_path / "models" if place == "folder" else f"memory://restore-{tmp_path.name}"
    cache = tmp_path / "cache"
    first = publish(root, tiny_draft(), cache=cache)
    second = publish(root, tiny_draft(temperature=2.0), cache=cache)
    repository = open_repository(root, cache)
    with repository.locked(NAME):
        repository.discard(second)
    assert repository.versions(NAME) == [first.version]
    before = repository.aliases(NAME)
    restore(root, tiny_draft(temperature=2.0), cache=cache)
    repository = open_repository(root, tmp_path / "other")
    assert repository.aliases(NAME) == before
    assert repository.open(NAME).manifest.parent == first.version


def test_what_a_killed_publisher_left_is_swept_and_never_served(tmp_path: Path) -> None:
    left = tmp_path / NAME / ".staging-abc"
    left.mkdir(parents=True)
    (left / MODEL).write_bytes(b"half")
    assert Repository(tmp_path).versions(NAME) == []
    publish(tmp_path, tiny_draft())
    assert not left.exists()


def test_publishers_at_once_all_succeed_and_one_version_serves(tmp_path: Path) -> None:
    drafts = [tiny_draft(temperature=1 + number % 3) for number in range(9)]
    refs: list[ModelRef] = []
    threads = [threading.Thread(target=lambda draft=draft: refs.append(publish(tmp_path, draft))) for draft in drafts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refs) == 9
    assert Repository(tmp_path).versions(NAME) == sorted({draft.version for draft in drafts})
    assert findings(Repository(tmp_path).open(NAME)) == []
    assert not list((tmp_path / NAME).glob(".staging-*"))


PUBLISH = """
import resource, sys
from pathlib import Path
from model_export.publish import publish
from model_export.verify import findings
from tests.inference.tiny import tiny_draft
draft = tiny_draft(temperature=float(sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
print("ready", flush=True)
publish(Path(sys.argv[1]), draft)
"""


@contextmanager
def publisher(root: Path, temperature: float, room: int = 1 << 30) -> Iterator[subprocess.Popen[str]]:
    """Another process that publishes; it cannot write files larger than ``room`` bytes."""
    command = [sys.executable, "-c", PUBLISH, str(root), str(temperature), str(room)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("room", [0, 40, 300])
def test_without_room_on_the_disk_nothing_changes(tmp_path: Path, room: int) -> None:
    publish(tmp_path, tiny_draft())
    before = listing(tmp_path)
    with publisher(tmp_path, 2.0, room) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "could not be published" in errors
    assert listing(tmp_path) == before
    assert len(list((tmp_path / NAME).iterdir())) == 2


#: Publishes in a child that is killed at the moment at which it touches the repository for the n-th time.
DOOMED = """
import os, signal, sys
from pathlib import Path
from model_export.publish import publish
from tests.inference.tiny import tiny_draft

root = sys.argv[1]
draft = tiny_draft(temperature=2.0)
print("ready", flush=True)
for line in sys.stdin:
    left = int(line)
    child = os.fork()
    if child == 0:
        def touched(event, arguments):
            global left
            paths = [str(each) for each in arguments if isinstance(each, (str, Path))]
            if event in TOUCHES and any(path.startswith(root) for path in paths):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        TOUCHES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree"}
        sys.addaudithook(touched)
        publish(Path(root), draft)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_publisher_that_is_killed_at_any_moment_leaves_the_old_champion_or_the_new_one(tmp_path: Path) -> None:
    first = publish(tmp_path, tiny_draft())
    second = ModelRef(NAME, tiny_draft(temperature=2.0).version)
    repository = Repository(tmp_path)
    command = [sys.executable, "-c", DOOMED, str(tmp_path)]
    seen = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        for moment in range(200):
            process.stdin.write(f"{moment}\n")
            process.stdin.flush()
            status = int(process.stdout.readline())
            seen.append(repository.resolve(NAME))
            for version in repository.versions(NAME):
                assert findings(repository.open(f"{NAME}@{version}")) == []
            if status == 0:
                break
            assert status == -signal.SIGKILL
            # Each moment is met from the same state.
            repository.write_aliases(NAME, {"champion": first.version})
            shutil.rmtree(tmp_path / NAME / second.version, ignore_errors=True)
        process.stdin.close()
    assert seen[0] == first
    assert seen[-1] == second
    assert set(seen) == {first, second}
    assert len(seen) > 20
    assert not list((tmp_path / NAME).glob(".*"))


#: Publishes onto a disk of its own on which ever more pages are free.
FULL = """
import sys
from pathlib import Path
from groundswell.errors import ModelError
from inference.repository import Repository
from model_export.publish import publish
from model_export.verify import findings
from tests.inference.tiny import NAME, tiny_draft

root = Path(sys.argv[1])
first = publish(root, tiny_draft())
before = sorted(path for path in root.rglob("*"))
refused = 0
while True:
    with (root / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            filler.truncate(max(0, filler.tell() - 4096 * refused))
    try:
        ref = publish(root, tiny_draft(temperature=2.0))
    except ModelError as error:
        assert "No space left on device" in str(error), error
        refused += 1
        (root / "filler").unlink()
        assert Repository(root).resolve(NAME) == first
        assert findings(Repository(root).open(NAME)) == []
        left = {path.relative_to(root).parts[1] for path in root.rglob("*") if len(path.relative_to(root).parts) > 1}
        assert left <= {first.version, "aliases.json", tiny_draft(temperature=2.0).version}, left
    else:
        break
assert Repository(root).resolve(NAME) == ref != first
assert findings(Repository(root).open(NAME)) == []
print(refused)
"""


def test_on_a_full_disk_the_old_champion_goes_on(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=256k tmpfs '{disk}'"
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*own, "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a disk of their own")
    script = f"{mount} && exec '{sys.executable}' -c \"$1\" '{disk}'"
    done = subprocess.run([*own, "sh", "-c", script, "sh", FULL], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 3


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelError, match=r"tiny could not be published in .*file"):
        publish(tmp_path / "file", tiny_draft())
    with pytest.raises(ModelError, match="no name of a model"):
        publish(tmp_path, tiny_draft(name="../x"))


def test_the_manifest_is_readable_by_people_and_complete(tmp_path: Path) -> None:
    content = (published(tmp_path) / MANIFEST).read_text()
    assert content.count("\n") > 20
    assert {"format", "name", "version", "created_at", "files", "inputs", "outputs", "heads", "golden"} <= set(
        msgspec.json.decode(content)
    )


def test_a_version_changed_by_hand_is_not_taken_for_published(tmp_path: Path) -> None:
    rewrite(published(tmp_path), LABELS, lambda _: b'{"sentiment": ["positive", "neutral", "negative"]}')
    assert any("golden input" in each for each in findings(Repository(tmp_path).open(NAME)))
    publish(tmp_path, tiny_draft())
    assert findings(Repository(tmp_path).open(NAME)) == []
