"""``groundswell reclassify``: documents re-read by hand, with tiny models, over both stores."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.main import main
from connectors.configuration import load_settings
from connectors.document_store import DocumentStore
from connectors.redis_client import connect
from connectors.redis_topics import TopicBoard
from dataflows import assembly
from groundswell.records import document_id
from groundswell.topics import Topic, TopicsKnown
from groundswell.waits import Waits
from tests.connectors.documents import envelope, write
from tests.inference.tiny_bert import NAME, published_bert
from tests.inference.tiny_topics import published_evidence, published_words

NOW = datetime.now(UTC)
#: Documents that come in while a run lasts are read as well: these were there.
BEFORE = NOW - timedelta(hours=1)
Command = Callable[..., tuple[int, str, str]]

#: Words of posts about the topic, with its tag and without, and of posts about something else.
ABOUT = ("river", "flood", "water", "bridge", "street", "dam", "boat", "rescue", "mud", "sandbags", "levee", "rain")
ELSE = ("game", "train", "news", "coffee", "birthday", "music", "exam", "pizza", "holiday", "phone", "cat", "movie")
TAGGED = 24


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    published_bert(root, embedding=384, embedding_space="one")
    published_bert(root, 2, pairs=True, name="nli")
    published_evidence(root, "one", rare=(*ABOUT, *ELSE))
    published_words(root)
    return root


def documents() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Id, text and tags: with the tag, about it without, and something else."""
    chosen = random.Random(6)
    for number in range(TAGGED):
        yield f"tagged{number}", " ".join(chosen.sample(ABOUT, 5)), ("flood",)
    for number in range(12):
        yield f"about{number}", " ".join(chosen.sample(ABOUT, 5)), ()
    for number in range(30):
        yield f"else{number}", " ".join(chosen.sample(ELSE, 5)), ()


@pytest.fixture(params=["sqlite", pytest.param("elasticsearch", marks=pytest.mark.stack)])
def options(request: pytest.FixtureRequest, models: Path, tmp_path: Path) -> list[str]:
    if request.param == "sqlite":
        place = [f"documents.url=sqlite:///{tmp_path}/posts.db"]
    else:
        server = request.getfixturevalue("elasticsearch")
        place = [f"documents.url={server.url}", f"documents.alias={server.prefix()}posts"]
    return [
        *place,
        f"job.data_dir={tmp_path}/data",
        f"models.repository={models}",
        f"models.posts={NAME}",
        "models.threads=1",
        "models.buckets=[32]",
    ]


@pytest.fixture
def store(options: list[str]) -> Iterator[DocumentStore]:
    """The store, with the documents and no vectors: the evidence is what they say."""
    found = assembly.open_documents(load_settings(overrides=options, environment={}), Waits())
    found.prepare()
    write(
        found,
        *(
            envelope(name, text, hashtags=tags, created_at=NOW - timedelta(minutes=place), indexed_at=BEFORE)
            for place, (name, text, tags) in enumerate(documents())
        ),
    )
    yield found
    found.close()


@pytest.fixture
def command(options: list[str], store: DocumentStore, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: str, **changes: str) -> tuple[int, str, str]:
        given = {"redis.url": "", **{key.replace("__", "."): value for key, value in changes.items()}}
        sets = [*options, *(f"{key}={value}" for key, value in given.items())]
        code = main([*words, *(word for each in sets for word in ("--set", each))])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def scores(store: DocumentStore, tag: str = "flood") -> dict[str, float]:
    """The probabilities by the posts' own ids."""
    found = store.get([document_id("test", name) for name, _, _ in documents()])
    return {
        document.id: document.classification[tag].score for document in found.values() if tag in document.classification
    }


def test_every_document_gets_a_probability_and_those_about_the_tag_a_high_one(
    command: Command, store: DocumentStore
) -> None:
    code, out, err = command("reclassify", "#Flood", "--coverage", "all", "--json")
    assert code == 0
    said = json.loads(out)
    found = scores(store)
    assert said["examined"] >= len(found) == said["scored"] == 66
    assert min(score for name, score in found.items() if not name.startswith("else")) >= 0.5
    assert max(score for name, score in found.items() if name.startswith("else")) < 0.5
    assert (said["tag"], said["field"], said["ended"], said["fresh"]) == (
        "flood",
        "classification_flood",
        "done",
        False,
    )
    assert said["members"] == sum(score >= 0.5 for score in found.values())
    assert [len(said["best"]), said["best"][0]["classification"]["flood"]["score"]] == [5, max(found.values())]
    assert "only what is in the store is scored: redis.url is empty" in err
    assert "label: flood" in err
    assert "66 documents have no vector of the space in use" in err


def test_without_vectors_the_candidates_are_those_with_the_tag(command: Command, store: DocumentStore) -> None:
    code, out, _ = command("reclassify", "flood")
    assert code == 0
    assert set(scores(store)) == {f"tagged{number}" for number in range(TAGGED)}
    first, *_, last = out.splitlines()
    assert (
        f"{TAGGED} documents scored, {TAGGED} of them about #flood (at least 0.5), 0 read by the cross-encoder" in first
    )
    assert last.split()[1] == "#"


