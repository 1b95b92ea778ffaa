"""The bytes of a file, decompressed as they are read, in bounded memory.

What a file is follows from its first bytes, not from its name. A truncated or
corrupt archive gives everything that could be decompressed and then says in
:attr:`FileBytes.broken` what was wrong, instead of raising and losing the rest.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_CHUNK = 256 * 1024
#: zstd packs up to 32 KiB into one byte: feeding little at a time bounds what comes out at once.
_ZSTD_FEED = 1024


class BrokenArchive(Exception):
    """The archive ends too early or cannot be decompressed from here on."""


class FileBytes:
    """A forward reader over the uncompressed bytes of one file, from ``offset`` on.

    A plain file is sought; of a compressed one the first ``offset`` bytes are
    decompressed and dropped. Text in UTF-16 (by its byte order mark) or in
    ``encoding``, when that is no superset of ASCII, is turned into UTF-8 first, so
    that everything after it may look for ASCII bytes.

    Raises :class:`OSError` when the file cannot be opened or read.
    """

    def __init__(self, path: Path, offset: int = 0, encoding: str = "utf-8") -> None:
        #: Why the bytes end before the file should, or ``None``.
        self.broken: str | None = None
        #: Whether the text was turned into UTF-8 on the way.
        self.transcoded = False
        self._file = path.open("rb")
        try:
            self._chunks = self._open(offset, encoding)
        except BaseException:
            self._file.close()
            raise

    def chunks(self) -> Iterator[bytes]:
        """The rest of the bytes, in pieces that are never empty."""
        try:
            yield from self._chunks
        except (BrokenArchive, zlib.error, zstandard.ZstdError) as error:
            self.broken = str(error)

    @property
    def read(self) -> int:
        """Bytes of the file read so far, as they lie."""
        return 0 if self._file.closed else self._file.tell()

    def close(self) -> None:
        """Close the file; harmless when closed already."""
        self._file.close()

    def _open(self, offset: int, encoding: str) -> Iterator[bytes]:
        magic = self._file.read(4)
        self._file.seek(0)
        packed = magic.startswith((_GZIP, _ZSTD))
        if magic.startswith(_GZIP):
            chunks = _gunzip(self._file)
        elif magic.startswith(_ZSTD):
            chunks = _unzstd(self._file)
        else:
            chunks = _plain(self._file)
        first = b""
        if packed:
            first = self._first_chunk(chunks)
            magic = first[:4]
        codec = _utf16(magic) or (None if is_ascii_superset(encoding) else encoding)
        self.transcoded = codec is not None
        if codec is None and not packed:
            self._file.seek(offset)
            return chunks
        whole = _chain(first, chunks)
        return _skip(offset, whole if codec is None else _to_utf8(whole, codec))

    def _first_chunk(self, chunks: Iterator[bytes]) -> bytes:
        """Enough to see a byte order mark in; the members of an archive may be tiny."""
        first = b""
        try:
            while len(first) < 4 and (chunk := next(chunks, b"")):
                first += chunk
        except (BrokenArchive, zlib.error, zstandard.ZstdError) as error:
            self.broken = str(error)
        return first


def is_ascii_superset(encoding: str) -> bool:
    """Whether ASCII bytes mean themselves in this encoding; :class:`LookupError` for an unknown one."""
    probe = '{"a":1},;\t\r\n'
    return codecs.lookup(encoding).encode(probe)[0] == probe.encode()


def _utf16(magic: bytes) -> str | None:
    return "utf-16" if magic.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else None


def _plain(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    begun = False
    while data := file.read(_CHUNK):
        while data:
            if member.eof:
                # Members follow one another; zeros between or after them are padding.
                data = data.lstrip(b"\0")
                if not data:
                    break
                member, begun = zlib.decompressobj(wbits=31), False
            begun = True
            out = member.decompress(data, _CHUNK)
            data = member.unused_data if member.eof else member.unconsumed_tail
            if out:
                yield out
    while not member.eof and (out := member.decompress(member.unconsumed_tail, _CHUNK)):
        yield out
    if begun and not member.eof:
        raise BrokenArchive("the gzip stream ends too early")


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    frame = zstandard.ZstdDecompressor().decompressobj()
    begun = False
    while data := file.read(_ZSTD_FEED):
        while data:
            if frame.eof:
                frame, begun = zstandard.ZstdDecompressor().decompressobj(), False
            begun = True
            out = frame.decompress(data)
            data = frame.unused_data if frame.eof else b""
            if out:
                yield out
    if begun and not frame.eof:
        raise BrokenArchive("the zstd stream ends too early")


def _to_utf8(chunks: Iterator[bytes], codec: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(codec)(errors="replace")
    for chunk in chunks:
        if out := decoder.decode(chunk).encode("utf-8", "replace"):
            yield out
    if out := decoder.decode(b"", final=True).encode("utf-8", "replace"):
        yield out


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _skip(count: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if count >= len(chunk):
            count -= len(chunk)
            continue
        yield chunk[count:] if count else chunk
        count = 0
