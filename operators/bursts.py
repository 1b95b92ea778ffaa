"""How surprising it is that a tag is used as much as it is now: the burst score.

What moves the score are *author-panes*: an author counts at most once per pane and tag,
so that one account, however loud, is one voice per pane; a post without author is its own author.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]


def burst_scores(
    recent: Counts, past: Counts, stream_recent: float, stream_past: float, tolerated_growth: float
) -> Counts:
    """Minus the decimal logarithm of how likely such counts are without a burst, for each tag (f8[n] → f8[n]).

    ``recent`` are the tag's author-panes of the recent span and ``past`` those before it;
    ``stream_recent`` and ``stream_past`` are all posts of the stream in the same spans. What is
    further back may be decayed (:func:`decayed`), when the tag's and the stream's are alike.

    A tag is no burst when its share of the stream grew at most ``tolerated_growth``-fold (g). Given
    the sum n = recent + past of two Poisson counts, the recent one is then binomial with at most

        p0 = g * stream_recent / (g * stream_recent + stream_past)

    (Przyborowski and Wilenski 1940, Biometrika 31, 313-323), and the score is the Chernoff bound
    (Chernoff 1952; Hoeffding 1963) of the upper tail, n * KL(recent / n || p0) / ln 10 where
    recent / n > p0 and 0 elsewhere. It is a bound of the significance at every count, also of a
    tag that was never seen before; the whole stream's growth cancels; and a stream without a
    past (p0 = 1) has no bursts, a short one only those that its little past can prove.
    """
    total = recent + past
    expected = tolerated_growth * stream_recent
    if expected <= 0.0 or stream_past <= 0.0:
        return np.zeros_like(total)
    share = expected / (expected + stream_past)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.where(recent > 0.0, recent * np.log(recent / (total * share)), 0.0)
        unseen = np.where(past > 0.0, past * np.log(past / (total * (1.0 - share))), 0.0)
    return np.where(recent > total * share, np.maximum(seen + unseen, 0.0) / np.log(10.0), 0.0)


def decayed(value: Counts, seconds: Counts | float, half_life: float) -> Counts:
    """A history after ``seconds`` more: half of it is left after ``half_life`` seconds."""
    return value * np.exp2(-np.asarray(seconds) / half_life)