def test_with_vectors_they_are_found_without_the_tag(command: Command, store: DocumentStore) -> None:
    assert command("embed")[0] == 0
    code, _, err = command("reclassify", "flood")
    assert (code, "no vector" in err) == (0, False)
    assert {f"about{number}" for number in range(12)} <= {name for name, score in scores(store).items() if score >= 0.5}


def test_a_label_says_what_no_document_is_tagged_with(command: Command, store: DocumentStore) -> None:
    code, _, err = command("reclassify", "highwater")
    assert code == 1
    assert "no document carries #highwater, so nothing says what it means: say what it is about with --label" in err
    code, _, err = command("reclassify", "highwater", "--label", "river  flood", "--coverage", "all")
    assert code == 0
    assert "label: river flood\n" in err
    assert "step: only 0 documents carry the tag: the label alone says what it means" in err
    found = scores(store, "highwater")
    texts = {name: text.split() for name, text, _ in documents()}
    both = [score for name, score in found.items() if {"river", "flood"} <= set(texts[name])]
    assert min(both) > max(score for name, score in found.items() if not {"river", "flood"} & set(texts[name]))


def test_label_and_documents_together_make_the_topic(command: Command) -> None:
    code, out, err = command("reclassify", "flood", "--label", "the storm of may", "--json")
    assert code == 0
    assert json.loads(out)["label"].startswith("the storm of may: ")
    assert "step: a person named it: the label is theirs" in err


def test_the_label_alone_is_what_a_cross_encoder_reads(command: Command, store: DocumentStore) -> None:
    code, out, _ = command(
        "reclassify", "flood", "--scorer", "nli", "--coverage", "all", "--json", reclassify__most_judged="10"
    )
    assert code == 0
    assert json.loads(out)["judged"] == len(scores(store)) == 66
    code, _, err = command("reclassify", "flood", "--scorer", "nli", reclassify__cross_encoder="")
    assert code == 1
    assert "needs a cross-encoder: set reclassify.cross_encoder" in err


def test_a_tag_that_can_have_no_field_is_told(command: Command) -> None:
    assert command("reclassify", "storm", "--label", "storm", reclassify__max_labels="1")[0] == 0
    code, _, err = command("reclassify", "flood", reclassify__max_labels="1")
    assert code == 1
    assert "documents cannot be scored by #flood: " in err


@pytest.mark.parametrize(
    ("words", "changes", "code", "said"),
    [
        (("",), {}, 2, "'' is no hashtag"),
        (("flood", "--label", " "), {}, 2, "--label is empty"),
        (("flood", "--stop"), {}, 1, "no topic is followed: redis.url is empty"),
        (("flood",), {"reclassify__evidence": "absent"}, 1, "no model 'absent'"),
    ],
)
def test_bad_input_is_told(
    command: Command, words: tuple[str, ...], changes: dict[str, str], code: int, said: str
) -> None:
    found, out, err = command("reclassify", *words, **changes)
    assert (found, out) == (code, "")
    assert said in err


@pytest.mark.stack
def test_with_redis_fresh_posts_are_scored_too_until_it_is_stopped(
    command: Command, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("redis").url
    board = TopicBoard(connect(url), "")
    code, out, err = command("reclassify", "flood", redis__url=url)
    assert code == 0
    assert "posts that come in are scored as well, until groundswell reclassify flood --stop" in out
    assert "only what is in the store" not in err
    topic = board.topics()[1]["flood"]
    assert (topic.trend_id, topic.posts, board.progress()["flood"].phase) == ("flood", TAGGED, "up to date")
    assert command("reclassify", "flood", redis__url=url)[0] == 0
    assert board.topics()[1]["flood"].at > topic.at
    code, out, _ = command("reclassify", "flood", "--stop", redis__url=url)
    assert (code, out) == (0, "posts that come in are scored by #flood no more; what is scored stays\n")
    assert (board.topics()[1], board.progress()) == ({}, {})
    assert command("reclassify", "flood", "--stop", redis__url=url)[0] == 1


@pytest.mark.stack
def test_what_the_job_has_put_there_is_left_to_it(command: Command, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("redis").url
    TopicBoard(connect(url), "").put(Topic("flood/1", "flood", NOW, "flood", "flood"))
    code, _, err = command("reclassify", "flood", "--stop", redis__url=url)
    assert code == 1
    assert "#flood trends by itself: the job scores posts by it until the trend has ended" in err


@pytest.mark.stack
def test_it_ends_where_somebody_gives_the_tag_a_newer_topic(command: Command, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("redis").url
    board = TopicBoard(connect(url), "", lifetime=1)
    # A process that never takes it up: the closing pass waits until its word has expired.
    board.report("posts:0", TopicsKnown({}, {}, NOW))
    board.put(Topic("flood/1", "flood", NOW + timedelta(days=1), "flood", "flood"))
    newest = board.topics()[1]["flood"].at
    code, out, _ = command("reclassify", "flood", "--json", redis__url=url, reclassify__cross_encoder="")
    assert code == 0
    # The clock is behind the topic that is there, and the new one is later all the same.
    assert board.topics()[1]["flood"].at == newest + timedelta(microseconds=1)
    assert json.loads(out)["ended"] == "done"
