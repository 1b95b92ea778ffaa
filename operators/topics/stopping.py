"""When to stop looking: the candidates have become hopeless.

Candidates come the nearest first. The calibrated probabilities of those seen say how many
members there were in each stretch of them, and how fast that number falls; if it goes on
falling so, the members that are still to come are a geometric series.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Parts of the candidates, by whose last two the fall is told.
PARTS: Final = 4
#: Fewest candidates that tell a fall.
FEWEST: Final = 100
#: What is below this share of the threshold is no member and will be none: all of it together is noise.
FLOOR: Final = 0.2


def hopeless(evidence: NDArray[Any], members: int, threshold: float, tolerated_loss: float) -> bool:
    """Whether the candidates beyond these hold fewer than ``tolerated_loss`` of all members, as is to be expected.

    ``evidence`` are the calibrated probabilities of the candidates seen, the nearest first
    ``[candidates]``; ``members`` were found before or among them, at probabilities of
    ``threshold`` or more. What is tolerated is a share of ``members`` and of those that these
    candidates are expected to hold, whichever is more. Where the number of members does not
    fall, nothing is hopeless; where the last part holds none at all, the rest is.
    """
    if len(evidence) < FEWEST:
        return not len(evidence)
    told = np.where(evidence >= FLOOR * threshold, evidence, 0.0)
    size = len(told) // PARTS
    last, before = float(told[-size:].sum()), float(told[-2 * size : -size].sum())
    if last == 0:
        return True
    return expected_rest(last, before) < tolerated_loss * max(members, float(told.sum()))


def expected_rest(last: float, before: float) -> float:
    """The sum of what follows ``before``, ``last`` in a geometric series; infinite where it does not fall.

    >>> expected_rest(1.0, 2.0)
    1.0
    """
    return last * last / (before - last) if last < before else np.inf
