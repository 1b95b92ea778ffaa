"""Idleness is known, not guessed: only time that the input confirmed counts."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from connectors.idleness import LONGEST_GAP, REPEAT_SECONDS, Emptiness, IdleClock

_TIMEOUT = 5.0

#: What happens at one look: seconds since the look before, and either records, or the
#: age of the newest confirmation (``None``: nothing is known), and whether there was trouble since.
_Looks = st.lists(
    st.tuples(
        st.floats(0.0, 30.0),
        st.one_of(st.just("records"), st.none(), st.floats(0.0, 3.0)),
        st.booleans(),
    ),
    max_size=60,
)


def _empty(until: float, since: float = 0.0) -> Emptiness:
    return Emptiness(since, until)


# seconds    1    2    3    4    5    6    7    8
# confirmed  +    +    +    +    +    +    +    +
# said                                5    6    7
def test_idleness_begins_after_the_time_out_and_is_said_once_a_second() -> None:
    clock = IdleClock(_TIMEOUT)
    looks = [number / 10 for number in range(10, 85)]
    said = [(now, idle) for now in looks if (idle := clock.look(_empty(now // 1), now)) is not None]
    assert said == [(6.0, 5.0), (7.0, 6.0), (8.0, 7.0)]


def test_a_confirmation_older_than_the_newest_record_is_none() -> None:
    clock = IdleClock(1.0)
    clock.records(10.0)
    assert [clock.look(_empty(9.0), 11.0), clock.look(_empty(9.9), 12.0), clock.look(_empty(10.0), 13.0)] == [None] * 3
    assert clock.look(_empty(13.0), 14.0) is None
    assert clock.look(_empty(14.5), 15.0) == 1.5


def test_an_old_answer_does_not_grow_older_by_being_looked_at() -> None:
    clock = IdleClock(1.0)
    clock.look(_empty(10.0), 10.0)
    assert [clock.look(_empty(10.5), now) for now in (11.0, 100.0, 1000.0)] == [None] * 3


#  confirmed  +  +  +                            +  +  +  +
#  trouble             xxxxxxxxxxxxxxxxxxxxxxxx
#  seconds    0  2  4        600 in all          604      610
def test_an_outage_adds_nothing_and_begins_anew() -> None:
    clock = IdleClock(3.0)
    assert [clock.look(_empty(now), now) for now in (0.0, 2.0, 4.0)] == [None, None, 4.0]
    assert [clock.look(None, now) for now in (5.0, 300.0, 600.0)] == [0.0, None, None]
    assert [clock.look(_empty(now, since=603), now) for now in (604.0, 606.0, 608.0)] == [None, None, 4.0]


def test_an_outage_that_nobody_looked_at_begins_anew_as_well() -> None:
    clock = IdleClock(3.0)
    assert [clock.look(_empty(now), now) for now in (0.0, 4.0)] == [None, 4.0]
    assert clock.look(_empty(605.0, since=603.0), 606.0) == 0.0
    assert [clock.look(_empty(now, since=603.0), now) for now in (607.0, 610.0)] == [None, 3.0]


def test_of_a_time_in_which_nobody_looked_little_counts() -> None:
    clock = IdleClock(3.0)
    clock.look(_empty(0.0), 0.0)
    assert clock.look(_empty(500.0), 500.0) == LONGEST_GAP


@given(_Looks)
def test_idle_time_is_never_more_than_what_was_confirmed_since_the_last_record_or_trouble(
    looks: list[tuple[float, str | float | None, bool]],
) -> None:
    clock = IdleClock(_TIMEOUT)
    now, since = 0.0, 0.0
    began: float | None = None  # the first confirmation since the last record or trouble
    last_record = float("-inf")
    said: list[tuple[float, float]] = []
    idle = False
    for passed, what, trouble in looks:
        now += passed
        if trouble:
            since = now
        if what == "records":
            clock.records(now)
            last_record, began, idle = now, None, False
            continue
        until = None if what is None else now - float(what)
        known = until is not None and until >= since
        answer = clock.look(Emptiness(since, until) if known and until is not None else None, now)
        if not known or until is None or (began is not None and began < since):
            began = None
        if known and until is not None and until > last_record:
            began = until if began is None else began
        if answer is None:
            continue
        if answer == 0.0:
            assert idle
            idle = False
            continue
        assert began is not None
        assert until is not None
        assert _TIMEOUT <= answer <= until - began + 1e-6
        assert not idle or now - said[-1][0] >= REPEAT_SECONDS
        assert not idle or answer > said[-1][1]
        idle = True
        said.append((now, answer))


@given(st.lists(st.floats(0.01, 2.0), min_size=20, max_size=200))
def test_a_partition_that_stays_empty_is_told_so_and_its_idle_time_is_exact(steps: list[float]) -> None:
    clock = IdleClock(_TIMEOUT)
    now = 0.0
    said: list[tuple[float, float]] = []
    clock.look(_empty(now), now)
    for step in steps:
        now += step
        idle = clock.look(_empty(now), now)
        if idle is not None:
            said.append((now, idle))
            assert abs(idle - now) < 1e-6
    times = [_TIMEOUT, *(at for at, _ in said), now]
    # Nothing is left unsaid for longer than the pause and one step.
    assert now < _TIMEOUT or all(b - a < REPEAT_SECONDS + 2.0 for a, b in pairwise(times))
