"""What an alias means but must not serve: refused with its cause, told once, tried again where that makes sense."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from groundswell.errors import ModelError, Unavailable
from groundswell.records import Analysis, ModelRef
from inference import alias_watch
from inference.aliases import ALIASES
from inference.champion_router import ChampionRouter
from inference.manifest import LABELS, MANIFEST, MODEL, VOCABULARY
from inference.remote import RemoteRepository
from inference.repository import Repository
from inference.rows import RowError
from inference.version import ModelVersion
from model_export.publish import publish
from tests.inference.following import (
    OTHER,
    SERVE,
    THIRD,
    Clock,
    CountedLoads,
    ask,
    beside,
    following,
    gained,
    promote,
    refusals,
    serves,
    set_aliases,
)
from tests.inference.judged import TASK, load
from tests.inference.places import FAULTY, FaultyStore
from tests.inference.tiny import NAME, published, remanifest, rewrite, tiny_draft
from tests.inference.tiny_bert import NAME as BERT
from tests.inference.tiny_bert import published_bert


def _not_a_graph(root: Path, folder: Path) -> None:
    rewrite(folder, MODEL, lambda _: b"not a graph")


def _truncated(root: Path, folder: Path) -> None:
    (folder / MODEL).write_bytes((folder / MODEL).read_bytes()[:100])


def _half_copied(root: Path, folder: Path) -> None:
    (folder / VOCABULARY).unlink()


def _without_manifest(root: Path, folder: Path) -> None:
    (folder / MANIFEST).unlink()


def _wrong_labels(root: Path, folder: Path) -> None:
    rewrite(folder, LABELS, lambda _: b'{"sentiment": ["negative", "neutral", "great"]}')


def _swapped_labels(root: Path, folder: Path) -> None:
    rewrite(folder, LABELS, lambda _: b'{"sentiment": ["positive", "neutral", "negative"]}')


def _stale_golden(root: Path, folder: Path) -> None:
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes())
    manifest["golden"][0]["expected"][TASK] = {"negative": 1.0, "neutral": 0.0, "positive": 0.0}
    remanifest(folder, golden=manifest["golden"])


def _missing_task(root: Path, folder: Path) -> None:
    remanifest(folder, heads=[])


def _odd_reference(root: Path, folder: Path) -> None:
    remanifest(folder, reference={TASK: {"classes": {"great": 1.0}, "confidence": [0.1] * 10}})


def _to_nowhere(root: Path, folder: Path) -> None:
    set_aliases(root, b'{"champion": "0123456789ab"}')


def _torn(root: Path, folder: Path) -> None:
    set_aliases(root, b'{"champion": "01')


def _vanished(root: Path, folder: Path) -> None:
    (root / NAME / ALIASES).unlink()


def _no_champion(root: Path, folder: Path) -> None:
    set_aliases(root, b'{"candidate": "0123456789ab"}')


def _upward(root: Path, folder: Path) -> None:
    set_aliases(root, b'{"champion": "../../etc"}')


@pytest.mark.parametrize(
    ("spoil", "cause", "reason"),
    [
        (_not_a_graph, alias_watch.MODEL, "onnxruntime cannot load the graph"),
        (_truncated, alias_watch.FILES, "is not the file that MANIFEST.json lists"),
        (_half_copied, alias_watch.FILES, "vocabulary.json cannot be read"),
        (_without_manifest, alias_watch.FILES, "MANIFEST.json cannot be read"),
        (_wrong_labels, alias_watch.MODEL, "its labels for sentiment are"),
        (_swapped_labels, alias_watch.MODEL, "the golden input"),
        (_stale_golden, alias_watch.MODEL, "the golden input 'good day' gives"),
        (_missing_task, alias_watch.MODEL, ""),
        (_odd_reference, alias_watch.MODEL, "the reference of its manifest for sentiment"),
        (_to_nowhere, alias_watch.FILES, "0123456789ab"),
        (_upward, alias_watch.FILES, "is no name of a model, version or alias"),
        (_torn, alias_watch.ALIAS, "aliases.json cannot be used"),
        (_vanished, alias_watch.ALIAS, "has no alias champion of tiny any more"),
        (_no_champion, alias_watch.ALIAS, "has no alias champion of tiny any more"),
    ],
)
def test_what_is_wrong_never_serves_and_is_told_once(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path, Path], None],
    cause: str,
    reason: str,
) -> None:
    first = published(tmp_path).name
    folder, third = beside(tmp_path), beside(tmp_path, THIRD).name
    clock = Clock()
    with following(tmp_path, clock=clock) as router:
        promote(tmp_path, folder.name)
        spoil(tmp_path, folder)
        before = refusals()
        for _ in range(5):
            router.look()
            clock.now += 60
        (answer,) = ask(router, ["good day"])
        assert isinstance(answer, Analysis)
        assert answer.model.version == first
        assert gained(before) == {cause: 1}
        (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        assert line.startswith(f"{NAME}@champion: ")
        assert reason in line
        # And then a good one.
        set_aliases(tmp_path, msgspec.json.encode({"champion": third}))
        router.look()
        assert serves(router) == third


def test_a_version_that_lacks_a_task_or_reads_pairs_never_serves(tmp_path: Path) -> None:
    first = published_bert(tmp_path, embedding_space="one").name
    misfits: tuple[dict[str, Any], ...] = ({"heads": {TASK: ["negative", "neutral", "positive"]}}, {"pairs": True})
    with following(tmp_path, {TASK: BERT, "emotion": BERT}) as router:
        for number, options in enumerate(misfits):
            version = published_bert(tmp_path, number, alias="next", **options).name
            promote(tmp_path, version, BERT)
            router.look()
            assert serves(router) == first
    with following(tmp_path, {TASK: f"{BERT}@{first}"}) as router:
        assert serves(router) == first
    with pytest.raises(ModelError, match="does not answer nli"):
        ChampionRouter(Repository(tmp_path), {"nli": f"{BERT}@{first}"}, load)


def test_what_is_final_is_not_tried_again_before_the_alias_moves(tmp_path: Path) -> None:
    first, bad = published(tmp_path).name, beside(tmp_path)
    rewrite(bad, MODEL, lambda _: b"not a graph")
    clock, loads = Clock(), CountedLoads()
    with following(tmp_path, load=loads, clock=clock) as router:
        for _ in range(2):
            promote(tmp_path, bad.name)
            for _ in range(5):
                router.look()
                clock.now += 1_000
            promote(tmp_path, first)
            router.look()
    assert loads.loaded == [first, bad.name, bad.name]


def test_half_a_copy_serves_once_it_is_whole(tmp_path: Path) -> None:
    first, second = published(tmp_path).name, beside(tmp_path)
    whole = (second / MODEL).read_bytes()
    clock = Clock()
    with following(tmp_path, clock=clock) as router:
        (second / MODEL).write_bytes(whole[:10])
        promote(tmp_path, second.name)
        router.look()
        (second / MODEL).write_bytes(whole)
        router.look()
        assert serves(router) == first, "a second has not passed yet"
        clock.now += 1
        router.look()
        assert serves(router) == second.name


class Silent(Repository):
    """A repository that may stop answering; it counts how often it is asked for a version."""

    reason: Exception | None = None
    fetched = 0
    silent_aliases = True

    def aliases(self, name: str) -> dict[str, str]:
        if self.reason and self.silent_aliases:
            raise self.reason
        return super().aliases(name)

    def fetch(self, ref: ModelRef) -> ModelVersion:
        self.fetched += 1
        if self.reason:
            raise self.reason
        return super().fetch(ref)


@pytest.mark.parametrize("reason", [Unavailable("models", "no answer"), OSError("a driver's own"), MemoryError()])
def test_a_repository_that_goes_away_and_comes_back(tmp_path: Path, reason: Exception) -> None:
    published(tmp_path)
    repository = Silent(tmp_path)
    with following(repository) as router:
        second = published(tmp_path, bias=OTHER).name
        repository.reason = reason
        for _ in range(3):
            router.look()
            assert not isinstance(ask(router, ["good day"])[0], RowError)
        repository.reason = None
        router.look()
        assert serves(router) == second


def test_a_remote_place_that_falls_silent_before_the_version_could_be_fetched(tmp_path: Path) -> None:
    FaultyStore.reset()
    url = f"{FAULTY}://models"
    first = publish(url, tiny_draft()).version
    clock = Clock()
    with following(RemoteRepository(url, tmp_path), clock=clock) as router:
        second = publish(url, tiny_draft(bias=OTHER)).version
        FaultyStore.short = {f"/models/{NAME}/{second}/{MODEL}": 100}
        router.look()
        FaultyStore.silent = True
        for _ in range(3):
            router.look()
            clock.now += 300
            assert serves(router) == first
        FaultyStore.short, FaultyStore.silent = {}, False
        router.look()
        assert serves(router) == second
    FaultyStore.reset()


def test_a_folder_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    root = tmp_path / "models"
    published(root)
    with following(root) as router:
        second = published(root, bias=OTHER).name
        root.rename(tmp_path / "elsewhere")
        router.look()
        assert not isinstance(ask(router, ["good day"])[0], RowError)
        (tmp_path / "elsewhere").rename(root)
        router.look()
        assert serves(router) == second


def test_a_version_that_cannot_be_had_now_is_asked_for_less_and_less_often(tmp_path: Path) -> None:
    first = published(tmp_path).name
    repository, clock = Silent(tmp_path), Clock()
    repository.silent_aliases = False
    before = refusals()
    with following(repository, clock=clock) as router:
        second = published(tmp_path, bias=OTHER).name
        repository.reason, repository.fetched = Unavailable("models", "no answer"), 0
        for _ in range(600):
            router.look()
            clock.now += 1
        assert repository.fetched == 10, "after 0, 1, 3, 7, ... 511 seconds"
        assert serves(router) == first
        assert gained(before) == {alias_watch.UNAVAILABLE: 1}
        repository.reason = None
        clock.now += 300
        router.look()
        assert serves(router) == second


def test_nothing_foreseen_stops_the_looks(tmp_path: Path) -> None:
    first = published(tmp_path).name
    clock = Clock()
    broken = True

    def fragile(version: ModelVersion) -> Any:
        if version.ref.version != first and broken:
            raise MemoryError("the device is full")
        return load(version)

    before = refusals()
    with following(tmp_path, load=fragile, clock=clock) as router:
        second = published(tmp_path, bias=OTHER).name
        router.look()
        assert serves(router) == first
        assert gained(before) == {alias_watch.UNFORESEEN: 1}
        broken = False
        clock.now += 1
        router.look()
        assert serves(router) == second


def test_is_not_made_of_what_must_not_serve(tmp_path: Path) -> None:
    rewrite(published(tmp_path), MODEL, lambda _: b"not a graph")
    with pytest.raises(ModelError, match="must not serve"):
        ChampionRouter(Repository(tmp_path), SERVE, load)
    with pytest.raises(ModelError, match="no model 'absent'"):
        ChampionRouter(Repository(tmp_path), {TASK: "absent"}, load)
