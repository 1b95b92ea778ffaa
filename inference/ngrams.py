"""The bag of n-grams: a text as the ids of its words, word pairs and character n-grams.

What a word contributes depends on the word alone, so it is worked out once and
remembered as bytes; a text is then the joined bytes of its distinct words and the ids
of the pairs of neighbours. Ids are ``int32``; 0 is padding and counts for nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from inference.text import MAX_WORD, URL, USER, grams, pieces, word

#: Words beyond this are not read, and the result is marked as truncated.
MAX_WORDS = 512
#: Characters beyond this are not looked at: more than any text of ``MAX_WORDS`` ordinary words.
MAX_CHARACTERS = 16 * MAX_WORDS
#: Words remembered before the memory is emptied, about 50 MB.
MEMORY = 100_000

_ID_BYTES = 4


class Encoded(NamedTuple):
    """One text as the device reads it: its ids of 4 bytes each, and how wide a row they need (at least 1)."""

    ids: bytes
    size: int
    truncated: bool


class Vocabulary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The known n-grams; ids run from 1 through ``words``, ``pairs`` (``"not good"``) and ``grams`` in order.

    ``shortest`` and ``longest`` are the lengths of the character n-grams, edges included.
    """

    words: list[str]
    pairs: list[str]
    grams: list[str]
    shortest: int
    longest: int

    @property
    def size(self) -> int:
        """The number of ids, padding included."""
        return 1 + len(self.words) + len(self.pairs) + len(self.grams)


class NgramEncoder:
    """Encodes texts by a :class:`Vocabulary`; threads may share one.

    Raises :class:`~groundswell.errors.ModelError` for a vocabulary that contradicts itself.

    >>> encoder = NgramEncoder(Vocabulary(["not", "good"], ["not good"], [" no"], 3, 3))
    >>> array("i", encoder.encode("not good, NOT good").ids).tolist()
    [1, 4, 2, 3]
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        numbers = {name: number for number, name in enumerate(vocabulary.words, 1)}
        first_pair = 1 + len(vocabulary.words)
        try:
            self._pairs = {
                (numbers[left], numbers[right]): number
                for number, (left, right) in enumerate((pair.split(" ") for pair in vocabulary.pairs), first_pair)
            }
        except (KeyError, ValueError) as error:
            raise ModelError(f"the vocabulary has a pair of no two known words: {error}") from error
        first_gram = first_pair + len(vocabulary.pairs)
        known = {name: number for number, name in enumerate(vocabulary.grams, first_gram)}
        if not len(numbers) + len(self._pairs) + len(known) + 1 == vocabulary.size:
            raise ModelError("the vocabulary names something twice")
        self.vocabulary = vocabulary
        self._memory = _Memory(numbers, known, vocabulary.shortest, vocabulary.longest)

    def encode(self, text: str) -> Encoded:
        """The ids of one text; never fails, whatever the text."""
        truncated = len(text) > MAX_CHARACTERS
        found = pieces(text[:MAX_CHARACTERS] if truncated else text)
        if len(found) > MAX_WORDS:
            truncated = True
            del found[MAX_WORDS:]
        memory = self._memory
        entries = [memory[piece] for piece in found]
        numbers = [entry[0] for entry in entries]
        pairs = filter(None, map(self._pairs.get, pairwise(numbers)))
        ids = b"".join(dict.fromkeys([entry[1] for entry in entries])) + array("i", dict.fromkeys(pairs)).tobytes()
        return Encoded(ids, max(1, len(ids) // _ID_BYTES), truncated)


class _Memory(dict[str, tuple[int, bytes]]):
    """What each piece of text contributes: the id of its word (0: unknown) and all its ids as bytes."""

    def __init__(self, words: dict[str, int], known: dict[str, int], shortest: int, longest: int) -> None:
        super().__init__()
        self._words = words
        self._known = known
        self._lengths = (shortest, longest)

    def __missing__(self, piece: str) -> tuple[int, bytes]:
        text = word(piece)
        number = self._words.get(text, 0)
        found = [self._known[gram] for gram in grams(text, *self._lengths) if gram in self._known]
        entry = (number, array("i", ([number] if number else []) + found).tobytes())
        # Mentions and addresses hardly ever come twice; giants would fill the memory.
        if text not in (URL, USER) and len(piece) <= MAX_WORD:
            if len(self) >= MEMORY:
                self.clear()
            self[piece] = entry
        return entry


def pad(rows: Sequence[Encoded], length: int = 0) -> NDArray[np.int32]:
    """Rows of ids as one array ``[rows, length]``, filled with 0; at least as wide as the longest row."""
    width = max(length, *(row.size for row in rows)) if len(rows) > 1 else max(length, rows[0].size)
    joined = b"".join([row.ids.ljust(width * _ID_BYTES, b"\0") for row in rows])
    return np.frombuffer(joined, dtype=np.int32).reshape(len(rows), width)
