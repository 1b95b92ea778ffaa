"""Whether many people stand behind a tag, or few accounts that post it again and again."""

from __future__ import annotations

from math import sqrt

#: Standard deviations by which a crowd must differ from a ring.
_DEVIATIONS = 2.5


def is_crowd(count: int, authors: int, ring: int) -> bool:
    """Whether ``count`` posts by ``authors`` distinct authors are more than ``ring`` accounts would show.

    Posts drawn at random from ``ring`` accounts come from M = r(1 - q) of them on average, q being
    (1 - 1/r)^n, with the variance r(r - 1)(1 - 2/r)^n + r q - r² q² of the occupancy distribution
    (Johnson and Kotz 1977, Urn Models, 3.2.1). A crowd shows significantly more distinct authors
    than that. Small counts prove nothing, so that the least crowd for a ring of 60 are 24 posts by
    24 authors, or 40 authors of 50 posts, or 61 of many.

    >>> is_crowd(30, 30, ring=60), is_crowd(80, 41, ring=60), is_crowd(6000, 60, ring=60)
    (True, False, False)
    """
    if ring <= 1:
        return authors > ring
    missing = (1.0 - 1.0 / ring) ** count
    mean = ring * (1.0 - missing)
    variance = ring * (ring - 1) * (1.0 - 2.0 / ring) ** count + ring * missing - (ring * missing) ** 2
    return authors > min(mean + _DEVIATIONS * sqrt(max(variance, 0.0)) + 1e-6, float(ring))
