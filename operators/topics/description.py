"""From a trend to its topic: the tag as words, a label, what sets its posts apart, and where they lie.

::

    tag ──▶ phrase ─┐
    posts ─▶ words ─┴▶ label ──▶ label vector
      │  └▶ vocabulary
      └────────────────────────▶ centre

Where there is too little evidence, a topic is made of what there is, and its ``steps`` say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from math import ceil, log
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from groundswell.topics import Topic
from groundswell.trends import Sample, Trend
from inference.evidence_model import EvidenceModel
from operators import hashtags
from operators.distinctive_words import FEWEST_TEXTS, LEAST_RATIO, SMALLEST_SHARE, distinct
from operators.topics.evidence import MOST, form_of, log_ratio, tokens, unit_rows
from operators.words import words

#: Words that a label names for people, and those that its vector is made of.
NAMED: Final = 3
EMBEDDED: Final = 6
#: Words that a topic tells.
MOST_WORDS: Final = 20
#: Entries of a vocabulary; those that say the most by how often they are there are kept.
MOST_VOCABULARY: Final = 3_000
#: A topic with fewer posts, near copies counted once, rests on little: its words could be anybody's.
FEW_POSTS: Final = 10
#: Where posts at large do not know this share of what the posts say, they are of another language.
LEAST_KNOWN: Final = 0.6
#: How the largest component of a vector is written.
_LARGEST: Final = 127

#: Vectors of texts, one signed byte a dimension; ``None`` for a text that has none.
Embed = Callable[[Sequence[str]], Sequence[bytes | None]]


class Segments(Protocol):
    """Tells the words of a tag; see :class:`operators.topics.segmentation.Segmenter`."""

    def segment(
        self, tag: str, forms: Mapping[str, int] = ..., words: Mapping[str, int | float] = ...
    ) -> tuple[str, ...]: ...


class Texts(NamedTuple):
    """Posts of a topic without near copies: what each says, its words alone, and its text without tags."""

    said: list[set[str]]
    words: list[set[str]]
    plain: list[str]


def describe(
    trend: Trend,
    segmenter: Segments,
    embed: Embed | None,
    space: str | None,
    at: datetime,
    model: EvidenceModel,
) -> Topic:
    """The topic of a trend, made at ``at`` for scores by ``model``.

    ``embed`` gives vectors of ``space``; without it, or in a space that the model does not
    know, the topic is made of words alone. Raises what ``embed`` raises.
    """
    steps: list[str] = []
    posts = _read(trend.samples)
    counts = Counter(token for each in posts.said for token in each)
    phrase = " ".join(segmenter.segment(trend.tag, _forms(trend), counts)) or trend.tag
    if phrase == trend.tag:
        steps.append(f"the tag is taken as it is: it reads as one word, {phrase}")
    vocabulary, telling = _set_apart(trend, posts, counts, model, steps)
    named = [word for word, _ in telling if word not in phrase.split()]
    if not posts.said:
        steps.append("no posts were collected: the topic is its tag and its companions")
        named = [cotag.tag for cotag in trend.cotags if cotag.tag != trend.tag]
        vocabulary = _of_words([*phrase.split(), trend.tag], model)
    elif len(posts.said) < FEW_POSTS:
        steps.append(f"only {len(posts.said)} different posts were collected: the topic rests on little")
    if not named:
        steps.append("no word sets the posts apart: the label is the tag alone")
    topic = Topic(
        trend_id=trend.id,
        tag=trend.tag,
        at=at,
        phrase=phrase,
        label=_label(phrase, named[:NAMED]),
        words=telling,
        vocabulary=vocabulary,
        posts=len(trend.samples),
        steps=tuple(steps),
        model=model.name,
    )
    return _placed(topic, _label(phrase, named[:EMBEDDED]), posts.plain, embed, space, model)


def describe_label(
    tag: str, label: str, embed: Embed | None, space: str | None, at: datetime, model: EvidenceModel
) -> Topic:
    """The topic that a person names by a label, with no posts to go by; ``trend_id`` is the tag's."""
    topic = Topic(
        trend_id=tag,
        tag=tag,
        at=at,
        phrase=label,
        label=label,
        vocabulary=_of_words([*tokens(label, ()), tag], model),
        steps=("a person named it: the topic is its label",),
        model=model.name,
    )
    return _placed(topic, label, [], embed, space, model)


def without_hashtags(text: str) -> str:
    """The text without its hashtags.

    >>> without_hashtags("Stay safe #moore, #okwx everyone")
    'Stay safe , everyone'
    """
    found = hashtags.find(text)
    if not found:
        return text
    ends = [0, *(end for _, _, end in found)]
    starts = [*(start for _, start, _ in found), len(text)]
    return " ".join("".join(text[end:start] for end, start in zip(ends, starts, strict=True)).split())


