"""What every document store must do, run over each of them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.document_query import Query, QueryError
from connectors.document_store import DocumentStore
from connectors.elasticsearch_schema import EMBEDDING_DIMENSIONS
from groundswell.records import Document, Geo, ModelRef, Scores, document_id
from groundswell.trends import TagCount, TrendDocument
from tests.connectors.documents import TIME, Open, Tally, deletion, envelope, write
from tests.connectors.trends import trend_doc


def found(store: DocumentStore, text: str = "", **options: object) -> list[str]:
    return [hit.document.id for hit in store.search(Query(text=text, **options))]  # type: ignore[arg-type]


FULL = Document(
    id="full",
    source="test",
    text='Everything at once: 東京 😀 <b>&amp;</b> "quotes" \\ \u2028 \x07',
    created_at=datetime(2026, 12, 31, 23, 59, 59, 123000, tzinfo=UTC),
    indexed_at=TIME,
    author="someone",
    lang="en",
    hashtags=("one", "東京"),
    url="https://example.org/1",
    reply_to="7",
    repost_of="8",
    geo=Geo(35.68, 139.69),
    sentiment=Scores("positive", 0.75, {"positive": 0.75, "negative": 0.25}),
    emotion=Scores("joy", 1.0, {"joy": 1.0, "very long label": 0.0}),
    embedding=bytes(range(256)).hex() + bytes(EMBEDDING_DIMENSIONS - 256).hex(),
    embedding_space="minilm",
    model=ModelRef("sentiment", "3"),
    truncated=True,
)


class TestWriting:
    def test_every_field_comes_back_as_it_was(self, store: DocumentStore) -> None:
        full = envelope("full")
        full.document = FULL
        assert write(store, full).counts == (1, 0, 0, 0)
        assert store.get([document_id("test", "full")]) == {document_id("test", "full"): FULL}

    def test_a_search_leaves_the_embedding_out(self, store: DocumentStore) -> None:
        full = envelope("full")
        full.document = FULL
        write(store, full)
        (hit,) = store.search(Query(text="quotes"))
        assert (hit.id, hit.document) == (document_id("test", "full"), msgspec.structs.replace(FULL, embedding=None))

    def test_a_document_is_created_once(self, store: DocumentStore) -> None:
        assert write(store, envelope(1, "first"), envelope(2), envelope(1, "second")).counts == (2, 1, 0, 0)
        assert write(store, envelope(1, "third")).counts == (0, 1, 0, 0)
        assert store.count() == 2
        assert store.get([document_id("test", "1")])[document_id("test", "1")].text == "first"

    def test_the_same_id_from_two_sources_is_two_documents(self, store: DocumentStore) -> None:
        assert write(store, envelope(1, source="a"), envelope(1, source="b")).counts == (2, 0, 0, 0)

    def test_many_bulks_and_weeks(self, store: DocumentStore) -> None:
        changes = [envelope(number, created_at=TIME + timedelta(days=number)) for number in range(50)]
        assert write(store, *changes).counts == (50, 0, 0, 0)
        assert store.count() == 50
        assert found(store, limit=3) == ["49", "48", "47"]

    def test_writers_side_by_side(self, open_store: Open) -> None:
        tallies = [Tally() for _ in range(3)]

        def fill(tally: Tally) -> None:
            writer = open_store().writer(tally, lambda: True)
            for start in range(0, 200, 10):
                writer.add([envelope(number) for number in range(start, start + 10)])
            writer.flush()
            writer.close()

        threads = [threading.Thread(target=fill, args=(tally,)) for tally in tallies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sum(tally.total.created for tally in tallies) == 200
        assert sum(tally.total.duplicates for tally in tallies) == 400
        store = open_store()
        store.refresh()
        assert store.count() == 200

    def test_two_threads_share_a_writer(self, store: DocumentStore) -> None:
        tally = Tally()
        writer = store.writer(tally, lambda: True)

        def fill(first: int) -> None:
            for number in range(first, first + 100):
                writer.add([envelope(number)])
            writer.flush()

        threads = [threading.Thread(target=fill, args=(first,)) for first in (0, 50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        writer.close()
        assert tally.counts == (150, 50, 0, 0)

    def test_flush_without_anything_is_fine(self, store: DocumentStore) -> None:
        assert write(store).counts == (0, 0, 0, 0)

    def test_what_can_never_be_stored_is_refused_and_the_rest_is_not(self, store: DocumentStore) -> None:
        bad = [
            envelope("short", embedding="00"),
            envelope("nohex", embedding="zz" * EMBEDDING_DIMENSIONS),
            envelope("zero", embedding="00" * EMBEDDING_DIMENSIONS),
            envelope("geo", geo=Geo(95.0, 0.0)),
            envelope("half a pair \ud83d", "half a pair \ud83d"),
        ]
        tally = write(store, envelope(1), *bad, envelope(2))
        assert tally.counts == (2, 0, 0, 5)
        refused = {refusal.envelope.post.id: refusal for refusal in tally.total.refused}
        assert {post: refusal.cause for post, refusal in refused.items()} == {
            "short": "document_parsing",
            "nohex": "document_parsing",
            "zero": "document_parsing",
            "geo": "document_parsing",
            "half a pair \ud83d": "not_unicode",
        }
        assert all(refusal.detail for refusal in refused.values())

    def test_a_refused_document_does_not_stand_in_the_way_of_the_next_with_its_id(self, store: DocumentStore) -> None:
        assert write(store, envelope(1, embedding="00"), envelope(1, "sound"), envelope(1)).counts == (1, 1, 0, 1)
        assert found(store) == ["1"]

    def test_extreme_texts_and_times(self, store: DocumentStore) -> None:
        changes = [
            envelope("empty", ""),
            envelope("long", "word " * 50_000),
            envelope("one word", "x" * 70_000),
            envelope("url", url="https://example.org/" + "x" * 40_000),
            envelope("tag", hashtags=("y" * 40_000,)),
            envelope("old", created_at=datetime(1, 1, 1, tzinfo=UTC)),
            envelope("late", created_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
            envelope("zero \x00", "zero \x00 byte"),
        ]
        assert write(store, *changes).counts == (8, 0, 0, 0)
        assert found(store, sort="created_at", descending=False)[0] == "old"


class TestDeleting:
    def test_a_deletion_needs_no_time(self, store: DocumentStore) -> None:
        write(store, envelope(1), envelope(2, created_at=TIME - timedelta(days=400)), envelope(3))
        assert write(store, deletion(2), deletion(3), deletion(4)).counts == (0, 0, 2, 0)
        assert found(store) == ["1"]
        assert found(store, "river") == ["1"]

    def test_nothing_to_delete_from(self, store: DocumentStore) -> None:
        assert write(store, deletion(1)).counts == (0, 0, 0, 0)

    def test_create_then_delete_in_one_go(self, store: DocumentStore) -> None:
        assert write(store, envelope(1), deletion(1)).counts == (1, 0, 1, 0)
        assert store.count() == 0

    def test_delete_then_create_again(self, store: DocumentStore) -> None:
        tally = write(store, envelope(1, "old"), deletion(1), envelope(1, "new"), envelope(1, "newer"))
        assert tally.counts == (2, 1, 1, 0)
        assert store.get([document_id("test", "1")])[document_id("test", "1")].text == "new"

    def test_hashtags_go_too(self, store: DocumentStore) -> None:
        write(store, envelope(1, hashtags=("flood",)))
        write(store, deletion(1))
        assert found(store, "#flood") == []
        assert store.count_by("hashtags") == {}

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        steps=st.lists(st.tuples(st.sampled_from("cdr"), st.integers(0, 5)), max_size=40),
        flushes=st.sets(st.integers(0, 40)),
    )
    def test_order_is_kept_for_every_document(
        self, store: DocumentStore, steps: list[tuple[str, int]], flushes: set[int]
    ) -> None:
        """Against a dict: c creates, d deletes, r is a create that the store refuses."""
        write(store, *(deletion(number) for number in range(6)))
        expected: dict[str, str] = {}
        counts = [0, 0, 0, 0]
        tally = Tally()
        writer = store.writer(tally, lambda: True)
        for step, (what, number) in enumerate(steps):
            identity = str(number)
            if what == "d":
                writer.add([deletion(number)])
                counts[2] += expected.pop(identity, None) is not None
            elif what == "r" and identity not in expected:
                writer.add([envelope(number, embedding="00")])
                counts[3] += 1
            else:
                writer.add([envelope(number, f"step {step}")])
                counts[1 if identity in expected else 0] += 1
                expected.setdefault(identity, f"step {step}")
            if step in flushes:
                writer.flush()
        writer.flush()
        writer.close()
        store.refresh()
        assert {hit.document.id: hit.document.text for hit in store.search(Query())} == expected
        assert tally.counts == tuple(counts)


@pytest.fixture
def library(store: DocumentStore) -> DocumentStore:
    def sentiment(positive: float) -> Scores:
        label = "positive" if positive >= 0.5 else "negative"
        score = max(positive, 1 - positive)
        return Scores(label, score, {"positive": positive, "negative": 1 - positive})

    write(
        store,
        envelope("flood", "The Flood has reached Main Street", lang="en", hashtags=("flood", "harvey"),
                 created_at=TIME, sentiment=sentiment(0.125), source="twitter"),
        envelope("outage", "Power outage after the flood; no outage of power elsewhere", lang="en",
                 hashtags=("harvey",), created_at=TIME + timedelta(hours=1), sentiment=sentiment(0.25)),
        envelope("party", "don't miss the party \U0001f389\U0001f389 tonight", lang="en",
                 created_at=TIME + timedelta(hours=2), sentiment=sentiment(0.875)),
        envelope("tokyo", "東京は今日も雨です", lang="ja", hashtags=("東京",), created_at=TIME + timedelta(days=10)),
        envelope("cafe", "Café São_Paulo état", lang="fr", created_at=TIME - timedelta(days=30)),
    )  # fmt: skip
    return store


class TestSearching:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("flood", {"flood", "outage"}),
            ("FLOOD", {"flood", "outage"}),
            ("flood street", {"flood"}),
            ("flood party", set()),
            ('"power outage"', {"outage"}),
            ('"outage power"', set()),
            ('"outage of power"', {"outage"}),
            ("flo*", {"flood", "outage"}),
            ("FLO* ma*", {"flood"}),
            ('"main str" ', set()),
            ("flo", set()),
            ("#harvey", {"flood", "outage"}),
            ("#HARVEY flood street", {"flood"}),
            ("＃東京", {"tokyo"}),
            ("#flood #harvey", {"flood"}),
            ("#nothing", set()),
            ("don't", {"party"}),
            ("\U0001f389", {"party"}),
            ("東京", {"tokyo"}),
            ("今日", {"tokyo"}),
            ("日今", set()),
            ("café", {"cafe"}),
            ("CAFÉ", {"cafe"}),
            ("cafe", set()),
            ("são_paulo", {"cafe"}),
            ('flood "', {"flood", "outage"}),
            ("flood AND street", set()),
            ("text:flood", set()),
            ("flood) OR (party", set()),
            ("flood; -- '", {"outage", "flood"}),
        ],
    )
    def test_words_phrases_prefixes_and_tags(self, library: DocumentStore, text: str, expected: set[str]) -> None:
        assert set(found(library, text)) == expected

    def test_bounds_and_terms(self, library: DocumentStore) -> None:
        hour = TIME + timedelta(hours=1)
        assert found(library, since=hour) == ["tokyo", "party", "outage"]
        assert found(library, until=hour) == ["flood", "cafe"]
        assert found(library, "flood", since=hour, until=hour + timedelta(seconds=1)) == ["outage"]
        assert found(library, lang="fr") == ["cafe"]
        assert found(library, source="twitter") == ["flood"]
        assert found(library, hashtag="#Harvey", lang="en") == ["outage", "flood"]

    def test_by_relevance_with_text_and_newest_first_without(self, library: DocumentStore) -> None:
        assert found(library, "outage flood") == ["outage"]
        scores = [hit.score for hit in library.search(Query(text="flood"))]
        assert scores == sorted(scores, reverse=True)
        assert all(score > 0 for score in scores)
        assert found(library) == ["tokyo", "party", "outage", "flood", "cafe"]
        assert found(library, limit=2) == ["tokyo", "party"]

    @pytest.mark.parametrize(
        ("field", "descending", "expected"),
        [
            ("sentiment.scores.positive", True, ["party", "outage", "flood", "tokyo", "cafe"]),
            ("sentiment.scores.positive", False, ["flood", "outage", "party", "tokyo", "cafe"]),
            ("sentiment.score", True, ["party", "flood", "outage", "tokyo", "cafe"]),
            ("created_at", False, ["cafe", "flood", "outage", "party", "tokyo"]),
            ("classification_flood", True, ["tokyo", "party", "outage", "flood", "cafe"]),
            ("emotion.scores.joy", False, ["tokyo", "party", "outage", "flood", "cafe"]),
        ],
    )
    def test_sorting_puts_documents_without_the_field_last(
        self, library: DocumentStore, field: str, descending: bool, expected: list[str]
    ) -> None:
        assert found(library, sort=field, descending=descending) == expected

    def test_sorting_a_text_search(self, library: DocumentStore) -> None:
        assert found(library, "flood", sort="sentiment.scores.positive") == ["outage", "flood"]

    @pytest.mark.parametrize("field", ["text", "embedding", "nonsense", "", "classification_meta", "_score", "a;b"])
    def test_a_field_that_cannot_be_sorted_by_is_a_clear_error(self, library: DocumentStore, field: str) -> None:
        with pytest.raises(QueryError, match=r"cannot sort by .*sentiment\.score"):
            library.search(Query(sort=field))

    @pytest.mark.parametrize("limit", [0, -1, 10_001])
    def test_a_limit_out_of_range(self, library: DocumentStore, limit: int) -> None:
        with pytest.raises(QueryError, match="limit"):
            library.search(Query(limit=limit))

    def test_counts(self, library: DocumentStore) -> None:
        assert library.count_by("lang") == {"en": 3, "fr": 1, "ja": 1}
        assert library.count_by("lang", limit=1) == {"en": 3}
        assert library.count_by("sentiment.label") == {"negative": 2, "positive": 1}
        assert library.count_by("emotion.label") == {}
        assert next(iter(library.count_by("hashtags").items())) == ("harvey", 2)
        assert library.count_by("source") == {"test": 4, "twitter": 1}

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.one_of(
            st.text(max_size=60),
            st.text(alphabet="\"*#():-+^~\\/'`%_;{}[]<>=!&| abAND\x00\ud800É京\U0001f389", max_size=40),
            st.builds(lambda left, right: left + right, st.text(max_size=10), st.just(' NEAR("a" "b") OR x')),
        )
    )
    def test_any_text_gives_a_result_or_a_clear_error(self, store: DocumentStore, text: str) -> None:
        try:
            store.search(Query(text=text, sort="created_at"))
            store.search(Query(text=text))
        except QueryError as error:
            assert "nothing to search for" in str(error) or "no hashtag" in str(error)


class TestBeforeAnything:
    def test_an_empty_store_answers(self, store: DocumentStore) -> None:
        assert store.count() == 0
        assert store.search(Query(text="flood")) == []
        assert store.search(Query(sort="sentiment.score")) == []
        assert store.count_by("lang") == {}
        assert store.get([document_id("a", "b")]) == {}
        store.refresh()

    def test_prepare_twice_keeps_what_is_there(self, open_store: Open) -> None:
        write(open_store(), envelope(1))
        assert open_store().count() == 1

    def test_ping_tells_the_version(self, store: DocumentStore) -> None:
        answer = store.ping()
        assert int(answer.version.split(".")[0]) >= 3
        assert answer.latency_s > 0


#: Two trends in every state that their fences can bring about.
STATES = st.builds(
    trend_doc,
    tag=st.sampled_from(["flood", "storm"]),
    minute=st.integers(0, 3),
    revision=st.integers(0, 2),
    generation=st.integers(1, 3),
    event=st.sampled_from(["began", "changed", "ended"]),
)


def held(store: DocumentStore) -> dict[str, TrendDocument]:
    store.refresh()
    return {trend.trend_id: trend for trend in store.trends()}


class TestTrends:
    def test_every_field_comes_back_as_it_was(self, store: DocumentStore) -> None:
        full = trend_doc("東京 #1 😀", 7, 2, generation=1_800_000_000_123, event="ended", score=3.14159265358979)
        bare = trend_doc("bare", words=(), cotags=())
        store.put_trends([full, bare])
        assert held(store) == {full.trend_id: full, bare.trend_id: bare}
        assert (full.words, full.weights) == (("river", "levee"), {"river": 2.5, "levee": 1.25})
        assert (full.active, full.until, full.cotags) == (False, TIME + timedelta(minutes=7), ("harvey", "東京"))

    def test_nothing_there_yet(self, store: DocumentStore) -> None:
        assert store.trends() == []
        store.put_trends([])
        assert store.trends(active_only=True) == []

    def test_the_higher_fence_holds_whatever_comes_later(self, store: DocumentStore) -> None:
        """::

        minute    0         1         2
        gen 1     began ─── changed r1, r0 late ── ended late twin
        gen 2     changed ── holds over all of generation 1
        """
        store.put_trends([trend_doc(minute=0, event="began")])
        store.put_trends([newer := trend_doc(minute=1, revision=1)])
        store.put_trends([trend_doc(minute=1, revision=0, score=1.0)])
        store.put_trends([trend_doc(minute=0, revision=9, score=1.0)])
        assert list(held(store).values()) == [newer]
        store.put_trends([restarted := trend_doc(minute=0, generation=2)])
        store.put_trends([trend_doc(minute=2, generation=1, event="ended")])
        assert list(held(store).values()) == [restarted]

    def test_of_two_in_one_call_the_newer_holds_in_any_order(self, store: DocumentStore) -> None:
        newer = trend_doc(minute=2, event="ended")
        store.put_trends([trend_doc(minute=1), newer, trend_doc(minute=0)])
        assert list(held(store).values()) == [newer]

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(calls=st.lists(st.lists(STATES, max_size=6), max_size=6))
    def test_any_order_and_any_repetition_leave_the_highest_fence(
        self, store: DocumentStore, calls: list[list[TrendDocument]]
    ) -> None:
        expected = {trend.trend_id: trend for trend in store.trends()}
        for call in [*calls, *reversed(calls)]:
            store.put_trends(call)
            for trend in call:
                known = expected.get(trend.trend_id)
                if known is None or trend.fence > known.fence:
                    expected[trend.trend_id] = trend
        assert held(store) == expected

    def test_writers_side_by_side(self, open_store: Open) -> None:
        """Whoever loses a race for a document looks again, so the highest fence is what is left."""

        def fill(first: int) -> None:
            store = open_store()
            for minute in range(first, 30, 3):
                store.put_trends([trend_doc(f"tag{number}", minute) for number in range(3)])

        threads = [threading.Thread(target=fill, args=(first,)) for first in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [trend.count for trend in held(open_store()).values()] == [129] * 3

    def test_the_active_ones_alone_and_those_that_began_last_first(self, store: DocumentStore) -> None:
        since = {"a": TIME, "b": TIME + timedelta(days=1), "c": TIME - timedelta(days=1), "d": TIME}
        store.put_trends(
            [trend_doc(tag, since=moment, event="ended" if tag == "d" else "changed") for tag, moment in since.items()]
        )
        store.refresh()
        assert [trend.tag for trend in store.trends()] == ["b", "a", "d", "c"]
        assert [trend.tag for trend in store.trends(active_only=True)] == ["b", "a", "c"]
        assert [trend.tag for trend in store.trends(limit=2)] == ["b", "a"]

    @pytest.mark.parametrize("limit", [0, 10_001])
    def test_a_limit_out_of_range(self, store: DocumentStore, limit: int) -> None:
        with pytest.raises(QueryError, match="limit"):
            store.trends(limit=limit)

    def test_more_than_one_request_takes(self, store: DocumentStore) -> None:
        store.put_trends([trend_doc(f"tag{number}") for number in range(1_200)])
        store.put_trends([trend_doc(f"tag{number}", 1) for number in range(0, 1_200, 2)])
        store.refresh()
        trends = store.trends(limit=2_000)
        assert len(trends) == 1_200
        assert sum(trend.count == 101 for trend in trends) == 600

    def test_extreme_texts(self, store: DocumentStore) -> None:
        long = "x" * 40_000
        store.put_trends([trend_doc(long, words=((long, 1.0), ("a.b.", 2.0)), cotags=(TagCount(long, 1),))])
        store.put_trends([trend_doc(long, 1), trend_doc("half \ud83d")])
        assert sorted((trend.tag, trend.count) for trend in held(store).values()) == [("half ?", 100), (long, 101)]

    def test_trends_are_no_documents(self, store: DocumentStore) -> None:
        store.put_trends([trend_doc()])
        write(store, envelope(1))
        assert (store.count(), len(store.trends())) == (1, 1)
