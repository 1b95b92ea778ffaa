"""Lengths of time as people read them."""

from __future__ import annotations


def span(seconds: float) -> str:
    """A duration in its two largest units, or in the one that it fills.

    >>> span(59.4), span(3700), span(190000), span(1800)
    ('59s', '1h 1m', '2d 4h', '30m')
    """
    whole = max(0, int(seconds))
    parts = [(whole // 86_400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next((index for index, (count, _) in enumerate(parts) if count), 3)
    (count, unit), *smaller = parts[first : first + 2]
    return f"{count}{unit}" + "".join(f" {count}{unit}" for count, unit in smaller if count)
