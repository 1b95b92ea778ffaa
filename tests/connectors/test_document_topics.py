"""What every document store must do with labels: their fields, what is created with them, and sorting by them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.document_query import Query, QueryError
from connectors.document_store import DocumentStore
from connectors.document_topics import Declared, Labels
from groundswell.records import document_id
from groundswell.topics import field_of
from tests.connectors.documents import TIME, Open, deletion, envelope, write
from tests.connectors.topics import declare, judged, whole

#: Other scripts, marks, dots, wildcards, spaces, an emoji, the one that is taken, and one that is cut.
ODD_TAGS = [
    "выборы",
    "नमस्ते",
    "東京",
    "v1.2",
    "a*b",
    "meta",
    "_",
    "c++",
    "so so",
    "🌊" * 250,
    "x" * 249,
    "x" * 248 + "y",
]


def order(store: DocumentStore, tag: str, **query: object) -> list[str]:
    return [hit.document.id for hit in store.search(Query(sort=field_of(tag), **query))]  # type: ignore[arg-type]


def test_members_are_counted_by_their_tags(store: DocumentStore) -> None:
    assert store.count_by("topics") == {}
    declare(store, "flood", "v1.2", "storm")
    write(
        store,
        envelope(1, classification={"flood": judged(0.9), "v1.2": judged(0.5)}),
        envelope(2, classification={"flood": judged(0.6), "storm": judged(0.4)}),
    )
    assert store.count_by("topics") == {"flood": 2, "v1.2": 1}
    assert store.count_by("topics", limit=1) == {"flood": 2}


class TestDeclaring:
    def test_nothing_is_declared_at_first(self, store: DocumentStore) -> None:
        assert store.labels() == Labels()
        assert declare(store) == Declared()

    def test_before_and_after_the_first_document(self, store: DocumentStore) -> None:
        assert declare(store, "flood", "quake") == Declared(("flood", "quake"))
        write(store, envelope(1), envelope(2, created_at=TIME + timedelta(days=60)))
        assert declare(store, "flood", "storm") == Declared(("flood", "storm"))
        assert store.labels() == Labels(("flood", "quake", "storm"), ("flood", "quake", "storm"))
        assert order(store, "storm") == ["2", "1"]

    def test_repetition_is_harmless(self, open_store: Open) -> None:
        for _ in range(3):
            store = open_store()
            write(store, envelope(1))
            assert declare(store, "flood", "flood").declared == ("flood",)
            assert store.labels().live == ("flood",)

    def test_only_what_is_kept_stays_live_and_what_is_scored_stays(self, store: DocumentStore) -> None:
        declare(store, "over", "just over", "flood")
        write(store, envelope(1, classification={"over": judged(0.9)}))
        declare(store, "flood", keep=["just over", "never was"])
        assert store.labels() == Labels(("flood", "just over"), ("flood", "just over", "over"))
        assert order(store, "over") == ["1"]
        assert whole(store, 1).classification == {"over": judged(0.9)}
        assert declare(store, "over").declared == ("over",)
        assert "over" in store.labels().live

    def test_no_more_than_the_cap_are_live(self, store: DocumentStore) -> None:
        declare(store, "old", "older", "oldest", most=3)
        found = declare(store, "a", "older", "b", "a", keep=["old"], most=3)
        assert found.declared == ("a", "older")
        assert [(each.tag, each.cause) for each in found.refused] == [("b", "cap")]
        assert "2 labels are live, and at most 3 may be" in found.refused[0].detail
        assert store.labels().live == ("a", "old", "older")
        # What is live is not driven out, by nothing new and by no lower cap.
        assert [each.cause for each in declare(store, "b", most=3).refused] == ["cap"]
        assert declare(store, "a", "b", most=1).declared == ("a",)
        assert store.labels().live == ("a", "old", "older")
        assert declare(store, "b", keep=["a"], most=3).declared == ("b",)
        assert store.labels().live == ("a", "b")

    def test_what_is_no_tag_is_refused_and_the_others_go_on(self, store: DocumentStore) -> None:
        found = declare(store, "", "flood", "\ud800", "x" * 251)
        assert found.declared == ("flood",)
        assert [each.cause for each in found.refused] == ["not_a_tag"] * 3
        assert "at most 250" in found.refused[2].detail

    def test_a_hundred(self, store: DocumentStore) -> None:
        tags = [f"tag{number}" for number in range(100)]
        assert declare(store, *tags).declared == tuple(tags)
        write(store, envelope(1, classification={tag: judged(number / 100) for number, tag in enumerate(tags)}))
        assert declare(store, *tags).declared == tuple(tags)
        assert len(whole(store, 1).classification) == 100
        assert len(whole(store, 1).topics) == 50
        assert order(store, "tag99") == ["1"]

    def test_the_documents_that_there_are_stay_as_they_are(self, open_store: Open) -> None:
        """A job that starts (and puts its template) leaves the labels of another one alone."""
        declare(open_store(), "flood")
        other = open_store()
        write(other, envelope(1, created_at=TIME + timedelta(days=400), classification={"flood": judged(0.7)}))
        assert whole(other, 1).classification == {"flood": judged(0.7)}
        assert other.labels().live == ("flood",)


class TestSorting:
    def test_by_a_field_that_no_document_has_yet(self, store: DocumentStore) -> None:
        write(store, envelope(1), envelope(2, created_at=TIME + timedelta(days=9)))
        assert order(store, "flood") == ["2", "1"]
        declare(store, "flood")
        assert order(store, "flood") == order(store, "flood", descending=False) == ["2", "1"]

    def test_by_the_probability_either_way_and_those_without_last(self, store: DocumentStore) -> None:
        declare(store, "flood")
        write(
            store,
            *(
                envelope(number, created_at=TIME + timedelta(days=5 * number), classification={"flood": judged(score)})
                for number, score in enumerate((0.2, 0.95, 0.0, 0.5))
            ),
            envelope("none", created_at=TIME + timedelta(days=1)),
        )
        assert order(store, "flood") == ["1", "3", "0", "2", "none"]
        assert order(store, "flood", descending=False) == ["2", "0", "3", "1", "none"]
        assert order(store, "flood", limit=1, text="river") == ["1"]

    @pytest.mark.parametrize("tag", ODD_TAGS)
    def test_by_every_tag_that_there_can_be(self, store: DocumentStore, tag: str) -> None:
        assert declare(store, tag, "other").declared == (tag, "other")
        write(
            store,
            envelope(1, classification={tag: judged(0.3), "other": judged(0.9)}),
            envelope(2, classification={tag: judged(0.8)}, created_at=TIME - timedelta(days=1)),
        )
        assert order(store, tag) == ["2", "1"]
        (best, _) = store.search(Query(sort=field_of(tag)))
        assert best.document.classification == {tag: judged(0.8)}
        assert best.document.topics == (tag,)
        assert set(store.labels().live) == {tag, "other"}

    @pytest.mark.parametrize("field", ["classification_meta", "classification_", "classification_v1.2", "topics"])
    def test_by_nothing_else(self, store: DocumentStore, field: str) -> None:
        with pytest.raises(QueryError, match="classification_<tag>"):
            store.search(Query(sort=field))


class TestCreating:
    def test_what_a_document_was_scored_at_first_is_read_back(self, store: DocumentStore) -> None:
        declare(store, "flood", "quake")
        given = {"flood": judged(0.93, topic=3), "quake": judged(0.0625, model="other-2")}
        assert write(store, envelope(1, classification=given, lang="en")).counts == (1, 0, 0, 0)
        for document in (whole(store, 1), store.search(Query())[0].document):
            assert (document.classification, document.topics, document.lang) == (given, ("flood",), "en")

    def test_a_label_that_was_not_declared_makes_no_dead_letter(self, store: DocumentStore) -> None:
        declare(store, "flood")
        tally = write(
            store,
            envelope(1, classification={"gone": judged(0.9), "flood": judged(0.8), "lost": judged(0.7)}),
            envelope(2, classification={"gone": judged(0.9)}),
            envelope(3, classification={"flood": judged(0.6)}),
            envelope(4),
        )
        assert tally.counts == (4, 0, 0, 0)
        assert tally.total.unlabelled == 3
        assert [whole(store, number).classification for number in (1, 2, 3, 4)] == [
            {"flood": judged(0.8)},
            {},
            {"flood": judged(0.6)},
            {},
        ]
        assert whole(store, 1).topics == ("flood",)

    def test_nor_does_it_reorder_what_happens_to_a_document(self, store: DocumentStore) -> None:
        tally = write(
            store,
            *(envelope(number, "first", classification={"gone": judged(0.9)}) for number in range(10)),
            *(deletion(number) for number in range(0, 10, 2)),
            *(envelope(number, "second", classification={"gone": judged(0.9)}) for number in range(10)),
        )
        assert tally.counts == (15, 5, 5, 0)
        texts = store.get([document_id("test", str(number)) for number in range(10)])
        assert sorted(document.text for document in texts.values()) == ["first"] * 5 + ["second"] * 5

    def test_what_is_deleted_takes_its_scores_with_it(self, store: DocumentStore) -> None:
        declare(store, "flood")
        write(store, envelope(1, classification={"flood": judged(0.9)}))
        write(store, deletion(1), envelope(1, "again"), envelope(2))
        assert whole(store, 1).classification == whole(store, 2).classification == {}