def mean_direction(vectors: Iterable[bytes]) -> bytes | None:
    """The mean of the directions of vectors, as one; ``None`` where they have none together."""
    mean = unit_rows(list(vectors)).mean(axis=0)
    return as_bytes(mean) if mean.any() else None


def as_bytes(direction: NDArray[Any]) -> bytes:
    """A direction as signed bytes; that of a vector of zeros is zeros."""
    largest = max(float(np.abs(direction).max()), 1e-30)
    return np.rint(direction / largest * _LARGEST).astype(np.int8).tobytes()


def _read(samples: Sequence[Sample]) -> Texts:
    plain = list(dict.fromkeys(filter(None, (without_hashtags(sample.text) for sample in samples))))
    said = distinct([tokens(sample.text, hashtags.extract(sample.text)) for sample in samples])
    return Texts(said, distinct([words(sample.text) for sample in samples]), plain)


def _forms(trend: Trend) -> Counter[str]:
    """How people write the tag."""
    forms = Counter({trend.label: 1})
    for sample in trend.samples:
        forms.update(form for form, _, _ in hashtags.find(sample.text) if hashtags.normalise([form]) == (trend.tag,))
    return forms


def _set_apart(
    trend: Trend, posts: Texts, counts: Counter[str], model: EvidenceModel, steps: list[str]
) -> tuple[dict[str, float], tuple[tuple[str, float], ...]]:
    """What sets the posts apart from posts at large, and the most telling words."""
    number = len(posts.said)
    if number and sum(count for token, count in counts.items() if model.knows(token)) < LEAST_KNOWN * counts.total():
        steps.append("the posts are in a language that the model knows little of: only the stream says what is theirs")
        # The score of a word is its log ratio over its standard deviation, about one over the root of its count.
        told = {word: min(MOST, score / max(1, counts[word]) ** 0.5) for word, score in trend.words}
        return {**_of_words([trend.tag], model), **told}, trend.words
    return vocabulary_of(counts, number, model), _telling_words(posts.words, dict(trend.words), model)


def vocabulary_of(counts: Mapping[str, int], posts: int, model: EvidenceModel) -> dict[str, float]:
    """What sets posts apart: the tokens that are more frequent among them than in posts at large, with their weights.

    ``counts`` say how many of the ``posts`` have each.
    """
    ratios = {token: log_ratio(count, posts, model.share(token)) for token, count in counts.items()}
    telling = sorted((token for token in ratios if ratios[token] > 0), key=lambda each: -ratios[each] * counts[each])
    return {token: round(ratios[token], 3) for token in telling[:MOST_VOCABULARY]}


def _telling_words(
    posts: Sequence[set[str]], stream: Mapping[str, float], model: EvidenceModel
) -> tuple[tuple[str, float], ...]:
    """The words for people: those that the posts have more often than posts at large, and more than the stream."""
    counts = Counter(word for post in posts for word in post)
    least = max(FEWEST_TEXTS, ceil(SMALLEST_SHARE * len(posts)))
    scores = []
    for word, count in counts.items():
        ratio = log_ratio(count, len(posts), model.share(word))
        if count >= least and ratio >= log(LEAST_RATIO):
            # How far a log ratio is from none, in standard deviations: one is about the inverse root of the count.
            scores.append((word, round(ratio * count**0.5 + stream.get(word, 0.0), 3)))
    return tuple(sorted(scores, key=_strongest)[:MOST_WORDS])


def _strongest(word: tuple[str, float]) -> tuple[float, str]:
    return -word[1], word[0]


def _of_words(given: Iterable[str], model: EvidenceModel) -> dict[str, float]:
    """A vocabulary of words that nobody was seen to use: the rarer a word, the more it says."""
    return {word: round(log_ratio(1, 1, model.share(word)), 3) for word in dict.fromkeys(given)}


def _label(phrase: str, named: Sequence[str]) -> str:
    return f"{phrase}: {', '.join(named)}" if named else phrase


def _placed(
    topic: Topic, label: str, plain: Sequence[str], embed: Embed | None, space: str | None, model: EvidenceModel
) -> Topic:
    """The topic with its vectors, where it can have some, and as rare as topics are."""
    if embed is None or space is None:
        topic = replace(topic, steps=(*topic.steps, "no model makes vectors: posts are compared by words alone"))
    elif space != model.space:
        said = f"the evidence model knows no vectors of the space {space}: posts are compared by words alone"
        topic = replace(topic, steps=(*topic.steps, said))
    else:
        vectors = embed([label, *plain])
        of_posts = [vector for vector in vectors[1:] if vector is not None]
        centre = mean_direction(of_posts) if of_posts else None
        topic = replace(
            topic,
            space=space,
            label_vector=None if vectors[0] is None else vectors[0].hex(),
            centre=None if centre is None else centre.hex(),
        )
    return replace(topic, shift=model.forms[form_of(topic)].shift)
