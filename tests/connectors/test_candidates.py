"""What every document store must do to let its documents be read for a topic."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise

import pytest

from connectors.document_query import QueryError
from connectors.document_store import DocumentStore
from connectors.document_topics import Found, NewScore, Page, Selection, Span
from groundswell.records import document_id
from tests.connectors.documents import TIME, Open, deletion, envelope, write
from tests.connectors.topics import declare, embedded, judged, pages, put, read, vector

_EXAMPLES = count()
DAY = timedelta(days=1)


def names(found: list[Found]) -> list[str]:
    """The documents' ids, as far as their texts are their ids."""
    return [each.text for each in found]


@pytest.fixture
def library(store: DocumentStore) -> DocumentStore:
    declare(store, "flood", "quake")
    write(
        store,
        envelope("east", "east", hashtags=("flood", "river"), **embedded(vector(100))),
        envelope("north", "north", created_at=TIME + 20 * DAY, **embedded(vector(0, 7))),
        envelope("west", "west", source="press", classification={"flood": judged(0.9)}, **embedded(vector(-128))),
        envelope("both", "both", created_at=TIME + DAY, repost_of="0", **embedded(vector(5, 5))),
        envelope("other", "other", created_at=TIME - DAY, hashtags=("quake",), **embedded(vector(100), "B")),
        envelope("bare", "bare", created_at=TIME - 9 * DAY, classification={"quake": judged(0.2)}, hashtags=("flood",)),
        envelope("unread", "unread", created_at=TIME + 2 * DAY, embedding_space="A"),
    )
    return store


class TestNearest:
    def near(self, store: DocumentStore, numbers: bytes, k: int = 10, **selection: object) -> list[str]:
        wanted = Selection(**{"tag": "flood", "space": "A", **selection})  # type: ignore[arg-type]
        return names(store.nearest_candidates(numbers, k, wanted))

    def test_the_cosine_of_each_in_the_space_and_of_no_other(self, library: DocumentStore) -> None:
        found = library.nearest_candidates(vector(1), 10, Selection(tag="flood", space="A"))
        assert [(each.text, round(each.cosine or 0.0, 5)) for each in found] == [
            ("east", 1.0),
            ("both", 0.70711),
            ("north", 0.0),
            ("west", -1.0),
        ]
        assert self.near(library, vector(1), k=2) == ["east", "both"]
        assert self.near(library, vector(1), space="B") == ["other"]
        assert self.near(library, vector(1), space="C") == []

    def test_only_of_the_selection(self, library: DocumentStore) -> None:
        assert self.near(library, vector(1), created=Span(TIME + DAY, TIME + 20 * DAY)) == ["both"]
        assert self.near(library, vector(1), created=Span(TIME + DAY)) == ["both", "north"]
        assert self.near(library, vector(1), kind="tagged") == ["east"]
        assert self.near(library, vector(1), kind="scored") == ["west"]
        # The selection comes before the limit.
        assert self.near(library, vector(1), k=1, kind="scored") == ["west"]

    def test_each_comes_with_all_that_scoring_needs(self, library: DocumentStore) -> None:
        (found,) = library.nearest_candidates(vector(-1), 1, Selection(tag="flood", space="A"))
        assert found == Found(
            document_id("press", "west"),
            found.place,
            found.state,
            "west",
            TIME,
            TIME,
            vector=vector(-128),
            space="A",
            classification=judged(0.9),
            topics=("flood",),
            cosine=pytest.approx(1.0, abs=1e-6),  # type: ignore[arg-type]
            tag="flood",
        )

    @pytest.mark.parametrize(
        ("numbers", "space", "k", "why"),
        [
            (b"\1", "A", 1, "1 dimensions instead of 384"),
            (vector(), "A", 1, "no direction"),
            (vector(1), None, 1, "one embedding space"),
            (vector(1), "A", 0, "limit 0"),
            (vector(1), "A", 10_001, "limit 10001"),
        ],
    )
    def test_what_makes_no_sense_is_a_clear_error(
        self, store: DocumentStore, numbers: bytes, space: str | None, k: int, why: str
    ) -> None:
        with pytest.raises(QueryError, match=why):
            store.nearest_candidates(numbers, k, Selection(tag="flood", space=space))


