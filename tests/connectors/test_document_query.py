"""Taking a query's text apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.document_query import MAX_CLAUSES, Clause, Query, QueryError, parse_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  \t ", []),
        ("flood", [("phrase", "flood")]),
        ("Main Street", [("phrase", "Main"), ("phrase", "Street")]),
        ('"Main Street" flood', [("phrase", "Main Street"), ("phrase", "flood")]),
        ('"Main Street', [("phrase", "Main Street")]),
        ('a"b c"d', [("phrase", "a"), ("phrase", "b c"), ("phrase", "d")]),
        ("flo*", [("prefix", "flo")]),
        ("flo**", [("prefix", "flo")]),
        ("*lood", [("phrase", "*lood")]),
        ("#Flood", [("tag", "flood")]),
        ("#STRASSE #Straße", [("tag", "strasse"), ("tag", "strasse")]),
        ("#ﬁre", [("tag", "fire")]),
        ("## flood", [("phrase", "flood")]),
        ("flood - !", [("phrase", "flood")]),
        ("a:b OR (c)", [("phrase", "a:b"), ("phrase", "OR"), ("phrase", "(c)")]),
    ],
)
def test_what_a_text_asks_for(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(clause.kind, clause.text) for clause in parse_text(text)] == expected


@pytest.mark.parametrize("text", ["!", "***", '""', "#", '"..." - #', "_"])
def test_nothing_to_search_for_is_said(text: str) -> None:
    with pytest.raises(QueryError, match="nothing to search for"):
        parse_text(text)


@pytest.mark.parametrize("text", ["a " * (MAX_CLAUSES + 1), "a" * 5000])
def test_an_enormous_query_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="at most"):
        parse_text(text)


def test_the_hashtag_option_is_normalised_too() -> None:
    assert Query(text="flood", hashtag="#Harvey").clauses() == [Clause("phrase", "flood"), Clause("tag", "harvey")]
    with pytest.raises(QueryError, match="no hashtag"):
        Query(hashtag="#").clauses()


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        clauses = parse_text(text)
    except QueryError:
        return
    assert bool(clauses) is bool(text.replace("\x00", " ").strip())
    for clause in clauses:
        assert clause.text
        assert '"' not in clause.text
        clause.text.encode()
