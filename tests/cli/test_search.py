"""``groundswell search``: the same on both stores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from connectors.configuration import load_settings
from dataflows import assembly
from groundswell.records import Scores
from groundswell.topics import field_of
from groundswell.waits import Waits
from tests.connectors.documents import envelope
from tests.connectors.topics import judged

NOW = datetime.now(UTC)
Search = Callable[..., tuple[int, str, str]]


def sentiment(label: str, score: float) -> Scores:
    other = "negative" if label == "positive" else "positive"
    return Scores(label, score, {label: score, other: 1 - score})


def documents() -> list[Any]:
    return [
        envelope(
            1,
            "The tornado took the roof \x1b[31mand\nthe barn",
            author="amy",
            created_at=NOW - timedelta(days=10),
            sentiment=sentiment("negative", 0.9),
            hashtags=("oklahoma",),
            classification={"v1.2": judged(0.25)},
            lang="en",
        ),
        envelope(
            2,
            "Tornado over, everybody is safe",
            author=None,
            created_at=NOW - timedelta(hours=1),
            sentiment=sentiment("positive", 0.8),
            classification={"v1.2": judged(0.97)},
            lang="en",
            source="other",
        ),
        envelope(3, "un gato", author="bob", created_at=NOW - timedelta(minutes=1), lang="es"),
    ]


@pytest.fixture(params=["sqlite", pytest.param("elasticsearch", marks=pytest.mark.stack)])
def search(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Search]:
    if request.param == "sqlite":
        options = ["--documents", f"sqlite:///{tmp_path}/posts.db"]
        overrides = [f"documents.url=sqlite:///{tmp_path}/posts.db"]
    else:
        server = request.getfixturevalue("elasticsearch")
        prefix = server.prefix()
        overrides = [
            f"documents.url={server.url}",
            f"documents.alias={prefix}posts",
            f"documents.trends_index={prefix}trends",
            "documents.replicas=0",
        ]
        options = [word for override in overrides for word in ("--set", override)]
    store = assembly.open_documents(load_settings(overrides=overrides, environment={}), Waits())
    store.prepare()
    store.declare(["v1.2"], max_labels=10)
    writer = store.writer(lambda _: None, lambda: True)
    writer.add(documents())
    writer.flush()
    writer.close()
    store.refresh()
    store.close()

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["search", *words, *options])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run


def ids(answer: tuple[int, str, str]) -> list[str]:
    assert answer[0] == 0
    return [json.loads(line)["id"] for line in answer[1].splitlines()]


def test_a_hit_is_one_line_of_time_author_sentiment_and_text(search: Search) -> None:
    code, out, err = search("#oklahoma")
    time = f"{NOW - timedelta(days=10):%Y-%m-%d %H:%M:%S}"
    assert (code, err) == (0, "")
    assert out == f"{time}  amy  negative 0.90  The tornado took the roof \ufffd[31mand the barn\n"


def test_words_narrow_and_json_holds_every_field(search: Search) -> None:
    code, out, _ = search("tornado", "safe", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["id"], found["source"], found["sentiment"]["label"]) == ("2", "other", "positive")
    assert found["_id"]
    assert "_score" in found


def test_without_a_query_the_newest_come_first(search: Search) -> None:
    assert ids(search("--json")) == ["3", "2", "1"]
    assert ids(search("--json", "--limit", "1")) == ["3"]


def test_sorting_shows_the_value_and_goes_both_ways(search: Search) -> None:
    assert ids(search("tornado", "--json", "--sort", "sentiment.scores.negative")) == ["1", "2"]
    assert ids(search("tornado", "--json", "--sort", "sentiment.scores.negative", "--order", "asc")) == ["2", "1"]
    assert "sentiment.scores.negative=0.900" in search("tornado", "--sort", "sentiment.scores.negative")[1]


def test_sorting_by_a_classification(search: Search) -> None:
    field = field_of("v1.2")
    assert ids(search("--json", "--sort", field)) == ["2", "1", "3"]
    assert ids(search("--json", "--sort", field, "--order", "asc")) == ["1", "2", "3"]
    assert [f"{field}=0.970" in line for line in search("--sort", field)[1].splitlines()] == [True, False, False]
    found = json.loads(search("safe", "--json")[1])
    assert (found["topics"], found["classification"]["v1.2"]["score"]) == (["v1.2"], 0.97)


def test_times_bound_the_hits(search: Search) -> None:
    assert ids(search("--json", "--since", "2h")) == ["3", "2"]
    assert ids(search("--json", "--until", "30m")) == ["2", "1"]
    assert ids(search("--json", "--since", "7d", "--until", "30m")) == ["2"]
    assert ids(search("--json", "--since", f"{NOW - timedelta(days=11):%Y-%m-%d}", "--until", "2d")) == ["1"]


def test_language_and_source_narrow_too(search: Search) -> None:
    assert ids(search("--json", "--lang", "es")) == ["3"]
    assert ids(search("--json", "--source", "other")) == ["2"]


def test_nothing_found_is_no_failure(search: Search) -> None:
    assert search("nowhere") == (0, "", "nothing found\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x", "--sort", "beauty"], "cannot sort by 'beauty'"),
        (["x", "--limit", "0"], "limit 0"),
        (["%%%"], "nothing to search for"),
        (["x", "--since", "yesterday"], "--since 'yesterday': expected"),
    ],
)
def test_a_question_that_makes_no_sense_exits_2(search: Search, words: list[str], message: str) -> None:
    code, out, err = search(*words)
    assert (code, out) == (2, "")
    assert message in err


def test_a_store_that_does_not_answer_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "x", "--documents", "http://127.0.0.1:9"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("groundswell: elasticsearch: ")
    assert captured.err.count("\n") == 1
