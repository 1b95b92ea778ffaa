"""How surprising it is that a tag is used as much as it is now: the burst score.

What moves the score are *author-panes*: an author counts at most once per pane and tag,
so that one account, however loud, is one voice per pane; a post without author is its own author.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]

_LN_10 = float(np.log(10.0))


def trend_scores(
    recent: Counts,
    window: Counts,
    history: Counts,
    stream_recent: Counts | float,
    stream_window: Counts | float,
    stream_history: Counts | float,
    tolerated_growth: float,
) -> Counts:
    """The burst score of each tag at two time scales, the higher of both (f8[n] → f8[n]).

    ``recent`` are the tag's author-panes of the recent span, ``window`` those of the whole window
    (the recent ones included) and ``history`` what left the window, decayed (:func:`decayed`);
    ``stream_*`` are all posts of the stream in the same spans (numbers, or one for each tag).

    The fast score compares the recent span with everything before it, the slow one the window with
    the history: it finds what grows over half an hour by few posts each minute. A tag that is no
    longer used keeps its window for a while, so the slow score counts by the share of it that is
    still going on: the tag's share of the recent stream divided by its share of the window's.
    """
    fast = burst_scores(
        recent,
        window - recent + history,
        stream_recent,
        stream_window - stream_recent + stream_history,
        tolerated_growth,
    )
    slow = burst_scores(window, history, stream_window, stream_history, tolerated_growth)
    going_on = np.minimum(recent * stream_window / np.maximum(window * stream_recent, 1.0), 1.0)
    return np.maximum(fast, slow * going_on)


def burst_scores(
    recent: Counts,
    past: Counts,
    stream_recent: Counts | float,
    stream_past: Counts | float,
    tolerated_growth: float,
) -> Counts:
    """Minus the decimal logarithm of how likely such counts are without a burst, for each tag (f8[n] → f8[n]).

    ``recent`` are the tag's author-panes of some span and ``past`` those before it;
    ``stream_recent`` and ``stream_past`` are all posts of the stream in the same spans. What is
    further back may be decayed, when the tag's and the stream's are alike.

    A tag is no burst when its share of the stream grew at most ``tolerated_growth``-fold (g). Given
    the sum n = recent + past of two Poisson counts, the recent one is then binomial with at most

        p0 = g * stream_recent / (g * stream_recent + stream_past)

    (Przyborowski and Wilenski 1940, Biometrika 31, 313-323), and the score is the Chernoff bound
    (Chernoff 1952; Hoeffding 1963) of the upper tail, n * KL(recent / n || p0) / ln 10 where
    recent / n > p0 and 0 elsewhere. It is a bound of the significance at every count, also of a
    tag that was never seen before; the whole stream's growth cancels; and a stream without a
    past (p0 = 1) has no bursts, a short one only those that its little past can prove.

    >>> burst_scores(np.array([15.0, 15.0]), np.array([0.0, 60.0]), 300.0, 9_000.0, 2.0).round(1)
    array([18.1,  3.4])
    """
    total = recent + past
    expected = tolerated_growth * stream_recent
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(np.minimum(expected, stream_past) > 0.0, expected / (expected + stream_past), 1.0)
        seen = np.where(recent > 0.0, recent * np.log(recent / (total * share)), 0.0)
        unseen = np.where(past > 0.0, past * np.log(past / (total * (1.0 - share))), 0.0)
        return np.where(recent > total * share, np.maximum(seen + unseen, 0.0) / _LN_10, 0.0)


def decayed(value: Counts, seconds: Counts | float, half_life: float) -> Counts:
    """A history after ``seconds`` more: half of it is left after ``half_life`` seconds."""
    return value * np.exp2(-np.asarray(seconds) / half_life)
