"""Whether a cross-encoder earns its vote: asked on posts that the evidence leaves uncertain, judged on events left out.

Everything comes from events that it was not fitted on: the evidence of a post is that of a
model made without its event, and the vote that is judged on an event was fitted on the others.

The vote is kept where, on average over the topics in their settings, it

- raises the average precision of posts without the tag by :data:`LEAST_GAIN` or more,
- lowers the log loss below that of the evidence with the same recalibration and no vote,
- and raises the calibration error by no more than :data:`TOLERATED_ERROR`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows.evidence_judging import SETTINGS, Scored
from inference.evidence_model import Reading
from model_export.evidence_fit import calibration_error
from model_export.reading_fit import ReadPosts, fit_reading, fit_recalibration, log_loss
from operators.topics.judging import Read
from operators.topics.verdict import Verdict, logits

#: Posts that are read for a topic in a setting, in bands of evidence of equal width between these log-odds.
MOST: Final = 300
BANDS: Final = 6
MIDDLE: Final = 3.0
#: What a vote must add to the average precision to be worth its milliseconds, and may take from the calibration.
LEAST_GAIN: Final = 0.002
TOLERATED_ERROR: Final = 0.002
#: The verdicts that are looked at.
THRESHOLD: Final = 0.5

Floats = NDArray[np.float64]


class Sampled(NamedTuple):
    """Posts of a topic in a setting that do not carry its tag: those in the middle that were read, and all outside it.

    ``read`` are probabilities, a half where nothing was asked; ``weights`` how many posts each stands for.
    """

    event: str
    tag: str
    setting: str
    evidence: Floats
    read: Floats
    asked: NDArray[np.bool_]
    about: NDArray[np.bool_]
    weights: Floats

    def posts(self) -> ReadPosts:
        """Those that were read."""
        at = self.asked
        return ReadPosts(self.event, logits(self.evidence[at]), logits(self.read[at]), self.about[at], self.weights[at])


class Trial(NamedTuple):
    """The figures by name, the vote that was fitted on all, if there is one, and whether it is to be kept."""

    figures: dict[str, float]
    reading: Reading | None
    kept: bool


def sampled(found: Iterable[Scored], read: Read, most: int = MOST) -> tuple[list[Sampled], float]:
    """What ``read`` says of up to ``most`` posts of each, by the topic's label, and the seconds a pair took."""
    samples, pairs, seconds = [], 0, 0.0
    for each in found:
        places, weights = middle(each.scores, each.untagged, most)
        texts = each.subject.settings[each.setting].texts
        started = time.perf_counter()
        answers = read(each.subject.topic.label, [texts[place] for place in places.tolist()])
        seconds += time.perf_counter() - started
        pairs += len(places)
        asked = np.array([answer is not None for answer in answers], dtype=bool)
        said = np.array([0.5 if answer is None else answer for answer in answers])
        outside = np.flatnonzero(each.untagged & ~_in_middle(each.scores))
        every = np.concatenate([places, outside])
        samples.append(
            Sampled(
                each.subject.event,
                each.subject.tag,
                each.setting,
                each.scores[every],
                np.concatenate([said, np.full(len(outside), 0.5)]),
                np.concatenate([asked, np.zeros(len(outside), dtype=bool)]),
                each.about[every],
                np.concatenate([weights, np.ones(len(outside))]),
            )
        )
    return samples, seconds / max(1, pairs)


