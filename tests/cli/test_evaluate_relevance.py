"""``groundswell evaluate relevance``: the same on both stores, against figures worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import isclose, log2
from pathlib import Path

import pytest

from cli.main import main
from connectors.configuration import load_settings
from dataflows import assembly
from dataflows.relevance import tag_of
from groundswell.records import document_id
from groundswell.waits import Waits
from tests.connectors.documents import envelope, write
from tests.connectors.topics import declare, judged

NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)
Evaluate = Callable[..., tuple[int, str, str]]

#: Number, text, tags, probability. The two newest carry the tag, and one of them is about something else.
POSTS = (
    (1, "buy cheap watches", ("flood",), 0.1),
    (2, "the flood took the bridge", ("flood",), 0.9),
    (3, "the river is in our street", (), 0.95),
    (4, "rescued by boat tonight", (), 0.8),
    (5, "a flood of emails", (), 0.05),
)


@pytest.fixture(params=["sqlite", pytest.param("elasticsearch", marks=pytest.mark.stack)])
def evaluate(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Evaluate]:
    if request.param == "sqlite":
        options = [f"documents.url=sqlite:///{tmp_path}/posts.db"]
    else:
        server = request.getfixturevalue("elasticsearch")
        options = [f"documents.url={server.url}", f"documents.alias={server.prefix()}posts"]
    store = assembly.open_documents(load_settings(overrides=options, environment={}), Waits())
    store.prepare()
    declare(store, "flood")
    write(
        store,
        *(
            envelope(
                number,
                text,
                hashtags=tags,
                created_at=NOW - timedelta(minutes=number),
                classification={"flood": judged(score)},
            )
            for number, text, tags, score in POSTS
        ),
    )
    store.close()

    def run(judgments: str, *words: str) -> tuple[int, str, str]:
        path = tmp_path / "judgments.csv"
        path.write_text(judgments)
        sets = [word for option in options for word in ("--set", option)]
        code = main(["evaluate", "relevance", str(path), *words, *sets])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run


def test_the_classification_brings_up_what_the_tag_does_not(evaluate: Evaluate) -> None:
    rows = f"query,document,grade\n#Flood,1,0\n#Flood,2,2\n#Flood,{document_id('test', '3')},2\n#Flood,4,1\n"
    code, out, err = evaluate(rows, "--json")
    assert (code, err) == (0, "")
    (query,) = json.loads(out)["queries"]
    assert (query["tag"], query["judged"], query["relevant"], query["missing"]) == ("flood", 4, 3, 0)
    # With the tag, newest first: 1, 2. By probability: 3, 2, 4, 1, 5.
    ideal = 3 + 3 / log2(3) + 1 / 2
    plain, classified = query["plain"], query["classified"]
    assert (plain["found"], plain["relevant"], classified["found"], classified["relevant"]) == (2, 1, 5, 3)
    assert isclose(plain["dcg"], 3 / log2(3))
    assert isclose(plain["ndcg"], 3 / log2(3) / ideal)
    assert isclose(plain["ap"], 1 / 2 / 3)
    assert isclose(classified["dcg"], ideal)
    assert (classified["ndcg"], classified["ap"]) == (1, 1)


def test_what_is_missing_stays_in_the_ideal_and_k_cuts_both(evaluate: Evaluate) -> None:
    code, out, err = evaluate("flood,5,0\nflood,2,1\nflood,nowhere,1\n", "--json", "--k", "1")
    assert code == 0
    assert "flood: 1 judged documents are not in the store" in err
    (query,) = json.loads(out)["queries"]
    assert query["missing"] == 1
    assert query["classified"]["ndcg"] == 0
    # Third of those with a probability, of two that are relevant.
    assert isclose(query["classified"]["ap"], 1 / 2 / 2)


def test_a_table_ends_in_the_means(evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = evaluate("#flood,3,1\nflood,2,1\nother words,1,1\n#flood2,1,0\n")
    assert code == 0
    heading, first, *_, last = out.splitlines()
    assert " ".join(heading.split()) == "query judged relevant DCG@10 with NDCG@10 with AP with"
    assert first.split() == ["#flood", "1", "1", "0.000", "1.000", "0.000", "1.000", "0.000", "1.000"]
    assert last.split()[:3] == ["mean", "of", "2"]
    assert "other words: documents have no classification by #otherwords: groundswell reclassify otherwords" in err
    assert "#flood2: nothing is judged relevant" in err


def test_without_any_classification_it_fails_and_says_what_to_do(evaluate: Evaluate) -> None:
    code, _, err = evaluate(f"#storm,1,1\n{300 * 'x'},1,1\n")
    assert code == 1
    assert "groundswell reclassify storm" in err
    assert "xxx: this makes no hashtag" in err


@pytest.mark.parametrize(
    ("rows", "words", "code", "said"),
    [
        ("#flood,1\n", (), 1, "line 1: expected query, document id, grade"),
        ("!!!,1,1\n", (), 1, "the query '!!!': nothing to search for"),
        (f"#flood,1,1\n#flood,{document_id('test', '1')},1\n", (), 1, "names a document twice"),
        ("#flood,1,1\n", ("--k", "0"), 2, "--k 0: expected 1 or more"),
    ],
)
def test_bad_input_is_told(evaluate: Evaluate, rows: str, words: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = evaluate(rows, *words)
    assert (found, out) == (code, "")
    assert said in err


def test_the_tag_of_a_query() -> None:
    assert [tag_of(query) for query in ("#Prayfor", "pray for", '"pray for" oklahoma', "#выборы", "")] == [
        "prayfor",
        "prayfor",
        "prayforoklahoma",
        "выборы",
        "",
    ]
