"""Times as services write them, in UTC.

Everything here raises ``ValueError`` for what is no time, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

#: First millisecond of Twitter's ids, since 1970.
_TWITTER_EPOCH_MS = 1_288_834_974_657
#: Ids below this were counted up and tell no time (the change was made in November 2010).
_FIRST_TIMED_ID = 29_700_859_247
_LAST_ID = 1 << 63

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
#: The zone names that Twitter's pages once wrote; any other name is no time.
_ZONES = {
    "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7
}  # fmt: skip
_NUMBER = re.compile(r"-?[0-9]{9,20}(?:\.[0-9]{1,9})?", re.ASCII)


@lru_cache(maxsize=4096)
def parse_twitter(text: str) -> datetime:
    """A time such as ``Wed Aug 27 13:08:45 +0000 2008`` or ``Mon Apr 06 22:19:45 PDT 2009``.

    >>> parse_twitter("Mon Apr 06 22:19:45 PDT 2009").isoformat()
    '2009-04-07T05:19:45+00:00'
    """
    zone, year = text[20:-5], text[-4:]
    if len(text) < 28 or text[13:17:3] != "::" or {text[3], text[7], text[10], text[19], text[-5]} != {" "}:
        raise ValueError(f"no Twitter time: {text[:60]!r}")
    month = _MONTHS.get(text[4:7])
    if month is None:
        raise ValueError(f"no month: {text[:60]!r}")
    time = datetime(
        int(year), month, int(text[8:10]), int(text[11:13]), int(text[14:16]), int(text[17:19]), tzinfo=_zone(zone)
    )
    return _utc(time)


def _zone(name: str) -> timezone:
    if name == "+0000":
        return UTC
    if name in _ZONES:
        return timezone(timedelta(hours=_ZONES[name]))
    if len(name) == 5 and name[0] in "+-" and name[1:].isdecimal():
        offset = timedelta(hours=int(name[1:3]), minutes=int(name[3:5]))
        return timezone(-offset if name[0] == "-" else offset)
    raise ValueError(f"no time zone: {name[:20]!r}")


def _utc(time: datetime) -> datetime:
    """The same instant in UTC; a time without a zone is taken for UTC."""
    if time.tzinfo is UTC:
        return time
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"time out of range: {time}") from error


def parse_iso(text: str) -> datetime:
    """An ISO 8601 (RFC 3339) time.

    >>> parse_iso("2023-01-02T03:04:05.678Z").isoformat()
    '2023-01-02T03:04:05.678000+00:00'
    """
    return _utc(datetime.fromisoformat(text))


def from_epoch(number: float) -> datetime:
    """Seconds, milliseconds or microseconds since 1970, told apart by their size.

    >>> from_epoch(1467810369) == from_epoch(1467810369000) == from_epoch(1467810369000000)
    True
    """
    size = abs(number)
    if size < 1e11:
        unit = 1_000_000
    elif size < 1e14:
        unit = 1_000
    elif size < 1e17:
        unit = 1
    else:
        raise ValueError(f"no Unix time: {number:.6g}" if isinstance(number, float) else "no Unix time: a huge number")
    try:
        return _EPOCH + timedelta(microseconds=number * unit)
    except OverflowError as error:
        raise ValueError(f"time out of range: {number}") from error


def from_twitter_id(post_id: str) -> datetime | None:
    """The time in a Twitter id, to the millisecond; ``None`` for an id that holds none.

    >>> from_twitter_id("1212092628029698048").isoformat()
    '2019-12-31T19:26:16.771000+00:00'
    """
    if not (post_id.isascii() and post_id.isdecimal() and len(post_id) < 20):
        return None
    number = int(post_id)
    if not _FIRST_TIMED_ID <= number < _LAST_ID:
        return None
    return _EPOCH + timedelta(milliseconds=(number >> 22) + _TWITTER_EPOCH_MS)


def parse(value: str | float, formats: Sequence[str] = ()) -> datetime:
    """Any of the above, then the ``strptime`` formats in order (UTC where they name no zone).

    >>> parse("27/08/2008 13:08", ["%d/%m/%Y %H:%M"]).isoformat()
    '2008-08-27T13:08:00+00:00'
    """
    if not isinstance(value, str):
        return from_epoch(value)
    text = value.strip()
    if text[10:11] == " " and text[4:7] in _MONTHS:
        return parse_twitter(text)
    if _NUMBER.fullmatch(text):
        return from_epoch(float(text) if "." in text else int(text))
    try:
        return parse_iso(text)
    except ValueError:
        for pattern in formats:
            try:
                return _utc(datetime.strptime(text, pattern))
            except ValueError:
                continue
        raise ValueError(f"no known time format: {text[:60]!r}") from None
