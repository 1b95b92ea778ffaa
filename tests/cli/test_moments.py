"""Points in time as people give them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.moments import parse_moment
from cli.printing import printable
from groundswell.errors import SettingsError

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("45s", NOW - timedelta(seconds=45)),
        ("45m", NOW - timedelta(minutes=45)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("2W", NOW - timedelta(weeks=2)),
        ("2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
        ("2026-05-01T10:00:00Z", datetime(2026, 5, 1, 10, tzinfo=UTC)),
        ("2026-05-01 10:00", datetime(2026, 5, 1, 10, tzinfo=UTC)),
        ("2026-05-01T10:00:00+02:00", datetime(2026, 5, 1, 8, tzinfo=UTC)),
    ],
)
def test_times_dates_and_ages(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW, "--since") == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2 fortnights", "-2h", "2026-13-01", "999999w", "0001-01-01T00:00+10:00"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--since .*expected a time such as"):
        parse_moment(text, NOW, "--since")


@given(st.text())
def test_any_text_gives_a_moment_or_the_declared_error(text: str) -> None:
    with contextlib.suppress(SettingsError):
        assert parse_moment(text, NOW, "--since").tzinfo is not None


@given(st.text())
def test_a_printed_post_is_one_line_that_steers_nothing(text: str) -> None:
    shown = printable(text)
    assert shown.splitlines() in ([shown], [])
    assert not {"\x1b", "\x9b", "\r", "\b", "\u202e", "\u2066"} & set(shown)
    shown.encode()
