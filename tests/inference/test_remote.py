"""Models at a URL: verified copies, the last known aliases while nobody answers, and nothing half served."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.aliases import ALIASES
from inference.lease import Lease
from inference.manifest import MANIFEST, MODEL
from inference.objects import Objects
from inference.promotion import point
from inference.remote import KEPT, RemoteRepository, open_repository
from model_export.publish import publish
from model_export.verify import findings
from tests.inference.places import FAULTY, FaultyStore
from tests.inference.tiny import NAME, tiny_draft

URL = f"{FAULTY}://models"


@pytest.fixture(autouse=True)
def sound() -> Iterator[None]:
    FaultyStore.reset()
    yield
    FaultyStore.reset()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def copies(cache: Path) -> list[str]:
    """The versions in the cache, and whatever else is there: nothing hidden may be left."""
    return sorted(path.name for path in cache.glob(f"*/{NAME}/*") if path.name != ALIASES)


def test_a_version_is_copied_once(cache: Path) -> None:
    ref = publish(URL, tiny_draft())
    FaultyStore.reads = []
    RemoteRepository(URL, cache).open(NAME)
    assert f"/models/{NAME}/{ref.version}/{MODEL}" in FaultyStore.reads
    FaultyStore.reads = []
    assert RemoteRepository(URL, cache).open(NAME).ref == ref
    assert FaultyStore.reads == [f"/models/{NAME}/{ALIASES}"]


def test_the_last_known_aliases_go_on_while_nobody_answers(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = publish(URL, tiny_draft())
    repository = RemoteRepository(URL, cache)
    repository.open(NAME)
    FaultyStore.silent = True
    with caplog.at_level(logging.INFO, logger="groundswell.models"):
        for _ in range(3):
            look = repository.look(NAME)
            assert look.aliases == {"champion": first.version}
            assert look.stale == f"{URL}: nobody answers"
        assert repository.open(NAME).ref == first
        assert (repository.models(), repository.versions(NAME)) == ([NAME], [first.version])
        FaultyStore.silent = False
        second = publish(URL, tiny_draft(temperature=2.0))
        assert repository.look(NAME) == ({"champion": second.version, "previous": first.version}, None)
    told = [record.getMessage() for record in caplog.records if "last known" in record.getMessage()]
    assert len(told) == 1
    assert f"{URL} answers again" in caplog.text


def test_a_start_goes_on_from_the_cache_while_nobody_answers(cache: Path) -> None:
    ref = publish(URL, tiny_draft())
    RemoteRepository(URL, cache).open(NAME)
    FaultyStore.silent = True
    version = RemoteRepository(URL, cache).open(NAME)
    assert version.ref == ref
    assert findings(version) == []


def test_a_start_without_a_cache_says_that_nobody_answers(cache: Path) -> None:
    publish(URL, tiny_draft())
    FaultyStore.silent = True
    with pytest.raises(ModelError, match=r"no aliases of tiny are known, not even from before: .*nobody answers"):
        RemoteRepository(URL, cache).open(NAME)


def test_a_new_champion_that_cannot_be_fetched_now_is_an_error_and_the_old_one_opens(cache: Path) -> None:
    first = publish(URL, tiny_draft())
    repository = RemoteRepository(URL, cache)
    repository.open(NAME)
    second = publish(URL, tiny_draft(temperature=2.0))
    assert repository.aliases(NAME)["champion"] == second.version
    FaultyStore.silent = True
    with pytest.raises(ModelError, match=f"{second.version} is not in the cache, and .*nobody answers"):
        repository.open(NAME)
    assert repository.open(f"{NAME}@previous").ref == first


def test_aliases_that_vanish_or_are_half_written_do_not_unseat_the_champion(cache: Path) -> None:
    ref = publish(URL, tiny_draft())
    repository = RemoteRepository(URL, cache)
    repository.open(NAME)
    FaultyStore.put(f"/models/{NAME}/{ALIASES}", b'{"champ')
    assert repository.look(NAME).aliases == {"champion": ref.version}
    assert "cannot be used" in (repository.look(NAME).stale or "")
    FaultyStore().rm_file(f"/models/{NAME}/{ALIASES}")
    assert repository.look(NAME).aliases == {"champion": ref.version}
    with pytest.raises(ModelError, match="are not known now"):
        point(repository, NAME, "champion", ref.version)


@pytest.mark.parametrize("name", [MODEL, MANIFEST, "labels.json"])
def test_a_copy_that_came_short_is_fetched_once_more(cache: Path, name: str) -> None:
    ref = publish(URL, tiny_draft())
    FaultyStore.short = {f"/models/{NAME}/{ref.version}/{name}": 1}
    assert findings(RemoteRepository(URL, cache).open(NAME)) == []
    assert set(FaultyStore.short.values()) == {0}
    assert copies(cache) == [ref.version]


def test_a_copy_that_always_comes_short_never_serves(cache: Path) -> None:
    ref = publish(URL, tiny_draft())
    FaultyStore.short = {f"/models/{NAME}/{ref.version}/{MODEL}": 99}
    with pytest.raises(ModelError, match=f"cannot be fetched: .*{MODEL} is not the file"):
        RemoteRepository(URL, cache).open(NAME)
    assert copies(cache) == []
    FaultyStore.short = {}
    assert RemoteRepository(URL, cache).open(NAME).ref == ref


@pytest.mark.parametrize("name", [MODEL, MANIFEST, "labels.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "a folder"])
def test_a_damaged_copy_is_fetched_again(cache: Path, name: str, damage: str) -> None:
    publish(URL, tiny_draft())
    file = RemoteRepository(URL, cache).open(NAME).folder / name
    content = file.read_bytes()
    file.unlink()
    match damage:
        case "truncated":
            file.write_bytes(content[: len(content) // 2])
        case "a folder":
            file.mkdir()
    version = RemoteRepository(URL, cache).open(NAME)
    assert file.read_bytes() == content
    assert findings(version) == []


def test_a_damaged_copy_never_serves_while_nobody_answers(cache: Path) -> None:
    publish(URL, tiny_draft())
    folder = RemoteRepository(URL, cache).open(NAME).folder
    (folder / MODEL).write_bytes(b"other")
    FaultyStore.silent = True
    with pytest.raises(ModelError, match="nobody answers"):
        RemoteRepository(URL, cache).open(NAME)


def test_the_cache_keeps_what_aliases_name_and_what_was_used_last(cache: Path) -> None:
    repository = RemoteRepository(URL, cache)
    refs = []
    for number in range(6):
        refs.append(publish(URL, tiny_draft(temperature=1.0 + number)))
        version = repository.open(NAME)
        os.utime(version.folder, (number, number))
    # Champion and previous are named; of the others the newest stay. A copy that is opened counts as new.
    kept = {ref.version for ref in refs[-2:]} | {ref.version for ref in refs[-2 - KEPT : -2]}
    assert set(copies(cache)) == kept
    repository.open(f"{NAME}@{refs[0].version}")
    assert refs[0].version in copies(cache)


def test_two_urls_never_share_a_copy(cache: Path) -> None:
    here, there = f"{FAULTY}://here", f"{FAULTY}://there"
    publish(here, tiny_draft(metrics={"x": {"n": 1}}))
    publish(there, tiny_draft(metrics={"x": {"n": 2}}))
    found = [RemoteRepository(url, cache).open(NAME).manifest.metrics["x"]["n"] for url in (here, there)]
    assert found == [1, 2]


def test_without_a_cache_the_copies_go_with_the_repository() -> None:
    publish(URL, tiny_draft())
    repository = RemoteRepository(URL)
    folder = repository.open(NAME).folder
    assert folder.exists()
    del repository
    assert not folder.exists()


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    publish(URL, tiny_draft())
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelError, match=r"cannot be kept in the cache .*: make room there, or set models\.cache"):
        RemoteRepository(URL, tmp_path / "file").open(NAME)


def test_publishing_without_permission_says_so(cache: Path) -> None:
    first = publish(URL, tiny_draft())
    FaultyStore.writes_left = 0
    with pytest.raises(ModelError, match=r"could not be published in .*no more writes"):
        publish(URL, tiny_draft(temperature=2.0))
    with pytest.raises(ModelError, match=r"cannot be changed: .*no more writes"):
        point(RemoteRepository(URL, cache), NAME, "candidate", first.version)


def test_a_publisher_that_stops_anywhere_leaves_the_old_champion_or_the_new_one(cache: Path) -> None:
    first = publish(URL, tiny_draft())
    second = tiny_draft(temperature=2.0)
    for writes in range(40):
        FaultyStore.writes_left = writes
        try:
            publish(URL, second)
        except ModelError:
            assert RemoteRepository(URL, cache).resolve(NAME) == first
            assert findings(RemoteRepository(URL, cache).open(NAME)) == []
            FaultyStore.writes_left = None
            for left in [path for path in FaultyStore.store if path.endswith(".publishing")]:
                del FaultyStore.store[left]
        else:
            break
    assert writes > 6
    assert RemoteRepository(URL, cache).resolve(NAME) == ModelRef(NAME, second.version)
    assert findings(RemoteRepository(URL, cache).open(NAME)) == []


def test_who_finds_another_at_work_is_refused_after_a_while(cache: Path) -> None:
    ref = publish(URL, tiny_draft())
    holder = Lease(Objects(URL), f"{NAME}/.publishing")
    with pytest.raises(ModelError, match=r"another publisher is at work \(.*, process \d+\): wait for it"):
        point(RemoteRepository(URL, cache, patience=0), NAME, "candidate", ref.version)
    holder.release()
    point(RemoteRepository(URL, cache, patience=0), NAME, "candidate", ref.version)


def test_a_version_that_another_publisher_completed_meanwhile_is_verified_and_kept(cache: Path) -> None:
    ref = publish(URL, tiny_draft())
    repository = RemoteRepository(URL, cache)
    made = repository.open(NAME).folder
    with repository.locked(NAME):
        repository.place(ref, made)
    assert findings(repository.open(NAME)) == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [("tos://bucket/models", "needs another package: Install tosfs"), ("nonsense://x", "no place for models")],
)
def test_a_url_that_nothing_here_reads_says_what_to_install(tmp_path: Path, url: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        open_repository(url, tmp_path).open(NAME)


FILL = """
import sys
from pathlib import Path
from inference.remote import RemoteRepository
print("ready", flush=True)
sys.stdin.readline()
version = RemoteRepository(sys.argv[1], Path(sys.argv[2])).open("tiny")
print(version.ref.version)
"""


def filler(url: str, cache: Path) -> subprocess.Popen[str]:
    """Another process that opens the champion once a line comes."""
    process = subprocess.Popen(
        [sys.executable, "-c", FILL, url, str(cache)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_processes_that_fill_one_cache_at_once(bucket: str, tmp_path: Path, cache: Path) -> None:
    url = f"{bucket}/{tmp_path.name}"
    ref = publish(url, tiny_draft())
    processes = [filler(url, cache) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert answers == [ref.version] * 3
    assert copies(cache) == [ref.version]


def test_a_process_that_is_killed_while_it_copies_leaves_nothing_that_serves(
    bucket: str, tmp_path: Path, cache: Path
) -> None:
    url = f"{bucket}/{tmp_path.name}"
    ref = publish(url, tiny_draft(bias=(0.0, 0.25, 0.0)))
    process = filler(url, cache)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    while process.poll() is None and not list(cache.glob(f"*/{NAME}/.staging-*")):
        pass  # without a pause, or the moment is missed
    process.kill()
    process.communicate()
    assert RemoteRepository(url, cache).open(NAME).ref == ref
    assert copies(cache) == [ref.version]
