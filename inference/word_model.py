"""The word model: what a run of letters and digits costs as words, and the cheapest way to read it as such.

Costs are negative natural logarithms of probabilities. A word costs what its frequency
says, or less where the tag's own posts have it; a word that nobody knows costs by its
length; two words that often follow each other cost less than each alone. The cheapest
reading is found by dynamic programming (Viterbi), in time that grows with the length of
the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from math import exp, log
from typing import Final, NamedTuple

import msgspec
from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError

from groundswell.errors import ModelError
from inference.manifest import WORD_MODEL, WORDS
from inference.version import RESTORE, ModelVersion, decoded

#: Letters and digits of the longest word that is looked up.
LONGEST_WORD: Final = 24

#: Longest mixture of letters and digits that is taken for one unknown word, as ``r2imt`` is.
LONGEST_CODE: Final = 6

#: Bytes of the largest file once it is decompressed; more is refused.
LARGEST: Final = 32 * 1024 * 1024

_SINGLE_WORDS: Final = frozenset("ai")
#: What a reading is made of: a letter, or digits that stay together.
_ATOM: Final = re.compile(r"\d+|.", re.DOTALL)


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the parts of a reading cost, in nats.

    A known word costs ``scale`` times what its frequency says, and ``word`` more. An
    unknown one costs ``unknown``, and ``letter`` for each of its letters. A letter alone
    costs ``single`` more unless it is ``a`` or ``i``, two letters ``double`` more unless
    they cost less than ``common`` so far. ``number`` is the cost of a run of digits,
    ``code`` what a short unknown mixture of letters and digits costs beside its letters.
    Two words that are seen together more often than by chance cost ``pair`` times the
    logarithm of that ratio less. A word of the posts is as probable as ``evidence`` ·
    c / (c + ``half``) makes it where c is its count, if that is more. A boundary that a
    spelling shows costs ``shown`` less, one that is one of two that it may mean ``either`` less, one
    that it does not show ``hidden`` more, and across one that is shown a word of at most
    ``familiar`` loses only ``crossed`` of what it would save; between letters and digits there may always be one.
    """

    scale: float
    word: float
    unknown: float
    letter: float
    single: float
    double: float
    common: float
    number: float
    code: float
    pair: float
    evidence: float
    half: float
    shown: float
    either: float
    hidden: float
    crossed: float
    familiar: float


class WordFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file of a word model: this as JSON, compressed by zstandard.

    ``words`` are the known words by cost, parted by spaces: those of the n-th line cost n ·
    ``step`` nats. ``pairs`` are words that follow each other, likewise by how much less they
    cost together, each pair with a hyphen between.
    """

    step: float
    weights: Weights
    words: list[str]
    pairs: list[str]

    def encoded(self) -> bytes:
        """The content of the file."""
        return ZstdCompressor(level=19).compress(msgspec.json.encode(self))


class Boundaries(NamedTuple):
    """The places between characters where a spelling says that a word begins (``shown``) or may begin (``either``)."""

    shown: frozenset[int]
    either: frozenset[int] = frozenset()


#: The cheapest reading that ends with a word: its cost, the word, and the reading before.
_Reading = tuple[float, str, "_Reading | None"]


class WordModel:
    """Reads runs of letters and digits as words; threads may share one.

    Raises :class:`~groundswell.errors.ModelError` for a file that contradicts itself.
    """

    def __init__(self, file: WordFile) -> None:
        weights = file.weights
        if not file.step > 0 or not 0 < weights.evidence <= 1 or not weights.half >= 0:
            raise ModelError("a word model needs a positive step, evidence within 0 and 1, and half of at least 0")
        self.weights: Final = weights
        self._costs: dict[str, float] = {}
        for level, line in enumerate(file.words):
            cost = weights.scale * level * file.step + weights.word
            words = line.split()
            self._costs |= dict.fromkeys(words, cost)
            self._costs.update((word, cost + self._short(word, cost)) for word in words if len(word) < 3)
        self._pairs: dict[tuple[str, str], float] = {}
        for level, line in enumerate(file.pairs):
            for pair in line.split():
                first, _, second = pair.partition("-")
                if first not in self._costs or second not in self._costs:
                    raise ModelError(f"the word model has the pair {pair!r} of no two known words: make it again")
                self._pairs[first, second] = weights.pair * level * file.step

    @classmethod
    def load(cls, version: ModelVersion) -> WordModel:
        """The word model of a version; raises :class:`~groundswell.errors.ModelError` where it has none."""
        path = version.folder / WORD_MODEL
        try:
            content = ZstdDecompressor().decompress(version.read(WORD_MODEL), max_output_size=LARGEST)
        except ZstdError as error:
            raise ModelError(f"{path} cannot be used ({error}): {RESTORE}") from error
        return cls(decoded(path, content, WordFile))

    def __len__(self) -> int:
        return len(self._costs)

    def __contains__(self, word: object) -> bool:
        return word in self._costs

    def read(
        self, text: str, evidence: Mapping[str, float] | None = None, boundaries: Boundaries | None = None
    ) -> tuple[tuple[str, ...], float]:
        """The words of the cheapest reading of ``text``, and its cost in nats.

        ``text`` has letters and digits alone, case folded. ``evidence`` are words with their
        counts in the posts that have it, ``boundaries`` what a spelling shows. A run of
        digits is never parted. The more often the posts have a word, the cheaper are the
        readings with it, and no others.
        """
        atoms = _ATOM.findall(text)
        offsets = [0, *accumulate(map(len, atoms))]
        found = evidence or {}
        costs, pairs = self._costs, self._pairs
        shown = boundaries.shown if boundaries else ()
        crossing = self.weights.crossed - self.weights.shown
        best: list[_Reading] = [(0.0, "", None)]
        # Readings that end with a known word, by where they end: these can make a pair with the next.
        endings: list[list[_Reading]] = [[]]
        unknown = _Unknown(self.weights, text, atoms, offsets)
        for end, at in enumerate(offsets[1:], 1):
            cheapest = unknown.reading(end, best)
            known: list[_Reading] = []
            toll = self._toll(text, at, boundaries) if boundaries and at < len(text) else 0.0
            for start in range(end - 1, -1, -1):
                if at - offsets[start] > LONGEST_WORD:
                    break
                word = text[offsets[start] : at]
                cost = costs.get(word)
                if found and word in found:
                    cost = self._with_evidence(word, cost, found[word])
                if cost is None:
                    continue
                if shown and cost <= self.weights.familiar:
                    cost += crossing * sum(offsets[start] < place < at for place in shown)
                before = best[start]
                total = before[0] + cost
                for each in endings[start]:
                    saved = pairs.get((each[1], word))
                    if saved is not None and each[0] + cost - saved < total:
                        total, before = each[0] + cost - saved, each
                known.append((total + toll, word, before))
                if total < cheapest[0]:
                    cheapest = (total, word, before)
            best.append((cheapest[0] + toll, cheapest[1], cheapest[2]))
            endings.append(known)
        return _words(best[-1]), best[-1][0]

    def _with_evidence(self, word: str, cost: float | None, count: float) -> float | None:
        """What a word costs that the posts have so often; ``cost`` without them."""
        weights = self.weights
        if not count > 0:
            return cost
        there = -log(weights.evidence * count / (count + weights.half))
        there += self._short(word, there)
        return there if cost is None else -log(exp(-cost) + exp(-there))

    def _short(self, word: str, cost: float) -> float:
        """What is added to a word of one or two letters, which any text holds by chance."""
        if len(word) == 1 and word not in _SINGLE_WORDS:
            return self.weights.single
        return self.weights.double if len(word) == 2 and cost > self.weights.common else 0.0

    def _toll(self, text: str, at: int, boundaries: Boundaries) -> float:
        if at in boundaries.shown:
            return -self.weights.shown
        if at in boundaries.either:
            return -self.weights.either
        return self.weights.hidden if text[at - 1].isdecimal() == text[at].isdecimal() else 0.0


class _Unknown:
    """The cheapest reading that ends with an unknown word, asked for from left to right."""

    def __init__(self, weights: Weights, text: str, atoms: list[str], offsets: list[int]) -> None:
        self._weights = weights
        self._text = text
        self._atoms = atoms
        self._offsets = offsets
        self._mixed = any(atom.isdecimal() for atom in atoms) and not text.isdecimal()
        #: Where the letters began that the last atom belongs to.
        self._letters = 0
        #: Where the best unknown word of three letters or more begins: it costs by the letter, whatever comes.
        self._began: int | None = None

    def reading(self, end: int, best: list[_Reading]) -> _Reading:
        """That of the first ``end`` atoms, where ``best`` are the best readings of fewer."""
        weights = self._weights
        if self._atoms[end - 1].isdecimal():
            self._letters, self._began = end, None
            options = [(weights.number, end - 1)]
        else:
            options = [(weights.unknown + weights.letter + weights.single, end - 1)]
            if end - 2 >= self._letters:
                options.append((weights.unknown + 2 * weights.letter + weights.double, end - 2))
            if end - 3 >= self._letters:
                if self._began is None or self._from(best, end - 3) < self._from(best, self._began):
                    self._began = end - 3
                options.append((weights.unknown + weights.letter * (end - self._began), self._began))
        if self._mixed:
            options += self._codes(end)
        total, start = min((best[start][0] + cost, -start) for cost, start in options)
        return total, self._text[self._offsets[-start] : self._offsets[end]], best[-start]

    def _from(self, best: list[_Reading], start: int) -> float:
        return best[start][0] - self._weights.letter * start

    def _codes(self, end: int) -> Iterator[tuple[float, int]]:
        """The costs and beginnings of short mixtures of letters and digits."""
        weights = self._weights
        for start in range(end - 2, -1, -1):
            size = self._offsets[end] - self._offsets[start]
            if size > LONGEST_CODE:
                return
            if start < self._letters:
                yield weights.unknown + weights.letter * size + weights.code, start


def _words(last: _Reading) -> tuple[str, ...]:
    words = []
    reading: _Reading | None = last
    while reading is not None and reading[2] is not None:
        words.append(reading[1])
        reading = reading[2]
    return tuple(reversed(words))


def prove(version: ModelVersion) -> WordModel:
    """The word model of a version, after it read the golden texts as its manifest says.

    A golden text expects one reading, with what it costs. Raises
    :class:`~groundswell.errors.ModelError` where the model cannot be read or reads otherwise.
    """
    model = WordModel.load(version)
    if not version.manifest.golden:
        raise ModelError(f"{version.ref.name}@{version.ref.version} has no golden inputs: publish the model again")
    for golden in version.manifest.golden:
        words, cost = model.read(golden.text)
        expected = golden.expected.get(WORDS, {}).get(" ".join(words))
        if expected is None or not abs(cost - expected) <= version.manifest.tolerance:
            raise ModelError(
                f"{version.ref.name}@{version.ref.version} reads {golden.text!r} as {' '.join(words)!r} at {cost:.3f}, "
                f"its manifest expects {golden.expected}: publish the model again"
            )
    return model
