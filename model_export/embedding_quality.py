"""How good embeddings are at what they are stored for: finding texts, telling likeness, gathering topics.

Three public data sets, none of which the embedding was trained on here:

- retrieval: each hypothesis of SNLI's development set that its premise entails looks for that
  premise among all of them; recall@1 and the mean reciprocal rank (MRR) of the right one;
- similarity: of a pair that entails and one that does not, from SNLI and from MNLI, how often
  the first has the larger cosine (area under the ROC curve), and Spearman's correlation of the
  cosine with contradiction < neutral < entailment;
- topics: the share of the ten nearest articles of AG News that have the topic of the one asked for, and
  zero-shot the share of articles that lie nearest to the line that describes their topic.

All figures are shares from 0 to 1 (the correlation from −1), larger is better; nothing is random.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from inference.zero_shot import SENTENCE
from model_export import readers
from model_export.datasets import DataError, PairExample, fingerprint, read_text

#: From texts to vectors ``[texts, dimensions]``; their lengths do not matter.
Embed = Callable[[Sequence[str]], NDArray[Any]]

#: Rows of each data set that are read, chosen by a hash of the text.
ROWS: Final = 2_000
NEIGHBOURS: Final = 10

_SNLI: Final = "snli-dev"
_AG_NEWS: Final = "topics/ag_news_train_4k_olora.json.gz"
#: What AG News calls its topics, described in a line each, as a user would.
TOPICS: Final[Mapping[str, str]] = {
    "World": "world news: politics, governments, wars, diplomacy and disasters",
    "Sports": "sports: games, teams, athletes, matches and championships",
    "Business": "business: companies, markets, shares, the economy and oil prices",
    "Science or Technology": "science and technology: computers, software, the internet, space and research",
}
_ORDER: Final = {"contradiction": 0, "neutral": 1, "entailment": 2}
#: Rows of a table of cosines that is in memory at once.
_AT_ONCE: Final = 512


class EmbeddingQuality(msgspec.Struct, frozen=True):
    """The figures by ``data set/figure``, how many rows each data set had, and the sha256 of the files behind it."""

    figures: dict[str, float]
    rows: dict[str, int]
    files: dict[str, str]

    def points_below(self, base: EmbeddingQuality) -> dict[str, float]:
        """By how many points (hundredths) each figure lies below that of ``base``.

        Raises :class:`ValueError` unless both were measured on the same rows of the same files.
        """
        if (self.rows, self.files) != (base.rows, base.files):
            raise ValueError("the two were not measured on the same data")
        return {name: round(100 * (base.figures[name] - value), 3) for name, value in self.figures.items()}


class QualityData(msgspec.Struct, frozen=True):
    """The texts to embed, once each, and what is asked of them: places in ``texts``.

    ``queries`` are hypotheses with the premise that each is to find among ``premises``;
    ``described`` has the line that describes each topic.
    """

    texts: tuple[str, ...]
    premises: tuple[int, ...]
    queries: tuple[tuple[int, int], ...]
    pairs: Mapping[str, tuple[tuple[int, int, str], ...]]
    topics: tuple[tuple[int, str], ...]
    described: Mapping[str, int]
    files: dict[str, str]


def quality_data(data: Path, *, rows: int = ROWS) -> QualityData:
    """What lies below the folder ``data``: up to ``rows`` of each set, and as many queries among all premises.

    Raises :class:`DataError` for what is absent or damaged.
    """
    files: dict[str, str] = {}
    places: dict[str, int] = {}
    pairs = {}
    sets = {}
    for name in (_SNLI, "mnli"):
        found, prints = readers.read(name, data)
        files |= {each.path: each.sha256 for each in prints}
        sets[name] = [row for row in found if isinstance(row, PairExample)]
        pairs[name] = tuple(
            (_place(places, row.premise), _place(places, row.hypothesis), row.label)
            for row in _chosen(sets[name], rows)
        )
    entailed = _chosen([row for row in sets[_SNLI] if row.label == "entailment"], rows)
    queries = tuple((_place(places, row.hypothesis), _place(places, row.premise)) for row in entailed)
    premises = tuple(dict.fromkeys(_place(places, row.premise) for row in sets[_SNLI]))
    articles, sha256 = _ag_news(data)
    files[_AG_NEWS] = sha256
    topics = tuple((_place(places, text), label) for text, label in _chosen(articles, rows))
    names = sorted({label for _, label in topics})
    described = {name: _place(places, SENTENCE.format(TOPICS.get(name, name))) for name in names}
    return QualityData(tuple(places), premises, queries, pairs, topics, described, files)


def embedding_quality(embed: Embed, data: QualityData) -> EmbeddingQuality:
    """The figures of what ``embed`` makes of ``data``."""
    vectors = embed(data.texts).astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    figures = _retrieval(vectors, data)
    for name, pairs in data.pairs.items():
        figures |= {f"{name}/{figure}": value for figure, value in _similarity(vectors, pairs).items()}
    figures[f"ag-news/precision@{NEIGHBOURS}"] = _precision(vectors, data.topics)
    figures["ag-news/zero-shot"] = _zero_shot(vectors, data)
    return EmbeddingQuality(
        figures={name: round(value, 5) for name, value in figures.items()},
        rows={name: len(pairs) for name, pairs in data.pairs.items()}
        | {"ag-news": len(data.topics), "queries": len(data.queries), "premises": len(data.premises)},
        files=data.files,
    )


def _retrieval(vectors: NDArray[np.float64], data: QualityData) -> dict[str, float]:
    column = {premise: number for number, premise in enumerate(data.premises)}
    ranks: list[NDArray[np.int64]] = []
    for start in range(0, len(data.queries), _AT_ONCE):
        part = data.queries[start : start + _AT_ONCE]
        cosines = vectors[[query for query, _ in part]] @ vectors[list(data.premises)].T
        right = cosines[np.arange(len(part)), [column[premise] for _, premise in part]]
        # A tie counts against it.
        ranks.append((cosines >= right[:, None]).sum(axis=1))
    found = np.concatenate(ranks)
    return {f"{_SNLI}/recall@1": float((found == 1).mean()), f"{_SNLI}/mrr": float((1 / found).mean())}


def _similarity(vectors: NDArray[np.float64], pairs: Sequence[tuple[int, int, str]]) -> dict[str, float]:
    first, second = vectors[[pair[0] for pair in pairs]], vectors[[pair[1] for pair in pairs]]
    ranks = _ranks((first * second).sum(axis=1))
    order = np.array([_ORDER[label] for _, _, label in pairs])
    entailed = order == _ORDER["entailment"]
    hits, misses = int(entailed.sum()), int((~entailed).sum())
    # Mann and Whitney's U over all pairs of pairs is the area under the curve.
    area = (ranks[entailed].sum() - hits * (hits + 1) / 2) / (hits * misses)
    return {"auc": float(area), "spearman": float(np.corrcoef(ranks, _ranks(order))[0, 1])}


def _precision(vectors: NDArray[np.float64], topics: Sequence[tuple[int, str]]) -> float:
    names = sorted({topic for _, topic in topics})
    topic = np.array([names.index(each) for _, each in topics])
    known = vectors[[place for place, _ in topics]]
    right = 0
    for start in range(0, len(known), _AT_ONCE):
        cosines = known[start : start + _AT_ONCE] @ known.T
        places = np.arange(start, start + len(cosines))
        cosines[np.arange(len(cosines)), places] = -np.inf
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEIGHBOURS]
        right += int((topic[nearest] == topic[places][:, None]).sum())
    return right / (len(known) * NEIGHBOURS)


def _zero_shot(vectors: NDArray[np.float64], data: QualityData) -> float:
    """Accuracy of the topic whose line is nearest, as :func:`inference.zero_shot.by_embedding` ranks them."""
    lines = vectors[list(data.described.values())]
    nearest = (vectors[[place for place, _ in data.topics]] @ lines.T).argmax(axis=1)
    names = list(data.described)
    return float(np.mean([names[each] == label for each, (_, label) in zip(nearest, data.topics, strict=True)]))


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share their mean rank."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found: NDArray[np.float64] = (last - (counts - 1) / 2)[which]
    return found


def _ag_news(data: Path) -> tuple[list[tuple[str, str]], str]:
    """Texts and topics, and the sha256 of the file; nothing is ever trained on it, as its terms ask."""
    file = data / _AG_NEWS
    try:
        rows = [
            (str(row["sentence"]).removeprefix("Title: ").replace("\nText: ", "\n"), str(row["label"]))
            for row in json.loads(read_text(file))
        ]
    except FileNotFoundError as error:
        raise DataError(f"{file} is absent: bring 4,000 rows of AG News as <data>/{_AG_NEWS}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} cannot be used ({error}): bring it anew") from error
    return rows, fingerprint(data, file, len(rows)).sha256


def _chosen(rows: Sequence[Any], most: int) -> list[Any]:
    """Up to ``most`` distinct rows, in the order of their hashes."""
    keyed = sorted((hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).digest(), row) for row in set(rows))
    return [row for _, row in keyed[:most]]


def _place(places: dict[str, int], text: str) -> int:
    return places.setdefault(text, len(places))
