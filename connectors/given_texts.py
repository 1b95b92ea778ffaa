"""Texts that a person gives: a line each, or JSON lines that have a ``text``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from connectors.text_lines import text_lines
from groundswell.errors import StopJob

_CHUNK = 64 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class GivenText(msgspec.Struct, frozen=True, omit_defaults=True):
    """A text, and the id that it was given with."""

    text: str
    id: str | int | None = None


_decoder = msgspec.json.Decoder(GivenText)


def given_texts(file: BinaryIO, name: str) -> Iterator[GivenText]:
    """The texts of a file in their order; blank lines are passed over.

    Where the first line begins with ``{``, every line is a JSON object. Raises
    :class:`~groundswell.errors.StopJob`, with the line, for one that cannot be read, and at the end
    where there was no text at all.
    """
    as_json: bool | None = None
    chunks = iter(lambda: file.read(_CHUNK), b"")
    for number, (raw, _) in enumerate(text_lines(chunks), 1):
        line = raw.removeprefix(_BYTE_ORDER_MARK).strip() if number == 1 else raw.strip()
        if not line:
            continue
        if as_json is None:
            as_json = line.startswith(b"{")
        try:
            given = _decoder.decode(line) if as_json else GivenText(line.decode())
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            wanted = 'a JSON object with a "text"' if as_json else "text in UTF-8"
            raise StopJob(f"{name}: line {number} is not {wanted}: {error}") from None
        yield given
    if as_json is None:
        raise StopJob(f'{name} holds no text: give it a text a line, or JSON lines that have a "text"')
