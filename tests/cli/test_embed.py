"""``groundswell embed`` and ``search --like``: stored documents get vectors, and are found by what they mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.main import main
from connectors.configuration import load_settings
from dataflows import assembly
from groundswell.waits import Waits
from tests.connectors.documents import envelope, write
from tests.inference import tiny
from tests.inference.tiny_bert import NAME, published_bert

TEXTS = ("what a good day!", "rain and hate in the city", "the game was not on")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Models whose vectors the stores take: the champion in the space *one*, a candidate in *two*."""
    place = tmp_path / "models"
    published_bert(place, embedding=384, embedding_space="one")
    published_bert(place, 1, embedding=384, embedding_space="two", alias="candidate")
    tiny.published(place)
    return place


@pytest.fixture
def command(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs a command on three documents that were there before there were models."""
    options = [
        f"documents.url=sqlite:///{tmp_path}/posts.db",
        f"job.data_dir={tmp_path}/data",
        f"models.repository={root}",
        "models.threads=1",
        "models.buckets=[32]",
    ]
    store = assembly.open_documents(load_settings(overrides=options, environment={}), Waits())
    store.prepare()
    write(store, *(envelope(number, text) for number, text in enumerate(TEXTS)))
    store.close()

    def run(*words: str, posts: str = NAME) -> tuple[int, str, str]:
        given = [*options, f"models.posts={posts}"]
        code = main([*words, *(word for option in given for word in ("--set", option))])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run


def found(answer: tuple[int, str, str]) -> list[str]:
    assert answer[0] == 0
    return [json.loads(line)["text"] for line in answer[1].splitlines()]


def test_documents_are_found_by_meaning_once_they_have_vectors(command: Command) -> None:
    code, out, err = command("search", "--like", TEXTS[1])
    assert (code, out) == (0, "")
    assert err.startswith("3 documents have no vector of the space in use and cannot be found: groundswell embed")
    assert "3  no space yet" in command("embed", "--status")[1]
    code, out, _ = command("embed", "--json")
    assert (code, json.loads(out)["written"], json.loads(out)["left"]) == (0, 3, 0)
    assert "all documents have the space one" in command("embed", "--status")[1]
    for text in TEXTS:
        code, out, err = command("search", "--like", text, "--json")
        assert (found((code, out, err))[0], err) == (text, "")
        assert json.loads(out.splitlines()[0])["_score"] > 0.99
    assert found(command("search", "--like", TEXTS[0], "game", "--json")) == [TEXTS[2]]


def test_embedding_goes_on_where_it_was(command: Command) -> None:
    assert json.loads(command("embed", "--limit", "2", "--json")[1])["left"] == 1
    answer = json.loads(command("embed", "--json")[1])
    assert (answer["written"], answer["left"]) == (1, 0)
    assert json.loads(command("embed", "--json")[1])["written"] == 0


def test_a_champion_of_another_space_begins_it_by_itself(command: Command, root: Path) -> None:
    assert command("embed")[0] == 0
    assert command("models", "promote", f"{NAME}@candidate")[0] == 1
    code, _, err = command("models", "promote", f"{NAME}@candidate", "--new-space")
    assert code == 0
    assert "3 documents have got a vector of the space two" in err
    assert found(command("search", "--like", TEXTS[2], "--json"))[0] == TEXTS[2]
    code, _, err = command("models", "rollback", NAME, "--new-space")
    assert code == 0
    assert "3 documents have got a vector of the space one" in err


@pytest.mark.parametrize("words", [("embed",), ("embed", "--status"), ("search", "--like", "rain")])
def test_a_model_without_embeddings_says_so(command: Command, words: tuple[str, ...]) -> None:
    code, out, err = command(*words, posts=tiny.NAME)
    assert (code, out) == (1, "")
    assert "gives no embeddings: set models.posts to a model that does" in err
    code, out, err = command(*words, posts="")
    assert (code, out) == (1, "")
    assert "models are turned off" in err
