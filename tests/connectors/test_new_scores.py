"""What every document store must do with the scores of documents that were found."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.document_store import DocumentStore
from connectors.document_topics import NewScore, PutScores, Selection
from connectors.document_vectors import NewVector
from groundswell.topics import Classification
from tests.connectors.documents import TIME, deletion, envelope, write
from tests.connectors.topics import declare, embedded, judged, put, read, vector, whole

TAGS = ("flood", "quake", "v1.2")


def counts(result: PutScores) -> tuple[int, int, int, int]:
    """Written, passed, again, refused."""
    return result.written, result.passed, len(result.again), len(result.refused)


@pytest.fixture
def store(store: DocumentStore) -> DocumentStore:
    declare(store, *TAGS)
    return store


class TestPutting:
    def test_the_rest_of_the_document_stays(self, store: DocumentStore) -> None:
        write(
            store,
            envelope(1, lang="en", hashtags=("a", "b"), truncated=True, **embedded(vector(1, -2))),
            envelope(2, classification={"quake": judged(0.75)}),
        )
        before = [whole(store, 1), whole(store, 2)]
        assert counts(put(store, read(store), judged(0.875))) == (2, 0, 0, 0)
        one, other = whole(store, 1), whole(store, 2)
        assert (one.classification, one.topics) == ({"flood": judged(0.875)}, ("flood",))
        assert other.classification == {"quake": judged(0.75), "flood": judged(0.875)}
        assert set(other.topics) == {"quake", "flood"}
        after = [msgspec.structs.replace(each, classification={}, topics=()) for each in (one, other)]
        assert after == [msgspec.structs.replace(each, classification={}, topics=()) for each in before]
        near = store.nearest_candidates(vector(1, -2), 5, Selection(tag="flood", space="A"))
        assert [each.classification for each in near] == [judged(0.875)]

    def test_putting_twice_changes_nothing(self, store: DocumentStore) -> None:
        write(store, envelope(1), envelope(2))
        found = read(store)
        for _ in range(3):
            assert counts(put(store, found, judged(0.875))) == (2, 0, 0, 0)
        # The same, made again later, from what is there now.
        assert counts(put(store, read(store), judged(0.875, at=TIME + timedelta(days=3)))) == (2, 0, 0, 0)
        assert whole(store, 1).classification == {"flood": judged(0.875)}

    def test_several_tags_at_once(self, store: DocumentStore) -> None:
        write(store, envelope(1, classification={"quake": judged(0.9, topic=5)}))
        (found,) = read(store)
        scores = [
            NewScore(found, "flood", judged(0.7)),
            # It was not read for this one, which has a newer score already.
            NewScore(found, "quake", judged(0.1, topic=4)),
            NewScore(found, "v1.2", judged(0.3)),
        ]
        result = store.put_scores(scores)
        assert counts(result) == (2, 1, 0, 0)
        store.refresh()
        assert whole(store, 1).classification == {
            "quake": judged(0.9, topic=5),
            "flood": judged(0.7),
            "v1.2": judged(0.3),
        }
        assert set(whole(store, 1).topics) == {"quake", "flood"}

    def test_of_two_for_one_tag_the_one_that_supersedes(self, store: DocumentStore) -> None:
        write(store, envelope(1))
        (found,) = read(store)
        scores = [NewScore(found, "flood", judged(0.9, topic=topic)) for topic in (1, 3, 2)]
        assert counts(store.put_scores(scores)) == (1, 2, 0, 0)
        store.refresh()
        assert whole(store, 1).classification == {"flood": judged(0.9, topic=3)}

    def test_a_newer_topic_replaces_and_an_older_one_does_not(self, store: DocumentStore) -> None:
        write(store, envelope(1))
        found = read(store)
        put(store, found, judged(0.9, topic=2))
        assert whole(store, 1).topics == ("flood",)
        # Whether it was read before the newer one was written or after it.
        for each in (found, read(store)):
            assert counts(put(store, each, judged(0.1, topic=1))) == (0, 1, 0, 0)
        assert whole(store, 1).classification == {"flood": judged(0.9, topic=2)}
        for each in (found, read(store)):
            assert counts(put(store, each, judged(0.25, topic=3))) == (1, 0, 0, 0)
        assert whole(store, 1).classification == {"flood": judged(0.25, topic=3)}
        assert whole(store, 1).topics == ()

    def test_the_same_topic_may_judge_again(self, store: DocumentStore) -> None:
        write(store, envelope(1))
        result = put(store, read(store), judged(0.4))
        (now,) = result.documents
        assert (now.classification, now.topics) == (judged(0.4), ())
        assert now == read(store)[0]
        result = put(store, result.documents, judged(0.6, model="evidence-1+reranker-1"))
        assert (counts(result), result.documents[0].topics) == ((1, 0, 0, 0), ("flood",))
        assert read(store) == list(result.documents)

    def test_what_changed_meanwhile_is_read_again(self, store: DocumentStore) -> None:
        write(store, *(envelope(number) for number in range(6)))
        found, others = read(store), read(store, "quake")
        put(store, found[:4], judged(0.9))
        assert counts(put(store, others, judged(0.8), "quake")) == (6, 0, 0, 0)
        lacking = [each for page in store.lacking("A") for each in page]
        store.put_vectors([NewVector(each, vector(7), "A") for each in lacking])
        assert counts(put(store, found, judged(0.7, topic=1))) == (6, 0, 0, 0)
        for number in range(6):
            document = whole(store, number)
            assert document.classification == {"flood": judged(0.7, topic=1), "quake": judged(0.8)}
            assert set(document.topics) == {"flood", "quake"}
            assert document.embedding == vector(7).hex()

    def test_what_was_deleted_meanwhile_stays_deleted(self, store: DocumentStore) -> None:
        write(store, *(envelope(number) for number in range(4)))
        found = read(store)
        put(store, found, judged(0.4))
        again = read(store)
        write(store, deletion(0), deletion(3))
        for each in (found, again):
            result = put(store, each, judged(0.6, topic=1))
            assert counts(result) == (2, 2, 0, 0)
            assert len(result.documents) in (0, 2)
        assert store.count() == len(read(store, kind="scored")) == 2

    def test_what_was_made_anew_with_another_text_does_not_get_the_score_of_the_former(
        self, store: DocumentStore
    ) -> None:
        write(store, envelope(1, "before"), envelope(2, "the same"))
        found = read(store)
        write(store, deletion(1), deletion(2), envelope(1, "after"), envelope(2, "the same"))
        assert counts(put(store, found, judged(0.9))) == (1, 1, 0, 0)
        assert whole(store, 1).classification == {}
        assert whole(store, 2).classification == {"flood": judged(0.9)}

    def test_what_is_not_declared_is_refused_and_the_others_go_on(self, store: DocumentStore) -> None:
        write(store, envelope(1), envelope(2))
        found = read(store)
        scores = [NewScore(each, tag, judged(0.9)) for each in found for tag in ("gone", "flood", "lost")]
        result = store.put_scores(scores)
        assert counts(result) == (2, 0, 0, 4)
        assert {each.score.tag for each in result.refused} == {"gone", "lost"}
        assert all(each.score in scores and each.score.tag in each.detail for each in result.refused)
        declare(store, "gone", "lost")
        assert counts(store.put_scores([each.score for each in result.refused])) == (4, 0, 0, 0)
        store.refresh()
        assert set(whole(store, 1).classification) == {"gone", "flood", "lost"}

    def test_what_is_written_can_be_searched_at_once(self, store: DocumentStore) -> None:
        write(store, envelope(1))
        store.put_scores([NewScore(each, "flood", judged(0.9)) for each in read(store)], refresh=True)
        assert [each.classification for each in read(store, kind="scored")] == [judged(0.9)]

    @pytest.mark.parametrize(
        ("tag", "score", "why"),
        [("flood", 1.5, "no probability"), ("flood", float("nan"), "no probability"), ("", 0.5, "without a tag")],
    )
    def test_what_must_never_be_stored_is_refused(self, store: DocumentStore, tag: str, score: float, why: str) -> None:
        write(store, envelope(1))
        with pytest.raises(ValueError, match=why):
            put(store, read(store), judged(score), tag)
        assert store.put_scores([]) == PutScores()

    @settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        steps=st.lists(
            st.tuples(st.sampled_from(TAGS), st.integers(0, 3), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()),
            max_size=12,
        )
    )
    def test_whatever_the_order_the_last_against_the_newest_topic_holds(
        self, store: DocumentStore, steps: list[tuple[str, int, float, bool]]
    ) -> None:
        write(store, deletion("drawn"))
        write(store, envelope("drawn"))
        stale = {tag: read(store, tag) for tag in TAGS}
        expected: dict[str, Classification] = {}
        for tag, topic, score, fresh in steps:
            found = read(store, tag) if fresh else stale[tag]
            new = judged(score, topic=topic)
            put(store, found, new, tag)
            if new.supersedes(expected.get(tag)):
                expected[tag] = new
        document = whole(store, "drawn")
        assert document.classification == expected
        assert set(document.topics) == {tag for tag, each in expected.items() if each.member}
        assert len(document.topics) == len(set(document.topics))
