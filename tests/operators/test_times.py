from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators import times

_2008 = datetime(2008, 8, 27, 13, 8, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "Wed Aug 27 13:08:45 +0000 2008",
        "Wed Aug 27 15:08:45 +0200 2008",
        "Wed Aug 27 06:08:45 PDT 2008",
        " 2008-08-27T13:08:45Z ",
        "2008-08-27T13:08:45.000Z",
        "2008-08-27T15:08:45+02:00",
        "2008-08-27 13:08:45",
        1219842525,
        1219842525.0,
        1219842525000,
        1219842525000000,
        "1219842525",
        "1219842525000",
        "1219842525.0",
    ],
)
def test_one_time_in_many_formats(value: str | float) -> None:
    parsed = times.parse(value)
    assert parsed == _2008
    assert parsed.tzinfo is UTC


def test_configured_formats_come_last_and_mean_utc() -> None:
    formats = ["%d/%m/%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%b %d %Y %H:%M:%S %z"]
    assert times.parse("27.08.2008 13:08:45", formats) == _2008
    assert times.parse("Aug 27 2008 15:08:45 +0200", formats) == _2008
    assert times.parse("2008-08-27T13:08:45Z", formats) == _2008


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "Wed Foo 27 13:08:45 +0000 2008",
        "Wed Aug 27 13:08:45 XYZ 2008",
        "Wed Aug 32 13:08:45 +0000 2008",
        "Wed Aug 27 13:08:45 +9900 2008",
        "0001-01-01T00:00:00+23:59",
        "2008-13-01",
        float("inf"),
        float("nan"),
        10**30,
        "99999999999999999999",
    ],
)
def test_what_is_no_time_is_a_value_error(value: str | float) -> None:
    with pytest.raises(ValueError):
        times.parse(value)


@given(st.one_of(st.text(), st.floats(), st.integers()))
def test_parse_raises_nothing_but_value_error(value: str | float) -> None:
    with suppress(ValueError):
        assert times.parse(value, ["%Y/%m/%d %z"]).utcoffset() == timedelta(0)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)))
def test_twitter_times_round_trip(naive: datetime) -> None:
    time = naive.replace(microsecond=0, tzinfo=UTC)
    assert times.parse(time.strftime("%a %b %d %H:%M:%S +0000 %Y")) == time


@pytest.mark.parametrize(
    ("identity", "time"),
    [
        ("1212092628029698048", datetime(2019, 12, 31, 19, 26, 16, 771_000, tzinfo=UTC)),
        ("20", None),
        ("", None),
        ("abc", None),
        ("99999999999999999999", None),
        ("１２１２０９２６２８０２９６９８０４８", None),
    ],
)
def test_twitter_ids_hold_their_time(identity: str, time: datetime | None) -> None:
    assert times.from_twitter_id(identity) == time
