"""What is in a file of labelled texts, and what is wrong with it, before anything is trained on it.

Anomalies are findings by a fixed rule, each with its kind and the first lines where it was seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from inference.rows import Text
from model_export.datasets import Example, signature, without_leaks
from model_export.labelled_file import NO_JSON, UNDECODABLE, WRONG_COLUMNS, Flaw, LabelledRow, scan

EMPTY_TEXT: Final = "empty_text"
UNKNOWN_LABEL: Final = "unknown_label"
MISSING_LABEL: Final = "missing_label"
DUPLICATE_ROWS: Final = "duplicate_rows"
CONFLICTING_LABELS: Final = "conflicting_labels"
IMBALANCE: Final = "imbalance"
LABEL_SHIFT: Final = "label_shift"
LEAK: Final = "leak"
ABSURD_LENGTH: Final = "absurd_length"
DAMAGED_TEXT: Final = "damaged_text"
NO_ROWS: Final = "no_rows"

#: Kind of anomaly → the rule by which it is found.
KINDS: Final = {
    NO_ROWS: "the file holds no labelled text",
    UNDECODABLE: "a line is not UTF-8",
    NO_JSON: "a line is no JSON",
    WRONG_COLUMNS: "a line lacks a column, has one of another type, or has other columns than the rest",
    EMPTY_TEXT: "a text, premise or hypothesis without a visible character",
    DAMAGED_TEXT: "a text with replacement characters, lone surrogates or control characters",
    UNKNOWN_LABEL: "a label that the task does not have",
    MISSING_LABEL: "no row has one of the task's labels",
    DUPLICATE_ROWS: "a text that came before, with the same label",
    CONFLICTING_LABELS: "a text that came before, with another label",
    IMBALANCE: "the most frequent label has more than 10 times the rows of the rarest",
    LABEL_SHIFT: "the shares of the labels lie more than 0.2 from those of the other file (total variation)",
    ABSURD_LENGTH: "a text of more than 20,000 characters, or of more than 2,000 and 50 times the median",
    LEAK: "a text that is in the other file too, or one that shares 70 % of its words with it",
}

_RATIO: Final = 10
_SHIFT: Final = 0.2
_LONGEST: Final = 20_000
_LONG: Final = 2_000
_OUTLIER: Final = 50
#: Lines that are named with an anomaly.
_EXAMPLES: Final = 5
_VISIBLE_CONTROLS: Final = frozenset("\t\n\r")


class Anomaly(msgspec.Struct, frozen=True):
    """A finding: its kind, how many rows it concerns, the first of their lines, and what was seen.

    What concerns the file as a whole has no rows and no lines.
    """

    kind: str
    rows: int
    lines: tuple[int, ...]
    detail: str


class Lengths(msgspec.Struct, frozen=True):
    """Characters of a text: the least, quantiles, the most."""

    least: int
    median: float
    p95: float
    p99: float
    most: int


class Column(msgspec.Struct, frozen=True):
    """A column of the schema and the share of rows that have it."""

    name: str
    share: float


class DataReport(msgspec.Struct, frozen=True):
    """The whole report; ``labels``, ``sources`` and ``languages`` count rows."""

    path: str
    rows: int
    distinct: int
    pairs: bool
    columns: tuple[Column, ...]
    labels: dict[str, int]
    sources: dict[str, int]
    languages: dict[str, int]
    lengths: Lengths | None
    anomalies: tuple[Anomaly, ...]


class _Finding(NamedTuple):
    line: int | None
    detail: str


def report(file: Path, *, labels: Sequence[str] = (), against: Sequence[Path] = ()) -> DataReport:
    """Look through a file; ``labels`` are what it may hold, where known, and ``against`` files it must not share with.

    Raises :class:`~model_export.datasets.DataError` for a file that cannot be read at all.
    """
    found = _Found()
    rows: list[LabelledRow] = []
    for row in scan(file):
        if isinstance(row, Flaw):
            found.add(row.kind, row.line, row.detail)
        else:
            rows.append(row)
    if not rows:
        found.add(NO_ROWS, None, str(file))
    _columns(rows, found)
    _texts(rows, found)
    _labels(rows, labels, found)
    _repeated(rows, found)
    for other in against:
        _compare(rows, [row for row in scan(other) if isinstance(row, LabelledRow)], other, found)
    return DataReport(
        path=str(file),
        rows=len(rows),
        distinct=len({row.text for row in rows}),
        pairs=bool(rows) and not isinstance(rows[0].text, str),
        columns=tuple(
            Column(name, count / len(rows)) for name, count in Counter(n for row in rows for n in row.columns).items()
        ),
        labels=_counted(row.label for row in rows),
        sources=_counted(row.source for row in rows if row.source),
        languages=_counted(row.lang for row in rows if row.lang),
        lengths=_lengths(rows),
        anomalies=found.anomalies(),
    )


class _Found:
    """Findings by kind."""

    def __init__(self) -> None:
        self._by_kind: defaultdict[str, list[_Finding]] = defaultdict(list)

    def add(self, kind: str, line: int | None, detail: str) -> None:
        self._by_kind[kind].append(_Finding(line, detail))

    def anomalies(self) -> tuple[Anomaly, ...]:
        """In the order of :data:`KINDS`."""
        return tuple(_anomaly(kind, found) for kind in KINDS if (found := self._by_kind.get(kind)))


def _anomaly(kind: str, found: Sequence[_Finding]) -> Anomaly:
    lines = [each.line for each in found if each.line is not None]
    # Rows are many, and one is an example of all; of the file itself each finding is another one.
    detail = found[0].detail if lines else "; ".join(each.detail for each in found)
    return Anomaly(kind, len(lines), tuple(lines[:_EXAMPLES]), detail)


def _columns(rows: Sequence[LabelledRow], found: _Found) -> None:
    """Columns that only some rows have; what may be left out may be."""
    usual = Counter(frozenset(row.columns) - {"source", "lang"} for row in rows).most_common(1)
    for row in rows:
        have = frozenset(row.columns) - {"source", "lang"}
        if have != usual[0][0]:
            found.add(WRONG_COLUMNS, row.line, f"it has {', '.join(sorted(have))}; most have {_names(usual[0][0])}")


def _texts(rows: Sequence[LabelledRow], found: _Found) -> None:
    median = float(np.median([_length(row.text) for row in rows])) if rows else 0.0
    for row in rows:
        length = _length(row.text)
        if not all(map(_visible, _parts(row.text))):
            found.add(EMPTY_TEXT, row.line, f"{row.text!r:.60}")
        elif any(map(_damaged, _parts(row.text))):
            found.add(DAMAGED_TEXT, row.line, ascii(row.text)[:80])
        if length > _LONGEST or (length > _LONG and length > _OUTLIER * median):
            found.add(ABSURD_LENGTH, row.line, f"{length:,} characters; the median is {median:,.0f}")


def _visible(text: str) -> bool:
    return any(character.isprintable() and character != " " for character in text)


def _damaged(text: str) -> bool:
    return any(
        character == "\ufffd"
        or "\ud800" <= character <= "\udfff"
        or ((character < " " or "\x7f" <= character <= "\x9f") and character not in _VISIBLE_CONTROLS)
        for character in text
    )


def _labels(rows: Sequence[LabelledRow], labels: Sequence[str], found: _Found) -> None:
    known = {label.casefold() for label in labels}
    counts: Counter[str] = Counter()
    for row in rows:
        label = row.label.strip().casefold()
        if known and label not in known:
            found.add(UNKNOWN_LABEL, row.line, f"{row.label!r} is none of {', '.join(sorted(labels))}")
        elif not label:
            found.add(UNKNOWN_LABEL, row.line, "the label is empty")
        else:
            counts[label] += 1
    if counts and (missing := sorted(known - counts.keys())):
        found.add(MISSING_LABEL, None, f"no row is labelled {' or '.join(map(repr, missing))}")
    if len(counts) == 1 and not known:
        found.add(MISSING_LABEL, None, f"all rows are labelled {next(iter(counts))!r}")
    ranked = counts.most_common()
    if len(ranked) > 1 and ranked[0][1] > _RATIO * ranked[-1][1]:
        found.add(IMBALANCE, None, f"{ranked[0][0]}: {ranked[0][1]:,} rows, {ranked[-1][0]}: {ranked[-1][1]:,}")


def _repeated(rows: Sequence[LabelledRow], found: _Found) -> None:
    first: dict[tuple[str, ...], LabelledRow] = {}
    for row in rows:
        before = first.setdefault(tuple(" ".join(part.split()).casefold() for part in _parts(row.text)), row)
        if before is row:
            continue
        if before.label.strip().casefold() == row.label.strip().casefold():
            found.add(DUPLICATE_ROWS, row.line, f"it is line {before.line} again")
        else:
            found.add(CONFLICTING_LABELS, row.line, f"line {before.line} says {before.label!r}, this one {row.label!r}")


def _compare(rows: Sequence[LabelledRow], others: Sequence[LabelledRow], other: Path, found: _Found) -> None:
    clean = _without_leaks(rows, others)
    for place, row in enumerate(rows):
        if place not in clean:
            found.add(LEAK, row.line, f"it is, or nearly is, in {other}")
    here, there = (Counter(row.label.strip().casefold() for row in each) for each in (rows, others))
    if rows and others:
        names = here.keys() | there.keys()
        shift = sum(abs(here[name] / len(rows) - there[name] / len(others)) for name in names) / 2
        if shift > _SHIFT:
            found.add(LABEL_SHIFT, None, f"the shares of the labels lie {shift:.2f} from those of {other}")


def _without_leaks(rows: Sequence[LabelledRow], others: Sequence[LabelledRow]) -> set[int]:
    """The places of the rows that are not in ``others``; a pair is there when its premise is."""
    held_out = [_parts(row.text)[0] for row in others]
    if rows and not isinstance(rows[0].text, str):
        premises = set(map(signature, held_out))
        return {place for place, row in enumerate(rows) if signature(_parts(row.text)[0]) not in premises}
    # A text without words is near to nothing, and may be in both all the same.
    exact = set(held_out)
    mine = [
        Example(text, str(place)) for place, row in enumerate(rows) for text in _parts(row.text) if text not in exact
    ]
    return {int(example.label) for example in without_leaks(mine, [Example(text, "") for text in held_out])}


def _parts(text: Text) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else text


def _length(text: Text) -> int:
    return sum(map(len, _parts(text)))


def _lengths(rows: Sequence[LabelledRow]) -> Lengths | None:
    lengths = [_length(row.text) for row in rows]
    if not lengths:
        return None
    median, p95, p99 = (float(quantile) for quantile in np.quantile(lengths, [0.5, 0.95, 0.99]))
    return Lengths(min(lengths), median, p95, p99, max(lengths))


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
