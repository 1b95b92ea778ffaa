"""Bulk bodies, and what comes back for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.bulk_answer import ItemError, Outcome, classify_create, classify_delete, decode_answer
from connectors.elasticsearch_bulk import ActionLines, Bulk
from groundswell.records import document_id
from tests.connectors.documents import envelope

OPERATIONS = st.lists(
    st.tuples(st.booleans(), st.text(max_size=20).filter(lambda text: text.isprintable())), max_size=30
)


def build(operations: list[tuple[bool, str]]) -> Bulk:
    """A bulk of creates (true) and deletes."""
    bulk = Bulk()
    lines = ActionLines("posts", "week")
    for creates, text in operations:
        one = envelope(text, text)
        assert one.document is not None
        identity = document_id("test", text)
        if creates:
            bulk.create(lines.before_id(one.document.created_at), identity, one, one.document)
        else:
            bulk.delete("posts-2026.47", identity)
    return bulk


def lines_of(operations: list[tuple[bool, str]]) -> list[object]:
    """What the body must say, line by line."""
    lines: list[object] = []
    for creates, text in operations:
        action = {"_index": "posts-2026.47", "_id": document_id("test", text)}
        lines.append({"create" if creates else "delete": action})
        if creates:
            time = "2026-11-16T12:00:00Z"
            lines.append({"id": text, "source": "test", "text": text, "created_at": time, "indexed_at": time})
    return lines


def read(bulk: Bulk) -> list[object]:
    assert not bulk.body or bulk.body.endswith(b"\n")
    return [json.loads(line) for line in bytes(bulk.body).split(b"\n")[:-1]]


@given(OPERATIONS)
def test_a_body_says_what_was_put_in(operations: list[tuple[bool, str]]) -> None:
    bulk = build(operations)
    assert read(bulk) == lines_of(operations)
    assert len(bulk) == len(operations)


@given(OPERATIONS, st.data())
def test_a_part_is_what_building_it_alone_would_give(operations: list[tuple[bool, str]], data: st.DataObject) -> None:
    kept = [number for number in range(len(operations)) if data.draw(st.booleans())]
    part = build(operations).only(kept)
    alone = build([operations[number] for number in kept])
    assert (part.body, part.ends, part.ids) == (alone.body, alone.ends, alone.ids)


@given(OPERATIONS.filter(lambda operations: len(operations) > 1))
def test_halving_loses_nothing(operations: list[tuple[bool, str]]) -> None:
    bulk = build(operations)
    left, right = bulk.halves()
    assert left
    assert right
    assert left.body + right.body == bulk.body
    last = bulk.take_last()
    assert read(bulk) + read(last) == lines_of(operations)
    assert len(last) == 1


@given(OPERATIONS)
def test_a_text_that_is_no_unicode_leaves_no_trace(operations: list[tuple[bool, str]]) -> None:
    bulk = build(operations)
    before = bytes(bulk.body)
    broken = envelope(1, "half \udcff")
    assert broken.document is not None
    with pytest.raises(UnicodeEncodeError):
        bulk.create(b"{", "1", broken, broken.document)
    assert (bytes(bulk.body), len(bulk)) == (before, len(operations))


def test_weeks_months_and_one_for_all() -> None:
    time = datetime(2027, 1, 3, tzinfo=UTC)

    def index(interval: str) -> object:
        return json.loads(ActionLines("p", interval).before_id(time) + b'"}}')["create"]["_index"]  # type: ignore[arg-type]

    assert [index("week"), index("month"), index("none")] == ["p-2026.53", "p-2027.m01", "p-all"]


@pytest.mark.parametrize(
    ("status", "type_", "outcome"),
    [
        (201, None, Outcome.CREATED),
        (409, "version_conflict_engine_exception", Outcome.DUPLICATE),
        (400, "document_parsing_exception", Outcome.REFUSED),
        (400, "strict_dynamic_mapping_exception", Outcome.REFUSED),
        (400, "illegal_argument_exception", Outcome.REFUSED),
        (400, "index_closed_exception", Outcome.RETRY),
        (400, "validation_exception", Outcome.RETRY),
        (403, "cluster_block_exception", Outcome.RETRY),
        (429, "cluster_block_exception", Outcome.RETRY),
        (429, "es_rejected_execution_exception", Outcome.RETRY),
        (500, "null_pointer_exception", Outcome.RETRY),
        (503, "unavailable_shards_exception", Outcome.RETRY),
        (403, "security_exception", Outcome.STOP),
        (404, "index_not_found_exception", Outcome.STOP),
    ],
)
def test_what_a_create_came_to(status: int, type_: str | None, outcome: Outcome) -> None:
    assert classify_create(status, ItemError(type_) if type_ else None) is outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, Outcome.DELETED), (404, Outcome.ABSENT), (409, Outcome.RETRY), (503, Outcome.RETRY), (403, Outcome.STOP)],
)
def test_what_a_delete_came_to(status: int, outcome: Outcome) -> None:
    assert classify_delete(status, ItemError("some_exception") if status == 403 else None) is outcome


ANSWER = b'{"errors":true,"items":[{"create":{"status":201}},{"delete":{"status":404}}]}'


def test_an_answer_in_order() -> None:
    assert [outcome for outcome, _ in decode_answer(ANSWER, 2)] == [Outcome.CREATED, Outcome.ABSENT]


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_an_answer_about_another_number_of_items_is_none(expected: int) -> None:
    with pytest.raises(ValueError, match="2 items"):
        decode_answer(ANSWER, expected)


@given(st.integers(0, len(ANSWER) - 1))
def test_a_cut_answer_is_none(length: int) -> None:
    with pytest.raises(ValueError, match="unreadable"):
        decode_answer(ANSWER[:length], 2)


@given(
    st.binary()
    | st.recursive(
        st.integers(),
        lambda inner: (
            st.dictionaries(st.sampled_from(["errors", "items", "create", "status"]), inner) | st.lists(inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_nothing_but_an_answer_is_one(body: bytes) -> None:
    with pytest.raises(ValueError, match="answer"):
        decode_answer(body, 1)
