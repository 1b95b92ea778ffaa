"""The identity of an embedding space: what computes the vectors decides whether they may be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from inference.names import plain


def space_id(name: str, parts: Mapping[str, bytes]) -> str:
    """The id of the space of whatever is made of ``parts``: ``name``, a dash and twelve hexadecimal digits.

    ``parts`` are what an embedding is a function of, by name: the weights on its way
    (fp32, so that each precision of one network has the same space), the tokenizer, how
    texts are cut and normalised. Heads that other tasks read are none of it. Raises
    :class:`~groundswell.errors.ModelError` for a name that cannot be part of an id.

    >>> space_id("minilm", {"weights": b"w", "tokenizer": b"t"})
    'minilm-8ae8b101b29a'
    """
    whole = hashlib.sha256()
    for part, content in sorted(parts.items()):
        for piece in (part.encode(), content):
            whole.update(len(piece).to_bytes(8, "big"))
            whole.update(piece)
    return f"{plain(name)}-{whole.hexdigest()[:12]}"
