"""Records of a file, whatever it is: how it is split follows from looking inside.

JSON lines, JSON documents and arrays, CSV, plain or packed as gzip or zstd, and
Parquet. Nothing is lost without a word: what cannot be read ends in one record that
carries the reason and the bytes that were left, and is refused when it is decoded.
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pyarrow.lib import ArrowException

from connectors.csv_rows import csv_rows, looks_like_csv, sniff_dialect
from connectors.file_bytes import FileBytes
from connectors.json_values import MAX_RECORD_BYTES, JsonValues, Mark, breaks_a_string, first_value, is_json
from connectors.parquet_rows import parquet_rows
from connectors.text_lines import text_lines
from groundswell.records import UNREADABLE

log = logging.getLogger(__name__)

Layout = Literal["lines", "json", "csv", "parquet"]

#: Bytes looked at to tell what a file is.
_HEAD_BYTES = 1024 * 1024
_SAMPLE_CHARS = 256 * 1024
_SAMPLE_LINES = 20
_CSV_SUFFIXES = {".csv", ".tsv", ".tab", ".psv"}
_LINES_SUFFIXES = {".jsonl", ".ndjson"}
_PACKED_SUFFIXES = {".gz", ".zst", ".zstd"}
_PARQUET = b"PAR1"
_BOM = codecs.BOM_UTF8


class FileOptions(NamedTuple):
    """What is known of the files beforehand; an empty value means: look."""

    layout: Layout | None = None
    encoding: str = "utf-8"
    delimiter: str = ""
    header: bool | None = None


class Position(NamedTuple):
    """The next record of a file: its ordinal, and where its bytes are looked for."""

    ordinal: int = 0
    mark: Mark = Mark()


class FileRecords:
    """Reads one file forward from ``position``.

    ``shape`` names the decoder when the layout tells it. Raises :class:`OSError` when
    the file cannot be opened. Records that are blank are none.
    """

    def __init__(self, path: Path, options: FileOptions, position: Position = Position()) -> None:  # noqa: B008
        self.shape: str | None = None
        #: Nothing follows; set together with the last records, never after them.
        self.exhausted = False
        self._path = path
        self._position = position
        self._bytes: FileBytes | None = None
        self._json: JsonValues | None = None
        head, whole, encoding = _head(path, options.encoding)
        self._layout = options.layout or _look(path, head, whole, encoding)
        self._records = self._open(head, options)

    @property
    def position(self) -> Position:
        """Where a new reader would go on."""
        return self._position

    @property
    def bytes_read(self) -> int:
        """Bytes of the file read so far, as they lie; 0 where that is not known."""
        return self._bytes.read if self._bytes is not None else 0

    def take(self, records: int, size: int) -> list[bytes]:
        """The next records: at most ``records``, and no more once they hold ``size`` bytes."""
        values: list[bytes] = []
        taken = 0
        mark = self._position.mark
        tail = b""
        while len(values) < records and taken < size:
            try:
                value, mark = next(self._records)
            except StopIteration:
                self.exhausted = True
                break
            except ArrowException as error:
                self.exhausted = True
                values.append(self._unreadable(str(error), b"", len(values)))
                break
            if self._is_broken_tail(value):
                tail = value
                continue
            values.append(value)
            taken += len(value)
        if self.exhausted and (reason := self._broken()):
            values.append(self._unreadable(reason, tail, len(values)))
        self._position = Position(self._position.ordinal + len(values), mark)
        return values

    def close(self) -> None:
        """Close the file; harmless when closed already."""
        if self._bytes is not None:
            self._bytes.close()

    def _open(self, head: bytes, options: FileOptions) -> Iterator[tuple[bytes, Mark]]:
        ordinal, mark = self._position
        if self._layout == "parquet":
            return ((row, mark) for row in parquet_rows(self._path, ordinal))
        beginning = mark == Mark()
        if beginning and head.startswith(_BOM):
            mark = Mark(len(_BOM))
        self._bytes = FileBytes(self._path, mark.offset, options.encoding)
        chunks = self._bytes.chunks()
        if self._layout == "json":
            self._json = JsonValues(chunks, mark)
            return iter(self._json)
        lines = text_lines(chunks, mark.offset)
        if self._layout == "lines":
            return ((line.removesuffix(b"\r"), Mark(end)) for line, end in lines if line and not line.isspace())
        encoding = "utf-8" if self._bytes.transcoded else options.encoding
        dialect = sniff_dialect(_sample(head, encoding), options.delimiter, options.header)
        self.shape = "sentiment140" if dialect.sentiment140 else None
        rows = csv_rows(lines, dialect, encoding, header_ahead=beginning and dialect.names is not None)
        return ((row, Mark(end)) for row, end in rows)

    def _broken(self) -> str | None:
        if self._bytes is not None and self._bytes.broken:
            return self._bytes.broken
        return self._json.incomplete if self._json is not None else None

    def _is_broken_tail(self, value: bytes) -> bool:
        """Whether this is the piece of a record before the place where the file breaks off."""
        if self._bytes is None or not self._broken():
            return False
        return self._layout != "lines" or not is_json(value)

    def _unreadable(self, reason: str, tail: bytes, taken: int) -> bytes:
        number = self._position.ordinal + taken
        log.warning("%s cannot be read on after %d records: %s", self._path, number, reason)
        return unreadable(f"{reason} (after {number} records)", tail)


def unreadable(reason: str, tail: bytes = b"") -> bytes:
    """A record that stands for what could not be read; no decoder takes it for a post."""
    return (UNREADABLE + reason.encode("utf-8", "replace") + (b"\n" + tail if tail else b""))[: MAX_RECORD_BYTES + 1]


def _head(path: Path, encoding: str) -> tuple[bytes, bool, str]:
    """The first bytes as the layouts will see them, whether they are all, and their encoding."""
    source = FileBytes(path, 0, encoding)
    try:
        head = bytearray()
        for chunk in source.chunks():
            head += chunk
            if len(head) > _HEAD_BYTES:
                return bytes(head[:_HEAD_BYTES]), False, "utf-8" if source.transcoded else encoding
        return bytes(head), True, "utf-8" if source.transcoded else encoding
    finally:
        source.close()


def _look(path: Path, head: bytes, whole: bool, encoding: str) -> Layout:
    """What the file is, by its first bytes; its name only decides where they leave it open."""
    if head.startswith(_PARQUET):
        return "parquet"
    text = head.removeprefix(_BOM).lstrip()
    first, *others = (line.strip() for line in text[:_HEAD_BYTES].split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES])
    complete = whole or b"\n" in text
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in _PACKED_SUFFIXES:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if text.startswith((b"{", b"[")):
        named_lines = suffix in _LINES_SUFFIXES
        layout = _look_at_json(text, first if complete else None, [line for line in others if line], named_lines)
        if layout is not None:
            return layout
    if any(line.startswith(b"{") and is_json(line) for line in others):
        return "lines"
    return "csv" if suffix in _CSV_SUFFIXES or looks_like_csv(_sample(head, encoding)) else "lines"


def _look_at_json(text: bytes, first: bytes | None, others: list[bytes], named_lines: bool) -> Layout | None:
    """Lines or values for a file that begins with a bracket; ``None`` when it is no JSON at all."""
    rows = text.startswith(b"[")
    if first is not None and is_json(first) and (not rows or any(line.startswith(b"[") for line in others[:1])):
        return "lines"
    value = first_value(text)
    if value is not None and is_json(value):
        return "json"
    objects = sum(line.startswith(b"{") and is_json(line) for line in others)
    # Two whole objects on lines of their own, with no comma behind: their first neighbour is what is broken.
    named_lines = named_lines and b"\n" in text
    if value is None and not breaks_a_string(text) and not (named_lines or (not rows and objects >= 2)):
        return "json"  # goes on beyond what was looked at, or was cut off
    # Brackets that close around what is no JSON, or a line break inside a string: a broken first line.
    if not rows or any(line.startswith(b"[") and is_json(line) for line in others):
        return "lines"
    return None


def _sample(head: bytes, encoding: str) -> str:
    """Whole lines of text to tell a CSV dialect from."""
    text = head.removeprefix(_BOM)[: 4 * _SAMPLE_CHARS].decode(encoding, "replace")[:_SAMPLE_CHARS]
    cut = text.rfind("\n")
    return text[: cut + 1] if len(text) == _SAMPLE_CHARS and cut >= 0 else text
