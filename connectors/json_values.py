"""JSON values one after another from a stream of bytes: documents, arrays, wrappers.

A scanner that knows only strings and brackets finds where each value ends, so that
an array of any length is read in bounded memory and a value that is no valid JSON
still arrives, with its bytes unchanged, where it can be refused with a reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

#: A record larger than this is refused when it is decoded; a wrapper is unfolded here instead.
MAX_RECORD_BYTES = 8 * 1024 * 1024
#: The largest JSON value that is held in memory to be unfolded.
MAX_VALUE_BYTES = 128 * 1024 * 1024
#: Members under which a wrapper document holds its posts.
WRAPPER_KEYS = ("statuses", "results", "data")
_PART_BYTES = 1024 * 1024

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FULL_STRING = re.compile(_STRING, re.DOTALL)
_TO_BRACKET = re.compile(rb'(?:[^{}\[\]"]++|' + _STRING + rb")*+[{}\[\]]", re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SPACE_OR_COMMA = re.compile(rb"[ \t\r\n,]*+")
_SCALAR = re.compile(rb"[^,\]\s]++")
_LINE = re.compile(rb"[^\n]++")


class Mark(NamedTuple):
    """Where to go on: a byte offset, whether that lies inside an array, and how many parts of a wrapper are done."""

    offset: int = 0
    nested: bool = False
    parts: int = 0


def is_json(value: bytes) -> bool:
    """Whether the bytes are one valid JSON value.

    >>> is_json(b'{"a": 1}'), is_json(b'{"a": 1')
    (True, False)
    """
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def first_value(head: bytes) -> bytes | None:
    """The first value of ``head`` as far as its brackets say, or ``None`` when it does not end in there."""
    values = JsonValues(iter([head]), Mark())
    values.unfold = False
    for value, _ in values:
        return None if values.incomplete else value
    return None


def breaks_a_string(head: bytes) -> bool:
    """Whether a line break lies inside a string, which no JSON document has."""
    end = 0
    for match in _FULL_STRING.finditer(head):
        if b"\n" in match[0]:
            return True
        end = match.end()
    opening = head.find(b'"', end)
    return opening >= 0 and b"\n" in head[opening:]


class JsonValues:
    """Iterates over ``(value, mark)``, the mark being where the next value is looked for.

    A top-level array of objects or arrays is unfolded into its elements; any other
    top-level value is one record; a wrapper document above
    :data:`MAX_RECORD_BYTES` comes as several smaller wrappers. After the iteration
    ``incomplete`` says why the end was not a clean one, or is ``None``.
    """

    def __init__(self, chunks: Iterator[bytes], mark: Mark) -> None:
        self.incomplete: str | None = None
        self.unfold = True
        self._chunks = chunks
        self._buffer = bytearray()
        self._base = mark.offset
        self._at = 0
        self._nested = mark.nested
        self._skip_parts = mark.parts

    def __iter__(self) -> Iterator[tuple[bytes, Mark]]:
        while self.incomplete is None and self._to_next_value():
            begin = Mark(self._base + self._at, self._nested)
            value = self._take_value()
            after = Mark(self._base + self._at, self._nested)
            if len(value) <= MAX_RECORD_BYTES or self.incomplete:
                yield value, after
                continue
            parts = wrapper_parts(value)
            for number, part in enumerate(parts, 1):
                if number > self._skip_parts:
                    yield part, after if number == len(parts) else begin._replace(parts=number)
            self._skip_parts = 0
        if self._nested and self.incomplete is None:
            self.incomplete = "the JSON array is not closed"

    def _to_next_value(self) -> bool:
        while self._to_text(_SPACE_OR_COMMA if self._nested else _SPACE):
            byte = self._buffer[self._at : self._at + 1]
            if self._nested and byte == b"]":
                self._nested = False
            elif not self._nested and self.unfold and byte == b"[" and self._holds_containers():
                self._nested = True
            else:
                return True
            self._at += 1
        return False

    def _to_text(self, gap: re.Pattern[bytes]) -> bool:
        while True:
            self._at = _end(gap, self._buffer, self._at) or self._at
            if self._at < len(self._buffer):
                return True
            if not self._more():
                return False

    def _holds_containers(self) -> bool:
        """Whether the array at hand begins with an object or an array, or is empty."""
        while True:
            inner = _end(_SPACE, self._buffer, self._at + 1) or self._at + 1
            if inner < len(self._buffer):
                return self._buffer[inner] in b"{[]"
            if not self._more():
                return False

    def _take_value(self) -> bytes:
        first = self._buffer[self._at]
        if first in b"{[":
            size = self._container_size()
        else:
            pattern = _FULL_STRING if first in b'"' else _SCALAR if self._nested else _LINE
            size = self._simple_size(pattern)
        value = bytes(self._buffer[self._at : self._at + size])
        self._at += size
        return value

    def _container_size(self) -> int:
        depth = 0
        size = 0  # of what has been scanned; the buffer's start may move
        while True:
            end = _end(_TO_BRACKET, self._buffer, self._at + size)
            if end is None:
                if not self._grow("a JSON value is not closed"):
                    return min(len(self._buffer) - self._at, MAX_RECORD_BYTES + 1)
                continue
            size = end - self._at
            depth += 1 if self._buffer[end - 1] in b"{[" else -1
            if depth == 0:
                return size

    def _simple_size(self, pattern: re.Pattern[bytes]) -> int:
        while True:
            end = _end(pattern, self._buffer, self._at)
            if end is not None and (end < len(self._buffer) or pattern is _FULL_STRING):
                return end - self._at
            # A scalar may go on in the next chunk; at the end of the bytes it is whole.
            unclosed = "a JSON string is not closed" if pattern is _FULL_STRING else None
            if not self._grow(unclosed):
                return min((end or len(self._buffer)) - self._at, MAX_RECORD_BYTES + 1) or 1

    def _grow(self, unclosed: str | None) -> bool:
        """Read on inside a value; ``False`` when it ends here, with ``incomplete`` saying why."""
        if len(self._buffer) - self._at > MAX_VALUE_BYTES:
            self.incomplete = f"a JSON value is larger than {MAX_VALUE_BYTES >> 20} MiB"
            return False
        if self._more():
            return True
        self.incomplete = unclosed
        return False

    def _more(self) -> bool:
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        del self._buffer[: self._at]
        self._base += self._at
        self._at = 0
        self._buffer += chunk
        return True


def wrapper_parts(value: bytes) -> list[bytes]:
    """A large wrapper as several smaller ones, each with all other members; itself when it is none.

    >>> wrapper_parts(b'{"data": [{"id": 1}], "includes": {}}')
    [b'{"includes":{},"data":[{"id": 1}]}']
    """
    try:
        members = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
        key = next(key for key in WRAPPER_KEYS if bytes(members.get(key, b""))[:1] == b"[")
        elements = msgspec.json.decode(members.pop(key), type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, StopIteration):
        return [value]
    rest = msgspec.json.encode(members)
    room = max(_PART_BYTES, min(2 * len(rest), MAX_RECORD_BYTES - len(rest) - 1024))
    if len(rest) + 1024 > MAX_RECORD_BYTES:
        return [value]
    head = rest[:-1] + (b"," if members else b"") + msgspec.json.encode(key) + b":["
    parts: list[bytes] = []
    chosen: list[bytes] = []
    size = 0
    for element in map(bytes, elements):
        if chosen and size + len(element) > room:
            parts.append(head + b",".join(chosen) + b"]}")
            chosen, size = [], 0
        chosen.append(element)
        size += len(element) + 1
    parts.append(head + b",".join(chosen) + b"]}")
    return parts


def _end(pattern: re.Pattern[bytes], buffer: bytearray, at: int) -> int | None:
    # The match must not outlive this call: it would pin the buffer's size.
    match = pattern.match(buffer, at)
    return match.end() if match else None
