"""Whether a version may become champion: a stated rule over figures on the very same data.

For every task with labels that the champion or the candidate answers, judged by its main figure
(:data:`RULES`; a task that is not there by macro-F1):

1. the candidate beats the baseline by more than the margin;
2. it is nowhere worse than the champion by more than the margin, and on at least one task better by more than that;
3. its calibration error is at most the limit, over all the rows that it was judged on.

All three were judged on the same file, told by its sha256. Embeddings are no part of this: that
they still mean the same is a matter of the embedding space, which publishing itself watches.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from inference.tasks import EMOTION, NLI, SENTIMENT


class Rule(msgspec.Struct, frozen=True):
    """What decides for one task: the main figure, by how much it must differ, and the largest calibration error."""

    figure: str = "macro_f1"
    margin: float = 0.005
    calibration_error: float = 0.1


#: The figure that each task's public benchmarks are ranked by.
RULES: Final[Mapping[str, Rule]] = {
    SENTIMENT: Rule("macro_recall"),
    EMOTION: Rule("macro_f1"),
    NLI: Rule("accuracy"),
}


class Judged(msgspec.Struct, frozen=True):
    """The figures of one version for one task, and the sha256 of the file that it was judged on."""

    data: str
    figures: Mapping[str, float]


def gate(
    candidate: Mapping[str, Judged],
    champion: Mapping[str, Judged] | None,
    baseline: Mapping[str, Judged],
    rules: Mapping[str, Rule] = RULES,
) -> list[str]:
    """Why ``candidate`` must not become champion, by the rule above; nothing when it may.

    Each argument maps a task to how it was judged; ``champion`` is None where there is none.
    """
    if not candidate:
        return ["the candidate was judged on no task"]
    reasons = []
    gained = champion is None
    for task in sorted({*candidate, *(champion or {})}):
        rule = rules.get(task, Rule())
        if task not in candidate:
            reasons.append(f"{task}: the champion answers it and the candidate does not")
            continue
        if not _comparable(candidate[task], rule):
            reasons.append(f"{task}: the candidate's {rule.figure} or calibration error is missing or no number")
            continue
        reasons += _against_baseline(task, rule, candidate[task], baseline.get(task))
        if champion is not None and task in champion:
            gain, reason = _against_champion(task, rule, candidate[task], champion[task])
            gained |= gain
            reasons += reason
        else:
            gained = True  # a task that nobody answered before
        error = candidate[task].figures["calibration_error"]
        if error > rule.calibration_error:
            reasons.append(f"{task}: its calibration error is {error:.4f}, at most {rule.calibration_error} may be")
    if not gained and not reasons:
        reasons.append("it is nowhere better than the champion by more than the margin")
    return reasons


def most_frequent(labels: Sequence[str]) -> dict[str, float]:
    """The figures of who always says the most frequent of the true ``labels``: the least of baselines.

    >>> most_frequent(["a", "a", "a", "b"])["accuracy"]
    0.75
    """
    counts = Counter(labels)
    share = max(counts.values()) / len(labels)
    return {
        "n": len(labels),
        "accuracy": share,
        "macro_recall": 1 / len(counts),
        "macro_f1": 2 * share / (1 + share) / len(counts),
        "calibration_error": 0.0,
    }


def _against_baseline(task: str, rule: Rule, candidate: Judged, baseline: Judged | None) -> list[str]:
    if baseline is None:
        return [f"{task}: no baseline was judged"]
    if baseline.data != candidate.data:
        return [f"{task}: the baseline was judged on other data: judge both on the same file"]
    least, found = baseline.figures.get(rule.figure, math.nan), candidate.figures[rule.figure]
    if not found > least + rule.margin:
        return [
            f"{task}: {rule.figure} is {found:.4f}, the baseline's {least:.4f}: it must be over {rule.margin} better"
        ]
    return []


def _against_champion(task: str, rule: Rule, candidate: Judged, champion: Judged) -> tuple[bool, list[str]]:
    if champion.data != candidate.data:
        return False, [f"{task}: the champion was judged on other data: judge both on the same file"]
    least, found = champion.figures.get(rule.figure, math.nan), candidate.figures[rule.figure]
    if not found >= least - rule.margin:
        return False, [
            f"{task}: {rule.figure} is {found:.4f}, the champion's {least:.4f}: at most {rule.margin} worse may it be"
        ]
    return found > least + rule.margin, []


def _comparable(judged: Judged, rule: Rule) -> bool:
    return all(math.isfinite(judged.figures.get(name, math.nan)) for name in (rule.figure, "calibration_error"))
