"""The parts that a recipe's data is cut into: training, calibration and validation, none of it in another."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from inference.manifest import Source
from inference.rows import Text
from model_export import readers
from model_export.datasets import DataError, Example, Fingerprint, PairExample, distinct, signature, without_leaks
from model_export.recipe import DataUse, Recipe


class Labelled(NamedTuple):
    """A text, or a premise and a hypothesis, and the number of its label."""

    text: Text
    label: int


class TaskData(NamedTuple):
    """What one task learns from and is judged by; ``validation`` by data set. ``removed`` rows were leaks."""

    train: list[Labelled]
    calibration: list[Labelled]
    validation: dict[str, list[Labelled]]
    repeat: list[int]
    read: int
    removed: int


class Corpus(NamedTuple):
    """All of a recipe's data, by task."""

    tasks: dict[str, TaskData]
    sources: tuple[Source, ...]


def gather(recipe: Recipe, data: Path, *, rows: int = 0) -> Corpus:
    """Read what the recipe names below ``data``, clean it and part it.

    With ``rows`` that many training rows of each data set are kept, chosen by a hash from all of it.

    Doubles go, and so does every training row that is, or nearly is, in a validation set
    (for pairs: whose premise is). Raises :class:`DataError` for absent or damaged data and
    for labels that the recipe does not know.
    """
    tasks = {}
    sources: list[Source] = []
    for head in recipe.heads:
        if head.kind == "classes":
            uses = [use for use in recipe.data if use.task == head.task]
            found, prints = _task(uses, head.labels, recipe.training.calibration, data, rows)
            tasks[head.task] = found
            sources += [
                Source(path=file.path, sha256=file.sha256, rows=file.rows, use=_use(use))
                for use, files in prints
                for file in files
            ]
    return Corpus(tasks, tuple(sources))


def _task(
    uses: Sequence[DataUse], labels: Sequence[str], calibration: float, data: Path, most: int
) -> tuple[TaskData, list[tuple[DataUse, list[Fingerprint]]]]:
    training: list[tuple[Example | PairExample, int]] = []
    extra: list[tuple[Example | PairExample, int]] = []
    validation: dict[str, list[Example | PairExample]] = {}
    prints = []
    read = 0
    for use in uses:
        rows, files = readers.read(use.name, data)
        prints.append((use, files))
        read += len(rows)
        kept = [*_distinct(_by_known_labels(use.name, rows, labels))]
        kept = kept[: use.limit] if use.limit else kept
        if use.use == "validation":
            validation[use.name] = kept
            continue
        rest = [row for row in kept if not _falls(_subject(row), use.hold_out, "hold out")]
        if use.hold_out:
            validation[use.name] = [row for row in kept if _falls(_subject(row), use.hold_out, "hold out")]
        if most:
            rest = sorted(rest, key=lambda row: _digest("sample", *map(str, row)))[:most]
        (extra if use.use == "extra" else training).extend((row, use.repeat) for row in rest)
    judged = [row for rows in validation.values() for row in rows]
    clean = _without_leaks(training, judged)
    train = [pair for pair in clean if not _falls(_subject(pair[0]), calibration, "calibration")]
    aside = [row for row, _ in clean if _falls(_subject(row), calibration, "calibration")]
    more = _without_leaks(extra, [*judged, *aside])
    train += more
    known = {label: number for number, label in enumerate(labels)}
    return (
        TaskData(
            train=[_labelled(row, known) for row, _ in train],
            calibration=[_labelled(row, known) for row in aside],
            validation={name: [_labelled(row, known) for row in rows] for name, rows in validation.items()},
            repeat=[repeat for _, repeat in train],
            read=read,
            removed=len(training) + len(extra) - len(clean) - len(more),
        ),
        prints,
    )


def _distinct(rows: Sequence[Example | PairExample]) -> Iterable[Example | PairExample]:
    """One row for each text or pair, with the label most given to it; where labels tie, none."""
    singles = [row for row in rows if isinstance(row, Example)]
    if singles:
        return distinct(singles)
    votes: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        if isinstance(row, PairExample) and row.premise.strip() and row.hypothesis.strip():
            votes[row.premise, row.hypothesis][row.label] += 1
    kept = []
    for (premise, hypothesis), counts in votes.items():
        ranked = counts.most_common(2)
        if len(ranked) == 1 or ranked[0][1] > ranked[1][1]:
            kept.append(PairExample(premise, hypothesis, ranked[0][0]))
    return kept


def _without_leaks(
    training: Sequence[tuple[Example | PairExample, int]], judged: Sequence[Example | PairExample]
) -> list[tuple[Example | PairExample, int]]:
    # Marked by their place, for a text may be in two data sets.
    singles = [Example(row.text, str(place)) for place, (row, _) in enumerate(training) if isinstance(row, Example)]
    held = [row for row in judged if isinstance(row, Example)]
    kept = {int(row.label) for row in without_leaks(singles, held)} if singles else set()
    premises = {signature(row.premise) for row in judged if isinstance(row, PairExample)}
    for place, (row, _) in enumerate(training):
        if isinstance(row, PairExample) and signature(row.premise) not in premises:
            kept.add(place)
    return [training[place] for place in sorted(kept)]


def _by_known_labels(
    name: str, rows: Sequence[Example | PairExample], labels: Sequence[str]
) -> list[Example | PairExample]:
    """The rows with labels as the recipe writes them; upper and lower case are one."""
    known = {label.casefold(): label for label in labels}
    unknown = sorted({row.label for row in rows if row.label.strip().casefold() not in known})
    if unknown:
        raise DataError(
            f"{name} has the labels {unknown}, which are none of {list(labels)}: mend the data or the recipe"
        )
    return [row._replace(label=known[row.label.strip().casefold()]) for row in rows]


def _subject(row: Example | PairExample) -> str:
    return row.text if isinstance(row, Example) else row.premise


def _labelled(row: Example | PairExample, known: dict[str, int]) -> Labelled:
    text: Text = row.text if isinstance(row, Example) else (row.premise, row.hypothesis)
    return Labelled(text, known[row.label])


def _use(use: DataUse) -> str:
    both = f"{use.use} and validation" if use.hold_out and use.use == "training" else use.use
    return f"{both} of {use.task}"


def _falls(text: str, share: float, salt: str) -> bool:
    """Whether a text belongs to the share set aside: by a hash, the same on every machine."""
    return int.from_bytes(_digest(salt, text)[:8], "big") < share * 2**64


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).digest()