class TestPages:
    def test_everything_newest_first(self, library: DocumentStore) -> None:
        found = read(library)
        assert names(found)[:3] == ["north", "unread", "both"]
        assert sorted(names(found)[3:5]) == ["east", "west"]
        assert names(found)[5:] == ["other", "bare"]
        by_name = {each.text: each for each in found}
        assert by_name["east"].hashtags == ("flood", "river")
        assert (by_name["both"].repost, by_name["east"].repost) == (True, False)
        assert (by_name["other"].vector, by_name["other"].space) == (vector(100), "B")
        assert (by_name["unread"].vector, by_name["unread"].space) == (None, "A")
        assert (by_name["bare"].vector, by_name["bare"].space) == (None, None)
        assert (by_name["west"].classification, by_name["west"].topics) == (judged(0.9), ("flood",))
        # It has a classification, but by another tag.
        assert (by_name["bare"].classification, by_name["bare"].topics) == (None, ())

    def test_only_of_the_selection(self, library: DocumentStore) -> None:
        assert names(read(library, kind="tagged")) == ["east", "bare"]
        assert names(read(library, kind="scored")) == ["west"]
        assert names(read(library, "quake", kind="scored")) == ["bare"]
        assert names(read(library, "quake", kind="tagged")) == ["other"]
        assert names(read(library, space="B")) == ["other"]
        assert names(read(library, created=Span(None, TIME))) == ["other", "bare"]
        assert names(read(library, created=Span(TIME - DAY, TIME))) == ["other"]
        assert names(read(library, "never declared", kind="scored")) == []

    def test_an_empty_store_has_one_empty_page(self, store: DocumentStore) -> None:
        assert store.candidates(Selection(tag="flood")) == Page([], None)
        assert store.nearest_candidates(vector(1), 5, Selection(tag="flood", space="A")) == []
        assert store.slices(Selection(tag="flood")) == []

    @pytest.mark.parametrize("limit", [1, 7, 50, 51])
    def test_each_comes_once_whatever_the_size_of_a_page(self, store: DocumentStore, limit: int) -> None:
        # Many of one time, of several sources and weeks: every tie is crossed by a page.
        write(
            store,
            *(
                envelope(number, str(number), source=f"s{number % 3}", created_at=TIME + number // 10 * DAY)
                for number in range(50)
            ),
        )
        found = read(store, limit=limit)
        assert len(found) == len({each.id for each in found}) == 50
        assert all(one.created_at >= other.created_at for one, other in pairwise(found))

    @pytest.mark.parametrize("limit", [0, 10_001])
    def test_a_limit_out_of_range(self, store: DocumentStore, limit: int) -> None:
        with pytest.raises(QueryError, match=f"limit {limit}"):
            store.candidates(Selection(tag="flood"), limit)

    def test_reading_goes_on_beside_what_is_scored_deleted_and_comes_in(self, store: DocumentStore) -> None:
        declare(store, "flood")
        write(store, *(envelope(number, str(number), created_at=TIME + number * DAY) for number in range(30)))
        seen: list[str] = []
        for number, page in enumerate(pages(store, Selection(tag="flood"), 4)):
            put(store, page, judged(0.9))
            write(store, envelope(f"new {number}", created_at=TIME + (number + 40) * DAY), deletion(number))
            seen += [each.text for each in page if each.text.isdigit()]
        assert seen == sorted(set(seen), key=int, reverse=True)
        assert set(map(str, range(8, 30))) <= set(seen)
        assert len(read(store, kind="scored", limit=3)) >= 22

    def test_when_they_were_indexed_is_one_thing_and_when_they_were_made_another(self, store: DocumentStore) -> None:
        write(
            store,
            *(
                envelope(
                    number, str(number), created_at=TIME - number * DAY, indexed_at=TIME + timedelta(seconds=number)
                )
                for number in range(20)
            ),
        )
        since, until = TIME + timedelta(seconds=5), TIME + timedelta(seconds=8)
        assert names(read(store, indexed=Span(since, until))) == ["5", "6", "7"]
        assert names(read(store, indexed=Span(since, until), limit=1)) == ["5", "6", "7"]
        assert names(read(store, indexed=Span(until=since))) == ["0", "1", "2", "3", "4"]
        assert names(read(store, indexed=Span(since), created=Span(TIME - 6 * DAY))) == ["5", "6"]

    def test_bounds_are_taken_outward_to_the_millisecond(self, store: DocumentStore) -> None:
        """::

        .000999   .001000   .001500   .002000   .003000
           |         |=========|=========|         |      asked for: [.0015, .0025)
        """
        offsets = (999, 1_000, 1_500, 2_000, 3_000)
        moments = [TIME + timedelta(microseconds=offset) for offset in offsets]
        write(
            store,
            *(
                envelope(offset, str(offset), created_at=moment, indexed_at=moment)
                for offset, moment in zip(offsets, moments, strict=True)
            ),
        )
        span = Span(TIME + timedelta(microseconds=1_500), TIME + timedelta(microseconds=2_500))
        for found in (read(store, created=span), read(store, indexed=span)):
            assert sorted(map(int, names(found))) == [1_000, 1_500, 2_000]

    def test_odd_times(self, store: DocumentStore) -> None:
        times = [
            datetime(1969, 7, 20, 20, 17, tzinfo=UTC),
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(2100, 1, 1, tzinfo=UTC),
        ]
        write(
            store,
            *(envelope(number, str(number), created_at=time, indexed_at=time) for number, time in enumerate(times)),
        )
        assert names(read(store)) == ["2", "0", "1"]
        assert names(read(store, indexed=Span(until=datetime(1970, 1, 1, tzinfo=UTC)))) == ["0", "1"]
        found = store.slices(Selection(tag="flood"), 1)
        assert [each.documents for each in found] == [1, 1, 1]


def test_readers_and_scorers_side_by_side(open_store: Open) -> None:
    store = open_store()
    declare(store, "a", "b", "c")
    write(store, *(envelope(number, str(number), created_at=TIME + number % 5 * DAY) for number in range(40)))

    def score(tag: str) -> None:
        mine = open_store()
        for page in pages(mine, Selection(tag=tag), 7):
            left = [NewScore(each, tag, judged(0.75)) for each in page]
            while left:
                left = list(mine.put_scores(left).again)

    threads = [threading.Thread(target=score, args=(tag,)) for tag in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    store.refresh()
    documents = store.get([document_id("test", str(number)) for number in range(40)])
    assert [set(document.topics) for document in documents.values()] == [set("abc")] * 40
    assert all(set(document.classification) == set("abc") for document in documents.values())
