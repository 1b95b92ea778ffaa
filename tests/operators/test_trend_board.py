"""Which tags trend: hysteresis, support, the cap, gaps, and what is said about it.

In the time-lines a column is one window end (10 s), the row is a tag: the letter says its score
(h and H: above the start score, m: between stop and start, a dot: below the stop score), the line
below what was said: B began, C changed, E ended.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.trends import Candidate, Evidence, Sample, TagCount, TrendEvent
from operators.trend_board import TrendBoard
from operators.trend_options import DetectionOptions

SLIDE = 10
START = 1_000
_SCORES = {"H": 30.0, "h": 10.0, "m": 4.0}
_KINDS = {"began": "B", "changed": "C", "ended": "E"}


def options(**changes: float) -> DetectionOptions:
    quiet = {"start_score": 8.0, "hold": 30, "refresh": 100_000, "ring": 1, "min_count": 1, "min_authors": 1}
    return DetectionOptions(**(quiet | changes))  # type: ignore[arg-type]


def board(**changes: float) -> TrendBoard:
    return TrendBoard(7, SLIDE, options(**changes))


def candidate(tag: str, score: float, count: int = 100, authors: int | None = None) -> Candidate:
    return Candidate(tag, score, count, count if authors is None else authors)


def no_words(_: Candidate) -> tuple[tuple[str, float], ...]:
    return ()


def decide(the: TrendBoard, end: int, *candidates: Candidate) -> list[TrendEvent]:
    return the.decide(end, candidates, no_words)


def draw(lines: dict[str, str], the: TrendBoard) -> dict[str, str]:
    """What is said about each tag, in the columns of its time-line."""
    length = max(map(len, lines.values()))
    said = {tag: ["."] * length for tag in lines}
    for column in range(length):
        row = {tag: line[column] for tag, line in lines.items()}
        found = [candidate(tag, _SCORES[letter]) for tag, letter in row.items() if letter in _SCORES]
        for event in decide(the, START + column * SLIDE, *found):
            place = (int(event.at.timestamp()) - START) // SLIDE
            mark = _KINDS[event.event]
            said[event.trend.tag][place] = mark if said[event.trend.tag][place] == "." else "!"
    return {tag: "".join(marks) for tag, marks in said.items()}


def shown(line: str, the: TrendBoard) -> str:
    return draw({"a": line}, the)["a"]


def test_begins_at_the_start_score_and_ends_when_it_stayed_below_the_stop_score() -> None:
    """hold = 30 s"""
    assert (
        shown("..mmHHmm.m.......", board())
        == "....B........E..."
    )  # fmt: skip


def test_a_score_that_flaps_around_the_start_is_one_trend() -> None:
    assert (
        shown("HmHmHmHm....", board())
        == "B..........E"
    )  # fmt: skip


def test_a_score_that_flaps_around_the_stop_is_one_trend() -> None:
    assert (
        shown("H..m..m...m....", board())
        == "B.............E"
    )  # fmt: skip


def test_without_a_hold_a_trend_ends_at_once() -> None:
    assert shown("HH.H.", board(hold=0)) == "B.EBE"


def test_a_tag_that_stays_high_ends_when_its_score_has_gone_and_may_begin_anew() -> None:
    assert (
        shown("HHmm......HH", board())
        == "B......E..B."
    )  # fmt: skip


def test_a_tag_that_has_trended_needs_as_much_again() -> None:
    """half_life = 50 s; a score of 10 begins a trend when less than a quarter of those before is left."""
    assert (
        shown("h.h.H.h.h.......h.h.", board(hold=0, half_life=50))
        == "BE..BE............BE"
    )  # fmt: skip


def test_a_silence_ends_trends_by_its_length() -> None:
    """
    end     1000  1010  1020 ... 1040  ...  1100
    a        H     H     (no window)          H
                         low since 1020
    said     B                  1050: E       B
    """
    the = board()
    decide(the, 1_000, candidate("a", 10.0))
    decide(the, 1_010, candidate("a", 10.0))
    ended, began = decide(the, 1_100, candidate("a", 30.0))
    assert (ended.event, ended.at.timestamp(), began.event, began.at.timestamp()) == ("ended", 1_050, "began", 1_100)
    assert ended.trend.until == ended.at
    assert ended.trend.id != began.trend.id


def test_a_short_silence_ends_nothing() -> None:
    the = board()
    decide(the, 1_000, candidate("a", 10.0))
    assert decide(the, 1_040, candidate("a", 4.0)) == []


def test_a_window_end_that_is_not_later_is_refused() -> None:
    the = board()
    decide(the, 1_000)
    with pytest.raises(ValueError, match="window end 1000 after 1000"):
        decide(the, 1_000)


@pytest.mark.parametrize(
    "weak",
    [
        Candidate("a", 5.9, 100, 100),
        Candidate("a", 10.0, 14, 14),
        Candidate("a", 10.0, 20, 7),
        Candidate("a", 10.0, 1_000, 80),
        Candidate("a", 10.0, 6_000, 60),
        Candidate("a", 10.0, 100, 50),
        Candidate("a", 10.0, 20, 20),
    ],
    ids=["score", "posts", "authors", "share of authors", "ring", "half a ring", "too few to tell"],
)
def test_begins_only_with_support(weak: Candidate) -> None:
    the = TrendBoard(7, SLIDE, DetectionOptions())
    assert decide(the, 1_000, weak) == []
    assert decide(the, 1_010, candidate("a", 10.0)) != []


def test_posts_without_authors_are_no_ring() -> None:
    the = TrendBoard(7, SLIDE, DetectionOptions())
    assert decide(the, 1_000, Candidate("a", 10.0, 20, 20, unattributed=20)) != []


def test_a_trend_that_few_accounts_take_over_ends() -> None:
    the = board()
    decide(the, 1_000, candidate("a", 10.0))
    for end in (1_010, 1_020, 1_030):
        assert decide(the, end, candidate("a", 10.0, count=5_000, authors=100)) == []
    assert [event.event for event in decide(the, 1_040, candidate("a", 10.0, 5_000, 100))] == ["ended"]


def test_the_weakest_leaves_for_a_stronger_one() -> None:
    the = board(max_active=2)
    decide(the, 1_000, candidate("a", 10.0), candidate("b", 9.0))
    events = decide(the, 1_010, candidate("a", 10.0), candidate("b", 9.0), candidate("c", 11.0))
    assert [(event.event, event.trend.tag) for event in events] == [("ended", "b"), ("began", "c")]
    assert [trend.tag for trend in the.active] == ["a", "c"]


def test_when_fewer_are_allowed_than_before_the_weakest_leave_at_once() -> None:
    before = board(max_active=3)
    found = [candidate("a", 12.0), candidate("b", 10.0), candidate("c", 11.0)]
    decide(before, START, *found)
    the = board(max_active=1)
    the.restore(before.state())
    said = decide(the, START + SLIDE, *found)
    assert [(event.event, event.trend.tag) for event in said] == [("ended", "b"), ("ended", "c")]
    assert decide(the, START + 2 * SLIDE, *found) == []


def test_one_that_is_weaker_than_all_does_not_begin() -> None:
    the = board(max_active=2)
    decide(the, 1_000, candidate("a", 10.0), candidate("b", 9.0))
    assert decide(the, 1_010, candidate("a", 10.0), candidate("b", 9.0), candidate("c", 9.0)) == []


def test_two_tags_do_not_push_each_other_out_in_turns() -> None:
    """
    a        10  10   20  10   .   20
    b            12   12  30  30   12
    said     aB aE,bB               nothing: a was displaced ...
    """
    the = board(max_active=1)
    decide(the, 1_000, candidate("a", 10.0))
    assert len(decide(the, 1_010, candidate("a", 10.0), candidate("b", 12.0))) == 2
    assert decide(the, 1_020, candidate("a", 20.0), candidate("b", 12.0)) == []
    assert decide(the, 1_030, candidate("a", 10.0), candidate("b", 30.0)) == []
    # ... and may come back once it has cooled.
    assert decide(the, 1_040, candidate("b", 30.0)) == []
    assert len(decide(the, 1_050, candidate("a", 20.0), candidate("b", 12.0))) == 2


def test_a_displaced_tag_takes_a_place_that_becomes_free() -> None:
    the = board(max_active=1, hold=0)
    decide(the, 1_000, candidate("a", 10.0))
    decide(the, 1_010, candidate("a", 10.0), candidate("b", 12.0))
    events = decide(the, 1_020, candidate("a", 20.0))
    assert [(event.event, event.trend.tag) for event in events] == [("ended", "b"), ("began", "a")]


def test_a_cut_tag_does_not_begin_beside_the_whole_one() -> None:
    the = board()
    events = decide(the, 1_000, candidate("boston", 50.0, count=500), candidate("bosto", 9.0, count=40))
    assert [event.trend.tag for event in events] == ["boston"]
    # As large as that it is a tag of its own, like #boston beside #bostonmarathon.
    assert decide(the, 1_010, candidate("boston", 50.0, count=500), candidate("bosto", 9.0, count=200)) != []


def test_a_trend_is_told_again_when_it_has_grown_by_half() -> None:
    the = board()
    decide(the, 1_000, candidate("a", 10.0, count=100))
    assert decide(the, 1_010, candidate("a", 12.0, count=149)) == []
    (changed,) = decide(the, 1_020, candidate("a", 12.0, count=150))
    assert (changed.event, changed.trend.count, changed.trend.peak) == ("changed", 150, 150)
    assert decide(the, 1_030, candidate("a", 12.0, count=224)) == []


def test_a_trend_is_told_again_after_a_while_if_it_is_another() -> None:
    the = board(refresh=20)
    decide(the, 1_000, candidate("a", 10.0, count=100))
    assert decide(the, 1_010, candidate("a", 9.0, count=90)) == []
    (changed,) = decide(the, 1_020, candidate("a", 9.0, count=90))
    assert (changed.trend.count, changed.trend.peak, changed.trend.score) == (90, 100, 9.0)
    assert decide(the, 1_040, candidate("a", 9.5, count=90)) == []


def test_a_trend_carries_its_evidence() -> None:
    samples = (Sample("x", "1", "Fire in #OWS"),)
    evidence = Evidence({"OWS": 5, "ows": 5, "Ows": 2}, {"nyc": 3, "fire": 3, "usa": 9}, samples)
    the = board()
    full = msgspec.structs.replace(candidate("ows", 10.0), evidence=evidence, unattributed=4)
    (began,) = the.decide(1_000, [full], lambda _: (("fire", 3.5),))
    trend = began.trend
    assert (trend.id, trend.label, trend.words) == ("ows@1970-01-01T00:16:40Z", "OWS", (("fire", 3.5),))
    assert trend.cotags == (TagCount("usa", 9), TagCount("fire", 3), TagCount("nyc", 3))
    assert (trend.samples, trend.unattributed, trend.until) == (samples, 4, None)
    # The end says what it was about, without the posts.
    (ended,) = decide(the, 2_000)
    assert (ended.trend.label, ended.trend.words, ended.trend.samples) == ("OWS", (("fire", 3.5),), ())
    assert (ended.generation, ended.revision, ended.at.timestamp()) == (7, 0, 1_040)


def test_words_are_asked_for_only_when_something_is_said() -> None:
    asked = []
    the = board()

    def describe(asking: Candidate) -> tuple[tuple[str, float], ...]:
        asked.append(asking.tag)
        return ()

    hot = msgspec.structs.replace(candidate("a", 10.0), evidence=Evidence())
    for end in range(1_000, 1_100, SLIDE):
        the.decide(end, [hot, msgspec.structs.replace(hot, tag="b", score=3.0)], describe)
    assert asked == ["a"]


def test_a_state_of_another_kind_is_refused() -> None:
    the = board()
    with pytest.raises(ValueError, match="not the state of a trend board"):
        the.restore(b"\xc1")
    state = msgspec.msgpack.decode(the.state())
    state["version"] += 1
    with pytest.raises(ValueError, match="has version 2, not 1"):
        the.restore(msgspec.msgpack.encode(state))


Row = dict[str, tuple[float, int]]
rows: st.SearchStrategy[list[Row]] = st.lists(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "bost", "boston"]),
        st.tuples(st.sampled_from([2.0, 5.0, 8.0, 9.0, 12.0, 30.0]), st.sampled_from([1, 5, 20, 60, 400])),
        max_size=5,
    ),
    max_size=25,
)
settings = st.builds(
    options, max_active=st.integers(1, 3), hold=st.sampled_from([0, 10, 25, 60]), refresh=st.sampled_from([10, 50])
)


def run(the: TrendBoard, steps: Sequence[Row], first: int = START, reverse: bool = False) -> list[TrendEvent]:
    said = []
    for index, row in enumerate(steps):
        found = [candidate(tag, score, count) for tag, (score, count) in row.items()]
        said += the.decide(first + index * SLIDE, found[::-1] if reverse else found, no_words)
    return said


@given(rows, settings, st.integers(0, 25))
def test_goes_on_after_a_restore_as_if_nothing_had_been(steps: list[Row], how: DetectionOptions, cut: int) -> None:
    whole = run(TrendBoard(7, SLIDE, how), steps)
    before = TrendBoard(7, SLIDE, how)
    said = run(before, steps[:cut])
    after = TrendBoard(7, SLIDE, how)
    after.restore(before.state())
    assert said + run(after, steps[cut:], START + min(cut, len(steps)) * SLIDE) == whole


@given(rows, settings)
def test_the_order_of_candidates_does_not_matter(steps: list[Row], how: DetectionOptions) -> None:
    assert run(TrendBoard(7, SLIDE, how), steps) == run(TrendBoard(7, SLIDE, how), steps, reverse=True)


@given(rows, settings)
def test_window_ends_without_candidates_may_be_left_out(steps: list[Row], how: DetectionOptions) -> None:
    sparse = TrendBoard(7, SLIDE, how)
    said = []
    for index, row in enumerate(steps):
        if row or index == len(steps) - 1:
            found = [candidate(tag, score, count) for tag, (score, count) in row.items()]
            said += sparse.decide(START + index * SLIDE, found, no_words)
    assert said == run(TrendBoard(7, SLIDE, how), steps)


@given(rows, settings)
def test_every_trend_begins_once_and_ends_at_most_once(steps: list[Row], how: DetectionOptions) -> None:
    the = TrendBoard(7, SLIDE, how)
    active: set[str] = set()
    known: set[str] = set()
    for index, row in enumerate(steps):
        said = run(the, [row], START + index * SLIDE)
        assert len({event.trend.id for event in said}) == len(said)
        for event in said:
            match event.event:
                case "began":
                    assert event.trend.id not in known
                    assert row[event.trend.tag][0] >= how.start_score
                    active.add(event.trend.id)
                    known.add(event.trend.id)
                case "changed":
                    assert event.trend.id in active
                case "ended":
                    active.remove(event.trend.id)
        assert active == {trend.id for trend in the.active}
        assert len(active) <= how.max_active
