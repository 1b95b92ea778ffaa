"""Lines of bytes with the offset after each, in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from connectors.json_values import MAX_RECORD_BYTES

log = logging.getLogger(__name__)


def text_lines(chunks: Iterator[bytes], offset: int = 0) -> Iterator[tuple[bytes, int]]:
    r"""Each line without its line feed, and the offset of the next one.

    A line longer than a record may be is cut just above that limit, so that it is
    refused when it is decoded; what is left out is logged.

    >>> list(text_lines(iter([b"a\nb", b"c\n", b"d"])))
    [(b'a', 2), (b'bc', 5), (b'd', 6)]
    """
    held: list[bytes] = []
    length = 0  # of the unfinished line
    for chunk in chunks:
        *finished, rest = chunk.split(b"\n")
        for piece in finished:
            if length:
                held.append(piece)
                length += len(piece)
                offset += length + 1
                yield _joined(held, length, offset), offset
                held, length = [], 0
            else:
                offset += len(piece) + 1
                yield (piece if len(piece) <= MAX_RECORD_BYTES else _joined([piece], len(piece), offset)), offset
        if rest:
            length += len(rest)
            if length - len(rest) <= MAX_RECORD_BYTES:
                held.append(rest)
    if length:
        offset += length
        yield _joined(held, length, offset), offset


def _joined(pieces: list[bytes], length: int, offset: int) -> bytes:
    line = b"".join(pieces)
    if length <= MAX_RECORD_BYTES:
        return line
    log.warning("a line of %d bytes that ends at byte %d is cut to %d", length, offset, MAX_RECORD_BYTES + 1)
    return line[: MAX_RECORD_BYTES + 1]
