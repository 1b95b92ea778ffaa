"""Points in time as people give them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from groundswell.errors import SettingsError

_AGE = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_moment(text: str, now: datetime, option: str) -> datetime:
    """A time from RFC 3339, a date (its first moment, UTC) or an age before ``now`` such as ``2h``.

    >>> now = datetime(2026, 5, 20, 12, tzinfo=UTC)
    >>> parse_moment("2h", now, "--since").isoformat(), parse_moment("2026-05-01", now, "--since").isoformat()
    ('2026-05-20T10:00:00+00:00', '2026-05-01T00:00:00+00:00')

    Raises :class:`~groundswell.errors.SettingsError` naming the ``option``.
    """
    age = _AGE.fullmatch(text.strip().lower())
    try:
        if age:
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        moment = datetime.fromisoformat(text.strip())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise SettingsError(
            f"{option} {text!r}: expected a time such as 2026-05-20T20:01:00Z, a date, or an age such as 45m, 2h, 7d"
        ) from None
