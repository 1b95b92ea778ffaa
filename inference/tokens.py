"""From texts to rows of tokens by a ``tokenizer.json``, and from rows to the arrays that a graph takes.

Tokens are made by the ``tokenizers`` library: it lets go of the interpreter lock and
spreads a batch over the processors, so that it runs beside the device.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from groundswell.errors import ModelError
from inference.manifest import Tensor, Tokens
from inference.normalise import NORMALISERS
from inference.rows import Encoded, Row, Text

#: The value of ``encoder`` in the manifest of a model that reads tokens.
TOKENS: Final = "tokens"
INPUT_IDS: Final = "input_ids"
ATTENTION_MASK: Final = "attention_mask"
TYPE_IDS: Final = "token_type_ids"

#: Characters that are looked at for each token that can be read: more than any ordinary text has.
CHARACTERS_PER_TOKEN: Final = 16

_WHOLE: Final = (1.0,)


class TokenRow(NamedTuple):
    """One window: ``size`` ids of 4 bytes each; the first ``first`` are of the premise, or of the only text."""

    ids: bytes
    size: int
    first: int


class _Frame(NamedTuple):
    """The special tokens around a text, or around and between a premise and a hypothesis."""

    before: list[int]
    between: list[int]
    after: list[int]
    #: Special tokens after the premise that still count to it.
    tail: int

    @property
    def size(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


class TokenEncoder:
    """Encodes texts by the bytes of a ``tokenizer.json``, as ``tokens`` says, for a graph with ``inputs``.

    The rule of windows and of their weights is stated in :class:`~inference.manifest.Tokens`.
    Of a pair, the hypothesis may fill half of the room and the premise gets the rest.
    What the file itself says of padding and truncation is switched off, and special
    tokens in a text are words like any other. Threads may share one.

    Raises :class:`ModelError` for a tokenizer that cannot be used so.
    """

    def __init__(self, content: bytes, tokens: Tokens, inputs: Sequence[Tensor]) -> None:
        # The library raises bare exceptions; at this boundary each means that the file cannot be used.
        try:
            self._tokenizer: Any = Tokenizer.from_buffer(content)
            self._padding = _padding(self._tokenizer)
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
            self._tokenizer.encode_special_tokens = True
            self._frame = _frame(self._tokenizer, pairs=tokens.pairs)
            # Without a token for what it does not know, it would fail on some post one day.
            self._tokenizer.encode_batch_fast(["\U0010fffd"], add_special_tokens=False)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f"its tokenizer cannot be used ({error}): publish the model again") from error
        self._types = _types(inputs)
        self._pairs = tokens.pairs
        self._normalise = NORMALISERS[tokens.normaliser]
        self._room = tokens.max_length - self._frame.size
        self._step = self._room - tokens.overlap
        if self._room < 2 or self._step < 1 or tokens.overlap < 0 or tokens.max_windows < 1:
            raise ModelError(
                f"its windows of {tokens.max_length} tokens, {self._frame.size} of them special, cannot share "
                f"{tokens.overlap} with the one before ({tokens.max_windows} windows): publish the model again"
            )
        self._readable = self._room if tokens.pairs else self._room + (tokens.max_windows - 1) * self._step
        self._characters = CHARACTERS_PER_TOKEN * self._readable

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """Each text as rows; never fails for texts of the right kind.

        Raises :class:`ModelError` for a pair where single texts are read, or the reverse.
        """
        if any(isinstance(text, str) is self._pairs for text in texts):
            kind = "pairs of premise and hypothesis" if self._pairs else "single texts, not pairs"
            raise ModelError(f"the model reads {kind}: ask another model, or for another task")
        if self._pairs:
            return self._encode_pairs(cast(Sequence[tuple[str, str]], texts))
        return self._encode_singles(cast(Sequence[str], texts))

    def collate(self, rows: Sequence[Row], length: int) -> dict[str, NDArray[Any]]:
        """The graph's inputs ``[rows, length]``: ids, mask and kinds of token, padded on the right."""
        known = cast(Sequence[TokenRow], rows)
        joined = b"".join([row.ids.ljust(4 * length, b"\0") for row in known])
        ids = np.frombuffer(joined, dtype=np.int32).reshape(len(rows), length)
        sizes = np.fromiter([row.size for row in known], dtype=np.int32, count=len(rows))[:, None]
        columns = np.arange(length, dtype=np.int32)
        mask = columns < sizes
        found: dict[str, NDArray[Any]] = {}
        for name, kind in self._types.items():
            if name == INPUT_IDS:
                found[name] = (np.where(mask, ids, self._padding) if self._padding else ids).astype(kind)
            elif name == ATTENTION_MASK:
                found[name] = mask.astype(kind)
            elif self._pairs:
                first = np.fromiter([row.first for row in known], dtype=np.int32, count=len(rows))[:, None]
                found[name] = (mask & (columns >= first)).astype(kind)
            else:
                found[name] = np.zeros(mask.shape, dtype=kind)
        return found

    def _encode_singles(self, texts: Sequence[str]) -> list[Encoded]:
        before, after, room = self._frame.before, self._frame.after, self._room
        encoded = []
        for ids, cut in self._ids(texts):
            if len(ids) <= room:
                size = len(ids) + self._frame.size
                row = TokenRow(array("i", before + ids + after).tobytes(), size, size)
                encoded.append(Encoded((row,), _WHOLE, cut))
            else:
                encoded.append(self._windows(ids, cut=cut))
        return encoded

    def _windows(self, ids: list[int], *, cut: bool) -> Encoded:
        read = min(len(ids), self._readable)
        rows, weights = [], []
        for start in range(0, max(1, read - self._room + self._step), self._step):
            window = ids[start : min(start + self._room, read)]
            joined = self._frame.before + window + self._frame.after
            rows.append(TokenRow(array("i", joined).tobytes(), len(joined), len(joined)))
            overlap = self._room - self._step if start else 0
            weights.append((len(window) - overlap) / read)
        return Encoded(rows, weights, cut or len(ids) > read)

    def _encode_pairs(self, texts: Sequence[tuple[str, str]]) -> list[Encoded]:
        frame = self._frame
        # A label asked of many posts is the same hypothesis each time.
        distinct = list(dict.fromkeys(hypothesis for _, hypothesis in texts))
        hypotheses = dict(zip(distinct, self._ids(distinct), strict=True))
        encoded = []
        for (premise, premise_cut), (_, hypothesis) in zip(self._ids([text for text, _ in texts]), texts, strict=True):
            second, second_cut = hypotheses[hypothesis]
            kept = second[: self._room // 2]
            room = self._room - len(kept)
            joined = frame.before + premise[:room] + frame.between + kept + frame.after
            first = len(frame.before) + min(len(premise), room) + frame.tail
            row = TokenRow(array("i", joined).tobytes(), len(joined), first)
            cut = premise_cut or second_cut or len(premise) > room or len(second) > len(kept)
            encoded.append(Encoded((row,), _WHOLE, cut))
        return encoded

    def _ids(self, texts: Sequence[str]) -> list[tuple[list[int], bool]]:
        """The ids of each text without special tokens, and whether it was cut before."""
        limit = self._characters
        normal = [self._normalise(text if len(text) <= limit else text[:limit]) for text in texts]
        found = self._tokenizer.encode_batch_fast(normal, add_special_tokens=False)
        return [(encoding.ids, len(text) > limit) for encoding, text in zip(found, texts, strict=True)]


def _padding(tokenizer: Any) -> int:
    """The id that fills rows: RoBERTa counts its positions by it."""
    if tokenizer.padding is not None:
        return int(tokenizer.padding["pad_id"])
    found = (tokenizer.token_to_id(name) for name in ("[PAD]", "<pad>"))
    return next((number for number in found if number is not None), 0)


def _frame(tokenizer: Any, *, pairs: bool) -> _Frame:
    """Learn which special tokens the tokenizer puts where from one short text, or pair."""
    whole = tokenizer.encode("a", "a") if pairs else tokenizer.encode("a")
    sides = whole.sequence_ids
    if not {0, int(pairs)} <= set(sides):
        raise ModelError("its tokenizer makes no token of 'a': use another one")
    first = sides.index(0)
    end = len(sides) - sides[::-1].index(0)
    second = sides.index(1) if pairs else len(sides)
    last = len(sides) - sides[::-1].index(1) if pairs else end
    types = whole.type_ids
    if types != sorted(types) or (pairs and types[end - 1] > 0) or set(types) - {0, 1}:
        raise ModelError(f"its tokenizer numbers the kinds of tokens {types}, not 0 and then 1: use another one")
    if first == 0 and last == len(sides):
        raise ModelError("its tokenizer adds no special tokens, so that an empty text has no row: use another one")
    ids = whole.ids
    if pairs:
        return _Frame(ids[:first], ids[end:second], ids[last:], tail=types.count(0) - end)
    return _Frame(ids[:first], [], ids[end:], tail=0)


def _types(inputs: Sequence[Tensor]) -> Mapping[str, str]:
    """The element types of the graph's inputs by name."""
    known = {INPUT_IDS, ATTENTION_MASK, TYPE_IDS}
    found = {tensor.name: tensor.dtype for tensor in inputs}
    if not {INPUT_IDS, ATTENTION_MASK} <= found.keys() <= known:
        raise ModelError(
            f"a graph that reads tokens has the inputs {INPUT_IDS}, {ATTENTION_MASK} and perhaps {TYPE_IDS}, "
            f"not {', '.join(found)}: export the model again"
        )
    if wrong := {kind for kind in found.values() if kind not in ("int32", "int64")}:
        raise ModelError(f"the graph's inputs must be int32 or int64, not {', '.join(wrong)}: export the model again")
    return found
