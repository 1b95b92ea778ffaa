"""The header that lets a replayed dead letter keep its first origin.

Its value is ``stream/partition/offset/index``, always with the index: without it a
path that ends in a number could not be told apart.
"""

from __future__ import annotations

from groundswell.records import Origin

ORIGIN_HEADER = "groundswell-origin"


def origin_header(origin: Origin) -> bytes:
    """The header's value.

    >>> origin_header(Origin("posts", 3, 1207))
    b'posts/3/1207/0'
    """
    return f"{origin.stream}/{origin.partition}/{origin.offset}/{origin.index}".encode("utf-8", "surrogateescape")


def parse_origin_header(value: bytes) -> Origin:
    """The origin in a header's value; :class:`ValueError` when it is none.

    >>> parse_origin_header(b"archive/2016/0/17/2")
    Origin(stream='archive/2016', partition=0, offset=17, index=2)
    """
    stream, *numbers = value.decode("utf-8", "surrogateescape").rsplit("/", 3)
    if not stream or len(numbers) != 3:
        raise ValueError(f"not an origin: {value!r}")
    partition, offset, index = map(int, numbers)
    if min(partition, offset, index) < 0:
        raise ValueError(f"not an origin: {value!r}")
    return Origin(stream, partition, offset, index)
