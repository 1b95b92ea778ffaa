"""Rows of a CSV file as JSON: objects by the header's names, or arrays when there is none."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from connectors.json_values import MAX_RECORD_BYTES
from groundswell import metrics

csv.field_size_limit(MAX_RECORD_BYTES)

_DELIMITERS = (",", "\t", ";", "|")
_SAMPLE_ROWS = 200
#: A column's name: begins with a letter, is short, holds no sentence.
_NAME = re.compile(r"[^\W\d][\w .:/()\[\]%#@-]{0,63}")
_encode = msgspec.json.Encoder().encode


class Dialect(NamedTuple):
    """How a CSV file is written; ``names`` is ``None`` without a header."""

    delimiter: str
    quoted: bool
    names: tuple[str, ...] | None
    sentiment140: bool = False


def sniff_dialect(sample: str, delimiter: str = "", header: bool | None = None) -> Dialect:
    r"""The dialect of a file that begins with ``sample`` (whole lines).

    The delimiter and the quoting under which most rows have the same number of
    columns win. A first row of short names, none of them a number or a date, is
    a header; ``delimiter`` and ``header`` overrule the look.

    >>> sniff_dialect("id;text\n1;a, b\n2;c, d\n")
    Dialect(delimiter=';', quoted=True, names=('id', 'text'), sentiment140=False)
    """
    lines = sample.splitlines(keepends=True)
    best = (-1.0, -1)
    chosen, rows = (",", True), [[""]]
    for candidate in (delimiter,) if delimiter else _DELIMITERS:
        quoted, parsed = _with_best_quoting(lines, candidate)
        columns, share = _consistency(parsed)
        score = (share, columns) if columns > 1 or delimiter else (0.0, 0)
        if score > best:
            best, rows, chosen = score, parsed, (candidate, quoted)
    first = [cell.strip() for cell in rows[0]] if rows else []
    has_header = _is_header(first) if header is None else header
    sentiment140 = not has_header and bool(rows) and all(map(_is_sentiment140, rows[:20]))
    return Dialect(*chosen, _distinct(first) if has_header else None, sentiment140)


def looks_like_csv(sample: str) -> bool:
    """Whether at least two rows of some delimiter have the same number of columns, and nearly all do."""
    lines = sample.splitlines(keepends=True)
    for delimiter in _DELIMITERS:
        _, rows = _with_best_quoting(lines, delimiter)
        columns, share = _consistency(rows)
        if columns > 1 and len(rows) > 1 and share >= 0.95:
            return True
    return False


def csv_rows(
    lines: Iterator[tuple[bytes, int]], dialect: Dialect, encoding: str, *, header_ahead: bool
) -> Iterator[tuple[bytes, int]]:
    """Each row as JSON and the offset after it; with ``header_ahead`` the first row is the header and no record.

    A row that cannot be parsed, or holds bytes that are not in ``encoding``, comes
    as its raw bytes, which are no JSON object and are refused with a reason. Cells
    beyond the header's are kept in ``_rest``. Rows without any content are counted
    as skipped.
    """
    source = _DecodedLines(lines, encoding)
    blank = metrics.RECORDS_SKIPPED.labels("blank_row")
    names = dialect.names
    rows = _reader(source, dialect.delimiter, dialect.quoted)
    while True:
        source.taken.clear()
        try:
            row = next(rows, None)
        except csv.Error:
            rows = _reader(source, dialect.delimiter, dialect.quoted)
            yield b"\n".join(source.taken), source.offset
            continue
        if row is None:
            return
        if not any(row):
            if row:
                blank.inc()
            continue
        if header_ahead:
            header_ahead = False
            continue
        try:
            value = _encode(row if names is None else _named(names, row))
        except UnicodeEncodeError:
            value = b"\n".join(source.taken)
        yield value, source.offset


class _DecodedLines:
    """The lines as text for the CSV reader, with what it took for the current row."""

    def __init__(self, lines: Iterator[tuple[bytes, int]], encoding: str) -> None:
        self.taken: list[bytes] = []
        self.offset = 0
        self._lines = lines
        self._encoding = encoding

    def __iter__(self) -> _DecodedLines:
        return self

    def __next__(self) -> str:
        line, self.offset = next(self._lines)
        self.taken.append(line)
        return line.decode(self._encoding, "surrogateescape") + "\n"


def _reader(lines: Iterator[str], delimiter: str, quoted: bool) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)


def _parse(lines: list[str], delimiter: str, quoted: bool) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in _reader(iter(lines), delimiter, quoted):
            if row:
                rows.append(row)
            if len(rows) == _SAMPLE_ROWS:
                break
    except csv.Error:
        return rows
    return rows


def _with_best_quoting(lines: list[str], delimiter: str) -> tuple[bool, list[list[str]]]:
    """Whether quotation marks quote, and the rows read so."""
    # Tables with tabs mostly go without quoting, and their cells may begin with a stray
    # quotation mark that would swallow lines: without quoting wins a tie there.
    first, second = (False, True) if delimiter == "\t" else (True, False)
    rows, others = _parse(lines, delimiter, first), _parse(lines, delimiter, second)
    return (second, others) if _consistency(others)[1] > _consistency(rows)[1] else (first, rows)


def _consistency(rows: list[list[str]]) -> tuple[int, float]:
    """The most frequent number of columns and the share of rows that have it."""
    if not rows:
        return 0, 0.0
    if 2 < len(rows) < _SAMPLE_ROWS:
        rows = rows[:-1]  # the sample may end inside its last row
    (columns, count), *_ = Counter(map(len, rows)).most_common(1)
    return columns, round(count / len(rows), 2)


def _is_header(cells: list[str]) -> bool:
    named = [cell for cell in cells if cell]
    return bool(named) and all(_NAME.fullmatch(cell) for cell in named)


def _is_sentiment140(row: list[str]) -> bool:
    return len(row) == 6 and row[0] in ("0", "2", "4") and row[1].isdigit()


def _distinct(cells: list[str]) -> tuple[str, ...]:
    """Names for all columns: an empty one gets its number, a repeated one a suffix."""
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = base = cell or f"column_{number}"
        repeat = 2
        while name in names:
            name = f"{base}_{repeat}"
            repeat += 1
        names.append(name)
    return tuple(names)


def _named(names: tuple[str, ...], row: list[str]) -> dict[str, str | list[str]]:
    record: dict[str, str | list[str]] = dict(zip(names, row, strict=False))
    if len(row) > len(names):
        record["_rest"] = row[len(names) :]
    return record
