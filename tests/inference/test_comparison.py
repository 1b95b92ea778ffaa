"""Two versions on the same texts: agreement, shift, and failures that chance does not explain."""

from __future__ import annotations

import pytest

from groundswell.records import Analysis
from inference.comparison import FAILS, Comparison, Met
from inference.rows import CANCELLED, RowError
from tests.inference.judged import CODING, TASK, failed, said

CODINGS = {TASK: CODING}


def compared(new: list[Analysis | RowError], old: list[Analysis | RowError], rows: int = 100) -> Comparison:
    comparison = Comparison(CODINGS, CODINGS, rows)
    comparison.add([TASK], Met(new, old))
    return comparison


def test_agreement_is_of_labels_and_the_shift_of_the_old_label_s_probability() -> None:
    figures = compared(
        [said("positive", 0.6), said("negative", 0.8)],
        [said("positive", 0.9), said("positive", 0.5)],
    ).figures(TASK)
    assert figures is not None
    assert (figures.texts, figures.agreement) == (2, 0.5)
    # The second text: the new version gives "positive" half of what "negative" leaves.
    assert figures.shift == pytest.approx(((0.6 - 0.9) + (0.1 - 0.5)) / 2, abs=1e-6)
    assert figures.new.classes == {"negative": 0.5, "neutral": 0, "positive": 0.5}
    assert figures.old.classes == {"negative": 0, "neutral": 0, "positive": 1}


def test_texts_without_both_answers_count_as_failures_alone() -> None:
    comparison = compared([failed(), said("positive", 0.9), failed()], [said("positive", 0.9), failed(), failed()])
    assert comparison.figures(TASK) is None


def test_a_task_that_was_not_asked_for_is_not_compared() -> None:
    comparison = Comparison(CODINGS, CODINGS, 10)
    comparison.add(["embedding"], Met([said("positive", 0.9)], [said("positive", 0.9)]))
    assert comparison.figures(TASK) is None
    assert not comparison.full


def test_only_the_newest_texts_count() -> None:
    comparison = Comparison(CODINGS, CODINGS, 3)
    for label in ("positive", "negative", "negative", "negative"):
        comparison.add([TASK], Met([said(label, 0.9)], [said("negative", 0.9)]))
    figures = comparison.figures(TASK)
    assert comparison.full
    assert figures is not None
    assert (figures.texts, figures.agreement) == (3, 1)


@pytest.mark.parametrize(
    ("texts", "new_alone", "old_alone", "both", "lost"),
    [
        (16, 16, 0, 0, False),
        (17, 17, 0, 0, True),
        (2_000, 20, 0, 0, False),
        (2_000, 21, 0, 0, True),
        (2_000, 0, 500, 0, False),
        (2_000, 0, 0, 2_000, False),
        (2_000, 200, 150, 0, False),
        (2_000, 250, 150, 0, True),
    ],
)
def test_a_version_that_fails_much_more_must_not_go_on(
    texts: int, new_alone: int, old_alone: int, both: int, lost: bool
) -> None:
    fine = said("positive", 0.9)
    pairs: list[tuple[Analysis | RowError, Analysis | RowError]]
    pairs = [(failed(), fine)] * new_alone + [(fine, failed())] * old_alone + [(failed(), failed())] * both
    pairs = [(fine, fine)] * (texts - len(pairs)) + pairs
    comparison = Comparison(CODINGS, CODINGS, 2_000)
    fault = comparison.add([TASK], Met([new for new, _ in pairs], [old for _, old in pairs]))
    assert (fault is not None) == lost
    if fault is not None:
        assert fault.cause == FAILS
        assert f"{new_alone} failed with it alone, {old_alone} without it" in fault.reason


def test_what_was_cancelled_is_nobody_s_failure() -> None:
    comparison = Comparison(CODINGS, CODINGS, 100)
    fine = [said("positive", 0.9)] * 100
    assert comparison.add([TASK], Met([failed(CANCELLED)] * 100, fine)) is None
    assert comparison.add([TASK], Met(fine, [failed(CANCELLED)] * 100)) is None
    assert not comparison.full
