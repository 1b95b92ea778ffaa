"""Words that set the posts of a tag apart from the stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil, log, sqrt

import msgspec

from groundswell.trends import Sample
from operators.words import words

#: Code points of a text that the background reads.
LONGEST_TEXT = 1_000
#: Two texts that share this part of all their words are one.
SAME_TEXT = 0.7
#: Fewest texts, and smallest share of all texts, in which a distinctive word occurs.
FEWEST_TEXTS = 3
SMALLEST_SHARE = 0.03
#: Words of prior evidence that both sides are taken to share.
PRIOR_WORDS = 500.0
#: A word is distinctive from this z-score on: the two-sided five per cent level.
LEAST_SCORE = 1.96
#: How many times as frequent as in the stream a distinctive word is at least: the stream has its share of copies, so
#: that the words of any language are a little more frequent elsewhere.
LEAST_RATIO = 1.5


class _State(msgspec.Struct, array_like=True, gc=False):
    total: int
    texts: int
    counts: dict[str, int]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_State)


class Background:
    """In how many texts of the stream each word occurs.

    When more than ``max_words`` words are known, the rarest are forgotten, all of the same
    count together, until at most three quarters of that are left; a forgotten word starts
    at zero again. After every ``half_life`` texts all counts are halved, so that the
    background follows the stream. Reposts are best left out, as they are from samples.
    """

    def __init__(self, max_words: int = 50_000, half_life: int = 1_000_000) -> None:
        if max_words < 1 or half_life < 1:
            raise ValueError("max_words and half_life must be positive")
        self._max_words = max_words
        self._half_life = half_life
        self._counts: dict[str, int] = {}
        self._total = 0
        self._texts = 0
        self._state: bytes | None = None

    @property
    def total(self) -> int:
        """The sum of the counts of all words, forgotten ones included."""
        return self._total

    def __len__(self) -> int:
        """Words that are known."""
        return len(self._counts)

    def count(self, word: str) -> int:
        """Texts with this word."""
        return self._counts.get(word, 0)

    def add(self, text: str) -> None:
        """Count the distinct words of a text of the stream, of its first ``LONGEST_TEXT`` code points."""
        counts = self._counts
        found = words(text[:LONGEST_TEXT])
        for word in found:
            counts[word] = counts.get(word, 0) + 1
        self._total += len(found)
        self._texts += 1
        self._state = None
        if len(counts) > self._max_words:
            self._prune()
        if self._texts >= self._half_life:
            self._halve()

    def state(self) -> bytes:
        """Everything that was counted, for :meth:`restored`; made anew only after a change."""
        if self._state is None:
            self._state = _encoder.encode(_State(self._total, self._texts, self._counts))
        return self._state

    @classmethod
    def restored(cls, state: bytes, max_words: int = 50_000, half_life: int = 1_000_000) -> Background:
        """The background that had this state; raises ``msgspec.DecodeError`` when the bytes are none."""
        background = cls(max_words, half_life)
        was = _decoder.decode(state)
        background._total, background._texts, background._counts = was.total, was.texts, was.counts
        if len(was.counts) > max_words:
            background._prune()
        return background

    def _prune(self) -> None:
        most = self._max_words * 3 // 4
        left = len(self._counts)
        floor = 0
        for count, known in sorted(Counter(self._counts.values()).items()):
            if left <= most:
                break
            floor = count
            left -= known
        self._counts = {word: count for word, count in self._counts.items() if count > floor}

    def _halve(self) -> None:
        self._counts = {word: count // 2 for word, count in self._counts.items() if count > 1}
        self._total //= 2
        self._texts = 0


def distinctive_words(
    samples: Sequence[Sample], background: Background, limit: int = 20
) -> tuple[tuple[str, float], ...]:
    """The words that are more frequent in the samples than in the stream, with their z-scores, highest first.

    The score is the log-odds ratio with an informative Dirichlet prior over its standard
    deviation (Monroe, Colaresi and Quinn, "Fightin' Words", Political Analysis 16(4), 2008,
    equations 15, 16, 19, 20 and 22). A text counts once per word, and near duplicates count as
    one text; the prior is that both sides use words as samples and stream together do.

    Hashtags are no words, so neither the tag nor its pieces appear, save where people write
    them as plain words too.

    No list of stop words is needed, for the stream has them as often; but posts in a language
    that is rare in the stream stand out by the common words of their language too. The less
    of the stream is known, the wider the doubt about what is common in it and the fewer words
    score: with an empty background, or one that is nothing but the samples, none do. Nor do
    words of a topic that fills the stream.
    """
    texts = distinct([words(sample.text) for sample in samples])
    counts = Counter(word for text in texts for word in text)
    least = max(FEWEST_TEXTS, ceil(SMALLEST_SHARE * len(texts)))
    here, there = counts.total(), background.total
    if not there:
        return ()
    scored = []
    for word, count in counts.items():
        known = background.count(word)
        if count >= least and count * there >= LEAST_RATIO * known * here:
            score = _score(count, here, known, there)
            if score >= LEAST_SCORE:
                scored.append((word, score))
    scored.sort(key=lambda item: (-item[1], item[0]))
    return tuple(scored[:limit])


def _score(count: int, of: int, background: int, background_of: int) -> float:
    if count + background == of + background_of:  # the only word there is
        return 0.0
    prior = PRIOR_WORDS * (count + background) / (of + background_of)
    here, there = count + prior, background + prior
    ratio = log(here / (of + PRIOR_WORDS - here)) - log(there / (background_of + PRIOR_WORDS - there))
    return ratio / sqrt(1 / here + 1 / there)


def distinct(texts: Sequence[set[str]]) -> list[set[str]]:
    """The texts without those that are nearly the same as an earlier one that was kept.

    The same are two whose Jaccard similarity is at least ``SAME_TEXT``. Such a pair shares a
    word among the rarest few of each, so that few pairs need a look (prefix filtering:
    Chaudhuri, Ganti and Kaushik, "A Primitive Operator for Similarity Joins", ICDE 2006).

    >>> distinct([{"a", "b", "c", "d"}, {"a", "b", "c", "d", "e"}, {"a", "b", "x"}]) == [set("abcd"), set("abx")]
    True
    """
    frequency = Counter(word for text in texts for word in text)
    kept: list[set[str]] = []
    by_word: dict[str, list[int]] = {}
    for text in texts:
        if not text:
            continue
        rarest_first = sorted(text, key=lambda word: (frequency[word], word))
        rare = rarest_first[: len(text) - ceil(SAME_TEXT * len(text)) + 1]
        alike = {position for word in rare for position in by_word.get(word, ())}
        if any(_same(text, kept[position]) for position in alike):
            continue
        for word in rare:
            by_word.setdefault(word, []).append(len(kept))
        kept.append(text)
    return kept


def _same(one: set[str], other: set[str]) -> bool:
    shared = len(one & other)
    return shared >= SAME_TEXT * (len(one) + len(other) - shared)
