"""The word model by which hashtags are read as words: counted, judged and made ready to publish."""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from math import log
from pathlib import Path
from typing import Final

from groundswell.records import ModelRef
from inference.manifest import WORD_MODEL, WORDS, Golden, Source
from inference.version import CARD
from inference.word_model import LONGEST_WORD, Weights, WordFile, WordModel
from model_export import tag_sets, word_counts
from model_export.publish import Draft, publish
from model_export.tag_sets import Accuracy
from model_export.word_counts import PLAIN, Counted

NAME: Final = "words"
LICENCE: Final = "Apache-2.0"

_CARD: Final = """\
# words

What words cost, and pairs of words: by this the job reads a hashtag such as *prayforoklahoma* as *pray for oklahoma*.
{words:,} words of English and of what people write in Latin script on the web, without a graph and without a network.

## Figures

Hashtags read right, lower case, without the words of their posts and without their spellings; in brackets 95 %
intervals (Wilson).

| set | n | accuracy |
| --- | --- | --- |
{rows}

The weights of the parts (an unknown word, a letter, a pair, ...) were chosen on the two parts that say so, and only
there. HashSet's right answers are made from capitals by rule, and not all of them are right.

## Data

Probabilities of tokens in comments on Reddit, from the package spacy-lookups-data (MIT), lower case and added up; words
and pairs of words in the public posts below, and in those of their hashtags whose capitals show the words. Only counts
are kept: no post is in this folder.

| file | rows | use |
| --- | --- | --- |
{sources}

## Licence

{licence}, as the rest of the project.

## Limits

- Mostly English. Words of other languages are known where people use them on Reddit, or in the posts above.
- It holds what people write, names and rude words included.
- A name that nobody has written yet is one unknown word, or falls to pieces that are words: the posts of the tag help.

## Making it again

`groundswell models words --data FOLDER`, with the package's `words` extra.
"""

#: Words and pairs that are kept, the most frequent.
MOST_WORDS: Final = 250_000
MOST_PAIRS: Final = 60_000
#: What the table, the texts and the hashtags of the texts each have of a word's probability.
TABLE_SHARE: Final = 0.5
TEXT_SHARE: Final = 0.25
TAG_SHARE: Final = 0.25
#: Taken from the count of every word of the hashtags: what is seen once is often two words in one (``iVoteforCycle``).
TAG_DISCOUNT: Final = 0.9
#: A pair in a hashtag counts as so many in a text.
TAG_PAIRS: Final = 3
#: A pair is kept that was seen so often, and that many nats more than by chance.
LEAST_PAIR: Final = 2
LEAST_SAVED: Final = 1.0
MOST_SAVED: Final = 12.0
#: Costs are rounded to so many nats.
STEP: Final = 0.1
#: Chosen by coordinate search for the most tags read right of the parts of STAN and HashSet that are named so, lower
#: case and with capitals, with the words of their posts and without.
WEIGHTS: Final = Weights(
    scale=1.0,
    word=1.0,
    unknown=8.5,
    letter=2.4,
    single=9.3,
    double=1.0,
    common=4.0,
    number=0.0,
    code=5.0,
    pair=1.4,
    evidence=0.05,
    half=50.0,
    shown=15.0,
    either=8.0,
    hidden=28.0,
    crossed=1.0,
    familiar=14.0,
)

#: Read when the version is verified.
GOLDEN: Final = ("prayforoklahoma", "westtx", "yycflood", "uppolls2017", "g20summit", "goodmorning", "xqzwvk", "a", "")
#: How far the cost of a golden text may be off: additions in another order.
TOLERANCE: Final = 1e-6