def middle(scores: Floats, among: NDArray[np.bool_], most: int) -> tuple[NDArray[np.intp], Floats]:
    """Places of up to ``most`` uncertain posts, evenly over each band of evidence, and what each stands for."""
    odds = logits(scores)
    uncertain = np.flatnonzero(among & _in_middle(scores))
    bands = np.minimum(((odds[uncertain] + MIDDLE) / (2 * MIDDLE) * BANDS).astype(int), BANDS - 1)
    places: list[NDArray[np.intp]] = [np.zeros(0, dtype=np.intp)]
    weights = [np.zeros(0)]
    for band in range(BANDS):
        there = uncertain[bands == band]
        count = min(len(there), most // BANDS)
        if count:
            there = there[np.argsort(odds[there], kind="stable")]
            places.append(there[np.linspace(0, len(there) - 1, count).round().astype(int)])
            weights.append(np.full(count, len(there) / count))
    return np.concatenate(places), np.concatenate(weights)


def tried(samples: Sequence[Sampled], seconds: float) -> Trial:
    """Judges the vote on each event by one fitted on the others; ``seconds`` are what a pair takes."""
    figures: dict[str, list[float]] = {}
    whole = fit_reading([each.posts() for each in samples])
    votes = {}
    for event in dict.fromkeys(each.event for each in samples):
        others = [each.posts() for each in samples if each.event != event]
        votes[event] = fit_reading(others), fit_recalibration(others)
    for each in samples:
        for name, value in _judged(each, *votes[each.event]):
            figures.setdefault(f"{SETTINGS[each.setting]}/{name}", []).append(value)
            figures.setdefault(f"all/{name}", []).append(value)
    by_setting = sorted(figures, key=lambda name: name.partition("/")[0])
    means = {name: round(float(np.mean(figures[name])), 5) for name in by_setting}
    means["all/milliseconds a pair"] = round(seconds * 1e3, 3)
    return Trial(means, whole, whole is not None and earns(means))


def earns(figures: Mapping[str, float]) -> bool:
    """The rule by which a vote is kept."""
    gain = figures["all/average precision, read"] - figures["all/average precision"]
    error = figures["all/calibration error, read"] - figures["all/calibration error"]
    loss = figures["all/log loss, read"] - figures["all/log loss, recalibrated"]
    return gain >= LEAST_GAIN and loss < 0 and error <= TOLERATED_ERROR


def told(name: str, trial: Trial) -> str:
    """What came of the trial of the cross-encoder ``name``, for people."""
    get = trial.figures.__getitem__
    posts, pairs = get("all/posts"), get("all/posts that are read")
    return (
        f"`{name}` {'has a vote' if trial.kept else 'has no vote: it did not earn one'}. Asked about up to {MOST} "
        f"uncertain posts of each topic and setting, events left out, it moves the average precision from "
        f"{get('all/average precision'):.4f} to {get('all/average precision, read'):.4f}, the log loss from "
        f"{get('all/log loss, recalibrated'):.4f} (calibrated on the same posts, nothing read) to "
        f"{get('all/log loss, read'):.4f} and the calibration error from {get('all/calibration error'):.4f} to "
        f"{get('all/calibration error, read'):.4f}. It would read {pairs:,.0f} of {posts:,.0f} posts for a topic, "
        f"{get('all/milliseconds a pair'):.1f} ms each. It needs {LEAST_GAIN} more average precision, less log loss, "
        f"and at most {TOLERATED_ERROR} more calibration error."
    )


def _judged(each: Sampled, reading: Reading | None, plain: Reading | None) -> Iterator[tuple[str, float]]:
    """The figures of posts of a topic by the evidence alone, by it calibrated anew, and with the vote."""
    verdict = Verdict(reading)
    undecided = verdict.undecided(each.evidence, THRESHOLD)
    voted = np.where(undecided & each.asked, verdict.combined(each.evidence, each.read), verdict.alone(each.evidence))
    for name, scores in (
        ("", each.evidence),
        (", recalibrated", Verdict(plain).alone(each.evidence)),
        (", read", voted),
    ):
        yield f"average precision{name}", weighted_precision(scores, each.about, each.weights)
        yield f"log loss{name}", log_loss(scores, each.about, each.weights)
        yield f"calibration error{name}", calibration_error(scores, each.about, each.weights)
    yield "posts", float(each.weights.sum())
    yield "posts that are read", float(each.weights[undecided].sum())


def weighted_precision(scores: Floats, about: NDArray[np.bool_], weights: Floats) -> float:
    """Average precision of posts ranked by their scores, each for as many as it weighs; 0 where none is about it."""
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(weights[order] * about[order])
    precision = found / np.cumsum(weights[order])
    return float((precision * weights[order] * about[order]).sum() / max(float(found[-1]), 1e-12))


def _in_middle(scores: Floats) -> NDArray[np.bool_]:
    within: NDArray[np.bool_] = np.abs(logits(scores)) <= MIDDLE
    return within
