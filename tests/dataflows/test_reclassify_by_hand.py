"""A re-reading by hand that is stopped, killed, taken off or superseded, and gone on with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from connectors.configuration import load_settings
from connectors.document_store import DocumentStore
from connectors.document_topics import Found
from connectors.redis_client import connect
from connectors.redis_topics import TopicBoard
from dataflows import assembly, models
from dataflows.reclassify_by_hand import ByHand, Ended
from dataflows.unfinished import UnfinishedFile
from groundswell.settings import Settings
from groundswell.topics import Progress, Topic
from groundswell.waits import Waits
from inference.tasks import EMBEDDING
from tests.connectors.documents import envelope, write
from tests.connectors.topics import read
from tests.inference.tiny_bert import NAME, published_bert
from tests.inference.tiny_topics import published_evidence, published_words

NOW = datetime.now(UTC)
DOCUMENTS = 300


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    published_bert(place, embedding=384, embedding_space="one")
    published_bert(place, 2, pairs=True, name="nli")
    published_evidence(place, "one", rare=("river", "flood"))
    published_words(place)
    return place


@pytest.fixture
def settings(root: Path, tmp_path: Path) -> Settings:
    """Every document is read by the cross-encoder: a step is no more than it reads at once."""
    options = [
        f"documents.url=sqlite:///{tmp_path}/posts.db",
        f"job.data_dir={tmp_path}/data",
        f"models.repository={root}",
        f"models.posts={NAME}",
        "models.threads=1",
        "models.buckets=[32]",
        "redis.url=",
        "reclassify.scorer=nli",
        "reclassify.coverage=all",
    ]
    return load_settings(overrides=options, environment={})


@pytest.fixture
def store(settings: Settings) -> Iterator[DocumentStore]:
    found = assembly.open_documents(settings, Waits())
    found.prepare()
    write(
        found,
        *(
            envelope(number, f"the river n{number}", hashtags=("flood",), created_at=NOW - timedelta(seconds=number))
            for number in range(DOCUMENTS)
        ),
    )
    yield found
    found.close()


Told = Callable[[Progress], None]


class Runs:
    """Runs, each with a stop of its own; ``topics`` are those that they were told, and whether they went on."""

    def __init__(self, settings: Settings, store: DocumentStore, board: TopicBoard | None = None) -> None:
        self.settings = settings
        self.store = store
        self.board = board
        self.topics: list[tuple[Topic, bool]] = []

    def run(self, stop_when: Callable[[Progress], bool] = lambda _: False, **changes: str) -> Ended:
        stop = threading.Event()

        def on_progress(progress: Progress) -> None:
            if stop_when(progress):
                stop.set()

        def on_topic(topic: Topic, again: bool) -> None:
            self.topics.append((topic, again))

        given = msgspec.structs.replace(self.settings.reclassify, **changes)
        settings = msgspec.structs.replace(self.settings, reclassify=given)
        model = models.open_model(settings, [EMBEDDING], pairs_too=True)
        assert model is not None
        with model:
            by_hand = ByHand(
                settings, self.store, self.board, model, "flood", None, Waits(), stop, on_topic, on_progress
            )
            return by_hand.run()


@pytest.fixture
def runs(settings: Settings, store: DocumentStore) -> Runs:
    return Runs(settings, store)


def scored(store: DocumentStore) -> dict[str, Found]:
    return {each.id: each for each in read(store) if each.classification is not None}


def test_what_was_scored_stays_and_is_passed_by_the_next_run(runs: Runs) -> None:
    ended = runs.run(lambda progress: progress.scored > 0)
    before = scored(runs.store)
    assert (ended.ended, ended.scored) == ("stopped", len(before))
    assert 0 < len(before) < DOCUMENTS
    again = runs.run()
    after = scored(runs.store)
    assert (again.ended, again.scored, again.judged) == ("done", DOCUMENTS, DOCUMENTS)
    assert [went_on for _, went_on in runs.topics] == [False, True]
    assert runs.topics[0][0] == runs.topics[1][0]
    assert {key: after[key].classification for key in before} == {
        key: found.classification for key, found in before.items()
    }
    assert len(after) == DOCUMENTS


def test_a_finished_one_is_described_anew_and_scores_everything_again(runs: Runs) -> None:
    runs.run()
    before = scored(runs.store)
    assert runs.run().scored == DOCUMENTS
    assert not runs.topics[1][1]
    for key, found in scored(runs.store).items():
        one, other = before[key].classification, found.classification
        assert one is not None
        assert other is not None
        assert other.topic_at > one.topic_at


@pytest.mark.parametrize("changes", [{"coverage": "candidates"}, {"scorer": "evidence"}])
def test_one_that_is_asked_for_otherwise_begins_anew(runs: Runs, changes: dict[str, str]) -> None:
    runs.run(lambda progress: progress.scored > 0)
    runs.run(lambda _: False, **changes)
    assert [went_on for _, went_on in runs.topics] == [False, False]


def test_what_another_release_has_kept_is_passed_over(
    runs: Runs, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    runs.run(lambda progress: progress.scored > 0)
    (kept,) = (Path(settings.job.data_dir) / "reclassify").iterdir()
    kept.write_text('{"store": "another shape"}')
    assert runs.run().ended == "done"
    assert "kept by another release" in caplog.text
    assert not kept.exists()


def test_a_killed_one_goes_on_with_its_topic(runs: Runs, settings: Settings) -> None:
    class Killed(BaseException):
        pass

    def kill(progress: Progress) -> bool:
        if progress.scored > 0:
            raise Killed
        return False

    with pytest.raises(Killed):
        runs.run(kill)
    before = scored(runs.store)
    assert 0 < len(before) < DOCUMENTS
    assert runs.run().ended == "done"
    assert runs.topics[0][0] == runs.topics[1][0]
    after = scored(runs.store)
    assert {key: after[key].classification for key in before} == {
        key: found.classification for key, found in before.items()
    }
    assert len(after) == DOCUMENTS
    assert UnfinishedFile(settings, f"{assembly.documents_url(settings)} posts", "flood").load() is None


@pytest.mark.stack
def test_with_a_board_it_says_how_far_it_is_and_ends_once_it_is_taken_off(
    settings: Settings, store: DocumentStore, request: pytest.FixtureRequest
) -> None:
    board = TopicBoard(connect(request.getfixturevalue("redis").url), "")
    runs = Runs(settings, store, board)
    stopped = runs.run(lambda progress: progress.scored > 0)
    assert (stopped.ended, stopped.fresh) == ("stopped", True)
    assert board.progress()["flood"].phase == "stopped"

    def take_off(progress: Progress) -> bool:
        board.remove("flood", runs.topics[-1][0].at)
        return False

    ended = runs.run(take_off)
    assert (ended.ended, ended.fresh) == ("taken off", False)
    assert runs.topics[0][0] == runs.topics[1][0]
    # A newer topic of somebody else's makes the unfinished one void.
    board.put(Topic("flood/1", "flood", datetime.now(UTC), "flood", "flood"))
    assert runs.run().ended == "done"
    assert not runs.topics[-1][1]
    assert runs.topics[-1][0].at > runs.topics[0][0].at
