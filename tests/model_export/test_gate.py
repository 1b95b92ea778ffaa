"""Who may become champion."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_export.gate import Judged, Rule, gate, most_frequent

HERE, THERE = "a" * 64, "b" * 64
VALUES = st.floats(0, 1)


def judged(value: float, error: float = 0.02, data: str = HERE) -> Judged:
    return Judged(data, {"macro_recall": value, "macro_f1": value, "accuracy": value, "calibration_error": error})


def mood(value: float, error: float = 0.02, data: str = HERE) -> dict[str, Judged]:
    return {"sentiment": judged(value, error, data)}


LOW = mood(0.5)


@pytest.mark.parametrize(
    ("candidate", "champion", "baseline", "reason"),
    [
        (mood(0.7), None, LOW, None),
        (mood(0.7), mood(0.69), LOW, None),
        (mood(0.7), mood(0.695), LOW, "nowhere better"),
        (mood(0.7), mood(0.7), LOW, "nowhere better"),
        (mood(0.7), mood(0.71), LOW, "macro_recall is 0.7000, the champion's 0.7100"),
        (mood(0.504), None, LOW, "the baseline's 0.5000"),
        (mood(0.7, error=0.11), None, LOW, "its calibration error is 0.1100, at most 0.1"),
        (mood(0.7), mood(0.6, data=THERE), LOW, "the champion was judged on other data"),
        (mood(0.7), None, mood(0.5, data=THERE), "the baseline was judged on other data"),
        (mood(0.7), None, {}, "no baseline was judged"),
        ({}, None, LOW, "judged on no task"),
        ({"sentiment": Judged(HERE, {})}, None, LOW, "is missing or no number"),
        (mood(math.nan), None, LOW, "is missing or no number"),
        (mood(0.7, error=math.nan), None, LOW, "is missing or no number"),
        (mood(0.7), mood(math.nan), LOW, "the champion's nan"),
        (mood(0.7), {**LOW, "emotion": judged(0.5)}, LOW, "the champion answers it and the candidate does not"),
    ],
)
def test_the_rule(
    candidate: Mapping[str, Judged],
    champion: Mapping[str, Judged] | None,
    baseline: Mapping[str, Judged],
    reason: str | None,
) -> None:
    found = gate(candidate, champion, baseline)
    assert found == [] if reason is None else reason in "; ".join(found)


def test_one_task_may_gain_while_the_other_stays() -> None:
    champion = {"sentiment": judged(0.7), "emotion": judged(0.7)}
    baseline = {"sentiment": judged(0.5), "emotion": judged(0.5)}
    assert gate({"sentiment": judged(0.72), "emotion": judged(0.697)}, champion, baseline) == []
    assert gate({"sentiment": judged(0.9), "emotion": judged(0.69)}, champion, baseline) != []


def test_a_task_that_nobody_answered_before_is_a_gain() -> None:
    assert gate({**mood(0.7), "emotion": judged(0.7)}, mood(0.7), {**LOW, "emotion": judged(0.3)}) == []


def test_each_task_has_its_main_figure() -> None:
    for task, figure in (
        ("sentiment", "macro_recall"),
        ("emotion", "macro_f1"),
        ("nli", "accuracy"),
        ("x", "macro_f1"),
    ):
        low = {"macro_recall": 0.1, "macro_f1": 0.1, "accuracy": 0.1, "calibration_error": 0.0}
        baseline = {task: Judged(HERE, {**low, figure: 0.2})}
        assert gate({task: Judged(HERE, {**low, figure: 0.3})}, None, baseline) == []
        others = {name: 0.9 for name in low if name not in (figure, "calibration_error")}
        assert gate({task: Judged(HERE, {**low, **others})}, None, baseline) != []


@settings(deadline=None)
@given(first=VALUES, second=VALUES)
def test_two_versions_never_both_beat_each_other(first: float, second: float) -> None:
    rules = {"sentiment": Rule("macro_recall", margin=0.005)}
    nothing = mood(-1.0)
    assert gate(mood(first), mood(second), nothing, rules) or gate(mood(second), mood(first), nothing, rules)


@settings(deadline=None)
@given(value=VALUES, champion=VALUES, gain=VALUES)
def test_better_figures_never_close_the_gate(value: float, champion: float, gain: float) -> None:
    if gate(mood(value), mood(champion), mood(0.0)) == []:
        assert gate(mood(value + gain), mood(champion), mood(0.0)) == []


def test_the_least_of_baselines() -> None:
    found = most_frequent(["a"] * 6 + ["b"] * 3 + ["c"])
    assert found["n"] == 10
    assert found["accuracy"] == 0.6
    assert found["macro_recall"] == pytest.approx(1 / 3)
    assert found["macro_f1"] == pytest.approx(2 * 0.6 / 1.6 / 3)
