"""What people judged: a CSV file of queries, documents and grades."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from groundswell.errors import StopJob
from groundswell.relevance import HIGHEST

_COLUMNS = "query, document id, grade"
#: A file that is cut by tabs says so in its first line.
_TAB = "\t"

#: Of each query, in the order of the file: the grade of each document.
Judgments = dict[str, dict[str, float]]


def read_judgments(path: Path) -> Judgments:
    """The judgments of a file with the columns query, document id and grade, with or without a header.

    Cells are parted by commas, or by tabs where the first line has one. Raises
    :class:`~groundswell.errors.StopJob`, with the line, for what cannot be read or contradicts itself.
    """
    found: Judgments = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line, query, document, grade in _rows(file, path):
                judged = found.setdefault(query, {})
                if judged.setdefault(document, grade) != grade:
                    raise StopJob(
                        f"{path}: line {line}: {document!r} has the grade {judged[document]:g} for {query!r} "
                        f"already, and now {grade:g}: keep one"
                    )
    except OSError as error:
        raise StopJob(f"{path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise StopJob(f"{path} is no CSV file in UTF-8: {error}") from None
    if not found:
        raise StopJob(f"{path} holds no judgments: give it lines of {_COLUMNS}")
    return found


def _rows(file: Iterator[str], path: Path) -> Iterator[tuple[int, str, str, float]]:
    first = next(file, "")
    rows = csv.reader(_chain(first, file), delimiter=_TAB if _TAB in first else ",", strict=True)
    header_may_come = True
    for row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        where = f"{path}: line {rows.line_num}"
        if len(cells) != 3 or not cells[0] or not cells[1]:
            raise StopJob(f"{where}: expected {_COLUMNS}, found {len(cells)} cells: {_TAB.join(cells)[:80]!r}")
        grade = _number(cells[2])
        if grade is None and header_may_come:
            header_may_come = False
            continue
        header_may_come = False
        if grade is None or not 0 <= grade <= HIGHEST:
            raise StopJob(f"{where}: the grade {cells[2][:40]!r} is no number from 0 (not relevant) to {HIGHEST:g}")
        yield rows.line_num, cells[0], cells[1], grade


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
