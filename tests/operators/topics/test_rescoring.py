"""The re-reading of an archive in the light of a topic, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from groundswell.candidates import NewScore
from groundswell.topics import Classification, Topic, TopicsKnown
from operators.topics.rescoring import Rescoring
from operators.topics.rescoring_state import RescoringOptions, RescoringState
from tests.operators.topics.archive import NOON, Archive, Judge, document, topic

NOBODY: Mapping[str, TopicsKnown] = {}
FEW = RescoringOptions(first=10, first_nearest=40)


def rescoring(archive: Archive, options: RescoringOptions = FEW, about: Topic | None = None) -> Rescoring:
    about = about or topic()
    return Rescoring(RescoringState(about, about.at, anew=True), archive, Judge(), options)


def known(seconds: float, durable: float | None = None, made: float = 0.0) -> dict[str, TopicsKnown]:
    """One process that knows the topic made at ``made`` since ``seconds``; times in seconds after noon."""
    since = NOON + timedelta(seconds=seconds)
    return {
        "posts:0": TopicsKnown(
            {"flood": NOON + timedelta(seconds=made)},
            {"flood": since},
            NOON + timedelta(seconds=seconds if durable is None else durable),
        )
    }


def run(
    reading: Rescoring,
    archive: Archive,
    reports: Mapping[str, TopicsKnown] = NOBODY,
    now: datetime = NOON,
    until: str = "settled",
) -> list[NewScore]:
    """Go on until a phase is reached; everything that was scored, in order."""
    scores: list[NewScore] = []
    for _ in range(10_000):
        if reading.state.phase == until:
            return scores
        step = reading.step(now, reports)
        archive.put(step.scores)
        scores += step.scores
    raise AssertionError(f"stuck in {reading.state.phase}")


def mixed(count: int) -> Archive:
    """Documents whose probabilities go from 0 to 1, every seventh with the tag."""
    return Archive(
        [
            document(number, number / count, created=-number, tags=("flood",) if number % 7 == 0 else ())
            for number in range(count)
        ]
    )


def test_the_best_come_first_and_are_searchable_at_once() -> None:
    archive = mixed(100)
    step = rescoring(archive).step(NOON, NOBODY)
    assert step.refresh
    assert [new.document.id for new in step.scores] == [f"{number:06d}" for number in range(90, 100)]


def test_what_the_evidence_favours_and_what_carries_the_tag_is_scored_once() -> None:
    archive = mixed(300)
    reading = rescoring(archive)
    scores = run(reading, archive)
    expected = {f"{number:06d}" for number in range(300) if number / 300 >= 0.05 or number % 7 == 0}
    assert {new.document.id for new in scores} == expected
    assert len(scores) == len(expected)
    assert reading.state.scored == len(expected)
    assert reading.state.members == sum(new.classification.score >= 0.5 for new in scores)


def test_a_score_names_what_gave_it() -> None:
    archive = Archive([document(1, 0.9), document(2, 0.5)])
    scores = {new.document.id: new.classification for new in run(rescoring(archive), archive)}
    assert scores == {
        "000001": Classification(0.9, "flood/1", NOON, "judge@1", NOON, member=True),
        "000002": Classification(0.6, "flood/1", NOON, "judge@1", NOON, member=True),
    }


def test_the_cross_encoder_reads_the_most_promising_and_no_more_than_it_may() -> None:
    archive = Archive([document(number, 0.21 + number / 1_000) for number in range(500)])
    judge = Judge()
    about = topic()
    reading = Rescoring(
        RescoringState(about, about.at, anew=True),
        archive,
        judge,
        RescoringOptions(first=10, first_nearest=10, most_judged=100, judged_at_once=32),
    )
    run(reading, archive)
    assert judge.read == reading.state.judged == 100
    raised = {key for key, score in archive.scores().items() if score > float(archive.by_id[key].text) + 0.05}
    assert raised == {f"{number:06d}" for number in range(400, 500)}


def test_coverage_of_all_scores_every_document() -> None:
    archive = mixed(3_000)
    reading = rescoring(archive, RescoringOptions(coverage="all"))
    scores = run(reading, archive)
    assert len(scores) == 3_000
    assert reading.progress(NOON).left == 0


def test_more_candidates_than_a_search_returns_are_reached_by_slices() -> None:
    archive = Archive([document(number, 0.9, created=-number) for number in range(12_000)])
    run(rescoring(archive), archive)
    assert len(archive.scores()) == 12_000


def test_a_newer_topic_scores_everything_again_that_the_older_one_did() -> None:
    archive = mixed(200)
    reading = rescoring(archive)
    run(reading, archive)
    before = set(archive.scores())
    archive.by_id = {key: msgspec.structs.replace(each, text="0.01") for key, each in archive.by_id.items()}
    newer = topic(seconds=60)
    reading.supersede(newer)
    run(reading, archive)
    assert set(archive.scores()) == before
    made = {each.classification.topic_at for each in archive.by_id.values() if each.classification}
    assert made == {newer.at}
    assert set(archive.scores().values()) == {0.01}


class TestFreshPosts:
    """What is indexed while the archive is read is scored by those who index it, once they know the topic.

    ::

        covered            known by all
           │  closing pass reads │
        ───┴─────────────────────┴───────▶ indexed_at
    """

    def test_what_came_in_before_all_knew_is_scored_by_the_closing_pass(self) -> None:
        archive = mixed(100)
        reading = rescoring(archive)
        run(reading, archive, known(8, durable=-1, made=-9), until="closing")
        assert reading.state.covered == NOON - timedelta(seconds=1)
        late = [document(1_000 + each, 0.9, indexed=each) for each in range(10)]
        archive.by_id |= {each.id: each for each in late}
        assert reading.step(NOON, known(8, made=-9)).scores == [], "not all know it yet"
        assert reading.step(NOON, known(8, durable=7)).scores == [], "not all is durable yet"
        run(reading, archive, known(8))
        assert all(each.id in archive.scores() for each in late)

    def test_a_process_that_began_anew_is_waited_for_again(self) -> None:
        archive = mixed(100)
        reading = rescoring(archive)
        run(reading, archive, known(1))
        archive.by_id["002000"] = document(2_000, 0.9, indexed=30)
        assert reading.step(NOON, known(1)).scores == []
        assert reading.state.phase == "settled"
        archive.put(reading.step(NOON, known(31)).scores)
        run(reading, archive, known(31))
        assert "002000" in archive.scores()

    def test_without_any_process_that_indexes_all_is_known_at_once(self) -> None:
        archive = mixed(100)
        reading = rescoring(archive)
        run(reading, archive)
        assert reading.state.covered == NOON


def test_an_ended_trend_is_finished_and_then_over() -> None:
    archive = mixed(100)
    reading = rescoring(archive)
    reading.step(NOON, NOBODY)
    reading.end()
    run(reading, archive, known(1, made=-9), until="over")
    assert reading.over
    assert len(archive.scores()) > 90
    assert reading.step(NOON, NOBODY).scores == []


@given(
    counts=st.lists(st.floats(0, 1), min_size=1, max_size=120),
    tagged=st.sets(st.integers(0, 119)),
    kills=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12),
    everything=st.booleans(),
)
def test_whenever_it_is_killed_the_same_documents_get_the_same_scores(
    counts: list[float], tagged: set[int], kills: list[tuple[int, int]], everything: bool
) -> None:
    def archive() -> Archive:
        return Archive(
            [
                document(place, score, created=-place, tags=("flood",) if place in tagged else ())
                for place, score in enumerate(counts)
            ]
        )

    options = RescoringOptions(
        coverage="all" if everything else "candidates", first=5, first_nearest=9, judged_at_once=7
    )
    undisturbed = archive()
    run(rescoring(undisturbed, options), undisturbed)

    killed = archive()
    reading = rescoring(killed, options)
    for steps, unsaved in kills:
        saved = msgspec.msgpack.encode(reading.state)
        for _ in range(steps):
            killed.put(reading.step(NOON, NOBODY).scores)
        # After the last snapshot, some more was read and written, or read and not written.
        for number in range(unsaved):
            scores = reading.step(NOON, NOBODY).scores
            if number + 1 < unsaved:
                killed.put(scores)
        reading = Rescoring(msgspec.msgpack.decode(saved, type=RescoringState), killed, Judge(), options)
    run(reading, killed)
    assert killed.scores() == undisturbed.scores()
