"""Judging a model that serves: labelled texts go through the engine itself; figures come out, whole and by slice."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from groundswell.records import Analysis
from inference.rows import RowError, Text
from model_export.datasets import DataError
from model_export.evaluate import Bin, Interval, LabelFigures, by_label, confusion, evaluate, reliability
from model_export.labelled_file import LabelledRow

#: How the engine is asked: one answer a text, in order.
Submit = Callable[[Sequence[Text], Collection[str]], Sequence[Analysis | RowError]]
#: Called with the number of texts that are judged.
Progress = Callable[[int], None]

#: Texts of one submit: enough for the engine to sort by length, few enough to show progress.
_AT_ONCE: Final = 2_048
#: Most slices of one kind; the smaller ones are one slice together.
_SLICES: Final = 20
_OTHERS: Final = "(others)"
_NOT_STATED: Final = "(not stated)"
#: Upper bounds of the slices by length, in characters.
_LENGTHS: Final = (40, 80, 140, 280)
_LENGTH_NAMES: Final = ("1-40", "41-80", "81-140", "141-280", "281+")


class Slice(msgspec.Struct, frozen=True):
    """The figures of a part of the rows; see :class:`~model_export.evaluate.Evaluation`."""

    n: int
    accuracy: float
    macro_f1: float
    macro_recall: float
    calibration_error: float


class Judgement(msgspec.Struct, frozen=True):
    """What ``--json`` prints: the figures of a model on a file, for one task.

    ``errors`` rows could not be read by the model and count nowhere else. ``slices`` are by
    ``source``, ``lang`` and ``length`` in characters, where the rows tell. ``confusion`` has a
    line for each true label and a column for each that was given, in the order of ``labels``.
    """

    task: str
    model: str
    precision: str
    provider: str
    data: str
    n: int
    accuracy: float
    macro_f1: float
    macro_recall: float
    calibration_error: float
    intervals: dict[str, Interval]
    errors: int
    truncated: int
    labels: dict[str, LabelFigures]
    slices: dict[str, dict[str, Slice]]
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[Bin, ...]


class Subject(msgspec.Struct, frozen=True):
    """What is judged: a task of a version, whether it reads pairs, and the labels it knows."""

    task: str
    model: str
    precision: str
    provider: str
    labels: tuple[str, ...]
    pairs: bool


def judge(
    subject: Subject, submit: Submit, rows: Sequence[LabelledRow], data: str, progress: Progress = lambda _: None
) -> Judgement:
    """Figures of ``subject`` on ``rows``, which were read from ``data``.

    Raises :class:`DataError` for rows that do not fit the task, with the line, and where not one could be read.
    """
    true = true_labels(subject, rows, data)
    answers: list[Analysis | RowError] = []
    for start in range(0, len(rows), _AT_ONCE):
        answers += submit([row.text for row in rows[start : start + _AT_ONCE]], (subject.task,))
        progress(len(answers))
    judged = [place for place, answer in enumerate(answers) if isinstance(answer, Analysis)]
    errors = [answer for answer in answers if isinstance(answer, RowError)]
    if not judged:
        raise DataError(f"{data}: {subject.model} could read no row ({errors[0].cause}: {errors[0].detail})")
    labels = subject.labels
    probabilities = np.array([_scores(answers[place], subject) for place in judged])
    kept = [true[place] for place in judged]
    counts = confusion(kept, probabilities, labels)
    whole = evaluate(kept, probabilities, labels)
    return Judgement(
        task=subject.task,
        model=subject.model,
        precision=subject.precision,
        provider=subject.provider,
        data=data,
        n=whole.n,
        accuracy=whole.accuracy,
        macro_f1=whole.macro_f1,
        macro_recall=whole.macro_recall,
        calibration_error=whole.calibration_error,
        intervals=whole.intervals,
        errors=len(errors),
        truncated=sum(isinstance(answer, Analysis) and answer.truncated for answer in answers),
        labels=by_label(counts, labels),
        slices=_slices([rows[place] for place in judged], kept, probabilities, labels),
        confusion=tuple(tuple(map(int, line)) for line in counts),
        reliability=reliability(kept, probabilities, labels),
    )


def true_labels(subject: Subject, rows: Sequence[LabelledRow], data: str) -> list[str]:
    """The rows' labels as the model writes them; raises :class:`DataError` with the line of one that does not fit."""
    known = {label.casefold(): label for label in subject.labels}
    found = []
    for row in rows:
        if isinstance(row.text, str) == subject.pairs:
            wanted = "premise and hypothesis" if subject.pairs else "text"
            raise DataError(f"{data}, line {row.line}: {subject.task} reads {wanted}")
        label = known.get(row.label.strip().casefold())
        if label is None:
            raise DataError(
                f"{data}, line {row.line}: {row.label!r} is no label of {subject.model} for {subject.task} "
                f"({', '.join(subject.labels)}): mend the file, or choose another model with --model"
            )
        found.append(label)
    return found


def _scores(answer: Analysis | RowError, subject: Subject) -> list[float]:
    scores: Mapping[str, float] = answer.scores[subject.task].scores if isinstance(answer, Analysis) else {}
    return [scores[label] for label in subject.labels]


def _slices(
    rows: Sequence[LabelledRow], true: Sequence[str], probabilities: NDArray[np.float64], labels: Sequence[str]
) -> dict[str, dict[str, Slice]]:
    kinds: dict[str, list[str | None]] = {
        "source": [row.source for row in rows],
        "lang": [row.lang for row in rows],
        "length": [_length_name(row.text) for row in rows],
    }
    found: dict[str, dict[str, Slice]] = {}
    for kind, names in kinds.items():
        if any(names):
            parts = _grouped([name or _NOT_STATED for name in names])
            order = [name for name in _LENGTH_NAMES if name in parts] if kind == "length" else list(parts)
            found[kind] = {
                name: _slice([true[place] for place in parts[name]], probabilities[parts[name]], labels)
                for name in order
            }
    return found


def _grouped(names: Sequence[str]) -> dict[str, list[int]]:
    """The places of each name, the most frequent names first; beyond the first few they share one group."""
    first = [name for name, _ in Counter(names).most_common(_SLICES)]
    groups: dict[str, list[int]] = {name: [] for name in first}
    for place, name in enumerate(names):
        groups.setdefault(name if name in groups else _OTHERS, []).append(place)
    return groups


def _slice(true: Sequence[str], probabilities: NDArray[np.float64], labels: Sequence[str]) -> Slice:
    found = evaluate(true, probabilities, labels)
    return Slice(found.n, found.accuracy, found.macro_f1, found.macro_recall, found.calibration_error)


def _length_name(text: Text) -> str:
    length = len(text) if isinstance(text, str) else sum(map(len, text))
    return _LENGTH_NAMES[bisect_left(_LENGTHS, length)]
