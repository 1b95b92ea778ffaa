"""Files of labelled texts: JSON Lines, a text and its label on each, or a premise, a hypothesis and a label.

``{"text": "…", "label": "positive"}`` or ``{"premise": "…", "hypothesis": "…", "label": "neutral"}``, both with
``source`` and ``lang`` where they are known; other columns are passed over. A name that ends in ``.gz`` is unpacked.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from inference.rows import Text
from model_export.datasets import DataError

#: What a line may lack or spoil; each is an anomaly of the file.
UNDECODABLE: Final = "undecodable_bytes"
NO_JSON: Final = "no_json"
WRONG_COLUMNS: Final = "wrong_columns"

_SINGLE: Final = ("text", "label")
_PAIR: Final = ("premise", "hypothesis", "label")
_OPTIONAL: Final = ("source", "lang")
_EXPECTED: Final = 'expected {"text", "label"} or {"premise", "hypothesis", "label"}, each a string'


class LabelledRow(msgspec.Struct, frozen=True):
    """One line, counted from 1; ``columns`` are the names of all that it holds."""

    line: int
    text: Text
    label: str
    source: str | None = None
    lang: str | None = None
    columns: tuple[str, ...] = ()


class Flaw(msgspec.Struct, frozen=True):
    """A line that is no labelled text: one of the kinds above, and what was seen."""

    line: int
    kind: str
    detail: str


def scan(file: Path) -> Iterator[LabelledRow | Flaw]:
    """Every line that is not blank, in order; raises :class:`DataError` for a file that cannot be read."""
    try:
        with _opened(file) as lines:
            for number, line in enumerate(lines, 1):
                content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if content.strip():
                    yield _row(number, content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def read(file: Path) -> list[LabelledRow]:
    """The rows of a file that has no flaw, all single texts or all pairs; raises :class:`DataError` with the line."""
    rows = []
    for row in scan(file):
        if isinstance(row, Flaw):
            raise DataError(f"{file}, line {row.line}: {row.kind}: {row.detail}")
        rows.append(row)
        if isinstance(row.text, str) != isinstance(rows[0].text, str):
            raise DataError(f"{file}, line {row.line}: single texts and pairs in one file: part them in two")
    if not rows:
        raise DataError(f"{file} holds no rows")
    return rows


def _opened(file: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _row(line: int, content: bytes) -> LabelledRow | Flaw:
    try:
        found = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        seen = content[error.start : error.start + 4]
        return Flaw(line, UNDECODABLE, f"byte {error.start + 1} is not UTF-8: {seen!r}")
    except (ValueError, RecursionError) as error:
        return Flaw(line, NO_JSON, str(error))
    if not isinstance(found, dict):
        return Flaw(line, WRONG_COLUMNS, f"the line is a {type(found).__name__}: {_EXPECTED}")
    if wrong := _wrong(found):
        return Flaw(line, WRONG_COLUMNS, wrong)
    text: Text = found["text"] if "text" in found else (found["premise"], found["hypothesis"])
    return LabelledRow(line, text, found["label"], found.get("source"), found.get("lang"), tuple(found))


def _wrong(found: Mapping[str, Any]) -> str | None:
    kind = _SINGLE if "text" in found else _PAIR
    if "text" in found and ("premise" in found or "hypothesis" in found):
        return f"it has text and premise or hypothesis: {_EXPECTED}"
    missing = [name for name in kind if name not in found]
    if missing:
        return f"it has {', '.join(found) or 'no columns'} and lacks {', '.join(missing)}: {_EXPECTED}"
    for name in (*kind, *_OPTIONAL):
        value = found.get(name)
        if not (isinstance(value, str) or (value is None and name in _OPTIONAL)):
            hint = ": labels go by name, never by position" if name == "label" else ""
            return f"{name} is {value!r:.60}, no string{hint}"
    return None
