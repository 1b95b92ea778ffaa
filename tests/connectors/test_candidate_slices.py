"""What every document store must do to cut its documents into slices of time."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count, pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.document_store import DocumentStore
from connectors.document_topics import NewScore, Selection, Span
from connectors.elasticsearch_writer import BulkLimits
from tests.connectors.documents import TIME, Open, envelope, write
from tests.connectors.topics import declare, embedded, judged, read, vector

_EXAMPLES = count()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seconds=st.lists(st.integers(0, 10) | st.integers(-(10**9), 10**9), max_size=40),
    most=st.integers(1, 12),
    since=st.none() | st.integers(-10, 10),
    until=st.none() | st.integers(0, 20),
)
def test_they_part_the_span_and_none_holds_too_many(
    store: DocumentStore, seconds: list[int], most: int, since: int | None, until: int | None
) -> None:
    space = f"space {next(_EXAMPLES)}"
    times = [TIME + timedelta(milliseconds=offset) for offset in seconds]
    write(
        store,
        *(
            envelope(f"{space}-{number}", created_at=time, **embedded(vector(1), space))
            for number, time in enumerate(times)
        ),
    )
    span = Span(*(None if end is None else TIME + timedelta(milliseconds=end) for end in (since, until)))
    inside = [
        time
        for time in times
        if (span.since is None or time >= span.since) and (span.until is None or time < span.until)
    ]
    found = store.slices(Selection(tag="flood", space=space, created=span), most)
    assert sum(each.documents for each in found) == len(inside)
    for each in found:
        lying = [time for time in inside if _within(time, each.span)]
        assert len(lying) == each.documents > 0
        assert each.documents <= most or len(set(lying)) == 1
    if found:
        assert (found[-1].span.since, found[0].span.until) == (span.since, span.until)
    assert all(newer.span.since == older.span.until for newer, older in pairwise(found))


def _within(time: datetime, span: Span) -> bool:
    return (span.since is None or time >= span.since) and (span.until is None or time < span.until)


def test_more_documents_than_a_search_can_give_are_reached(open_store: Open) -> None:
    store = open_store(BulkLimits())
    declare(store, "flood")
    write(
        store,
        *(
            envelope(number, f"{number}", created_at=TIME + timedelta(seconds=97 * number), **embedded(vector(1)))
            for number in range(10_500)
        ),
    )
    selection = Selection(tag="flood", space="A")
    slices = store.slices(selection, 4_000)
    assert 3 <= len(slices) <= 5
    nearest = [
        document.id
        for each in slices
        for document in store.nearest_candidates(
            vector(1), 10_000, Selection(tag="flood", space="A", created=each.span)
        )
    ]
    assert len(nearest) == len(set(nearest)) == 10_500
    found = read(store, limit=10_000, space="A")
    assert {each.id for each in found} == set(nearest)
    result = store.put_scores([NewScore(each, "flood", judged(0.75)) for each in found])
    assert (result.written, result.passed) == (10_500, 0)
    store.refresh()
    assert len(read(store, limit=10_000, kind="scored")) == 10_500