def word_file(
    table: Mapping[str, float], counted: Counted, weights: Weights, *, words: int = MOST_WORDS, pairs: int = MOST_PAIRS
) -> WordFile:
    """The word model of what was counted, and of a table of probabilities."""
    probable: defaultdict[str, float] = defaultdict(float)
    tags = {word: times - TAG_DISCOUNT for word, times in counted.tags.words.items()}
    for share, found in ((TABLE_SHARE, table), (TEXT_SHARE, counted.texts.words), (TAG_SHARE, tags)):
        kept = {word: value for word, value in found.items() if PLAIN.fullmatch(word) and len(word) <= LONGEST_WORD}
        whole = sum(kept.values()) or 1
        for word, value in kept.items():
            probable[word] += share * value / whole
    chosen = sorted(probable, key=lambda word: (-probable[word], word))[:words]
    costs = {word: -log(probable[word]) for word in chosen}
    saved = _saved(counted, costs, pairs)
    return WordFile(step=STEP, weights=weights, words=_levels(costs.items()), pairs=_levels(saved))


def build(data: Path, frequencies: Path | None = None) -> tuple[Draft, dict[str, Accuracy]]:
    """Count, judge and make a version that is ready to publish, with its accuracy by set of hashtags.

    ``frequencies`` is the table's file where it is not that of the installed package. Raises
    :class:`~model_export.datasets.DataError` where data is absent.
    """
    table, origin = word_counts.table(frequencies)
    counted = word_counts.count(data)
    file = word_file(table, counted, WEIGHTS)
    model = WordModel(file)
    found = {
        name: tag_sets.accuracy(tags, lambda tag: model.read(tag.tag)[0]) for name, tags in tag_sets.read(data).items()
    }
    metrics = {name: figures.flat() for name, figures in found.items()}
    origins = (origin, *counted.sources, *tag_sets.sources(data))
    draft = Draft(
        name=NAME,
        files={WORD_MODEL: file.encoded(), CARD: _card(len(model), found, origins).encode()},
        encoder=WORDS,
        inputs=(),
        outputs=(),
        heads=(),
        graphs={},
        tools={"python": platform.python_version(), "zstandard": metadata.version("zstandard")},
        metrics=metrics,
        data=origins,
        golden=tuple(_golden(model, text) for text in GOLDEN),
        tolerance=TOLERANCE,
        licence=LICENCE,
    )
    return draft, found


def make(
    data: Path, out: Path | str, cache: Path | None = None, frequencies: Path | None = None
) -> tuple[ModelRef, dict[str, Accuracy]]:
    """From the public data to a published champion in ``out``; raises :class:`GroundswellError`."""
    draft, found = build(data, frequencies)
    return publish(out, draft, cache=cache), found


def _golden(model: WordModel, text: str) -> Golden:
    words, cost = model.read(text)
    return Golden(text=text, expected={WORDS: {" ".join(words): round(cost, 9)}})


def _card(words: int, found: Mapping[str, Accuracy], origins: Sequence[Source]) -> str:
    return _CARD.format(
        words=words,
        rows="\n".join(
            f"| {name} | {each.n:,} | {each.share:.3f} ({each.low:.3f} to {each.high:.3f}) |"
            for name, each in found.items()
        ),
        sources="\n".join(f"| `{source.path}` | {source.rows:,} | {source.use} |" for source in origins),
        licence=LICENCE,
    )


def _saved(counted: Counted, costs: Mapping[str, float], most: int) -> list[tuple[str, float]]:
    """The pairs of known words that save the most over all that was counted, and what each saves."""
    together: Counter[tuple[str, str]] = Counter(counted.texts.pairs)
    for pair, times in counted.tags.pairs.items():
        together[pair] += TAG_PAIRS * times
    whole = together.total()
    found = []
    for (first, second), times in together.items():
        if times >= LEAST_PAIR and first in costs and second in costs:
            saved = min(MOST_SAVED, log(times / whole) + costs[first] + costs[second])
            if saved >= LEAST_SAVED:
                found.append((times * saved, f"{first}-{second}", saved))
    found.sort(key=lambda each: (-each[0], each[1]))
    return [(pair, saved) for _, pair, saved in found[:most]]


def _levels(costs: Iterable[tuple[str, float]]) -> list[str]:
    lines: dict[int, list[str]] = {}
    for word, cost in costs:
        lines.setdefault(round(cost / STEP), []).append(word)
    return [" ".join(sorted(lines.get(level, ()))) for level in range(max(lines, default=-1) + 1)]
