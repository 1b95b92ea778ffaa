"""Fitting the evidence model: one logistic regression for each form of evidence, and the version that holds them."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from inference.evidence_model import ABOUT, EvidenceFile, EvidenceModel, Weights, probabilities
from inference.manifest import EVIDENCE, EVIDENCE_MODEL, Golden, Source
from inference.version import CARD
from model_export.datasets import Fingerprint
from model_export.publish import Draft

NAME: Final = "topic-evidence"
LICENCE: Final = "Apache-2.0"
TOLERANCE: Final = 1e-6
#: How much the weights are held back: hardly, there are thousands of rows to each.
INVERSE_PENALTY: Final = 1e3
#: A word that fewer posts at large have says nothing of how common it is.
FEWEST_POSTS: Final = 3
#: Decimal places of a weight, and golden rows of a form.
_PLACES: Final = 6
_GOLDEN_ROWS: Final = 6


class Rows(NamedTuple):
    """Posts against one topic of an event: features by name ``[posts]``, whether each is about it, what all weigh.

    ``rare`` says that they are posts of everything else, and few about it among them.
    """

    event: str
    features: Mapping[str, NDArray[np.float64]]
    about: NDArray[np.bool_]
    weight: float = 1.0
    rare: bool = False


def fit(rows: Sequence[Rows], names: Sequence[str]) -> Weights:
    """The regression over the features ``names``. Every event counts the same, whatever its topics and posts.

    Raises ``ValueError`` where no post, or every one, is about its topic.
    """
    shares: defaultdict[str, float] = defaultdict(float)
    for each in rows:
        shares[each.event] += each.weight
    weights = np.concatenate(
        [np.full(len(each.about), each.weight / shares[each.event] / max(1, len(each.about))) for each in rows]
    )
    about = np.concatenate([each.about for each in rows])
    table = np.concatenate([np.stack([each.features[name] for name in names], axis=1) for each in rows])
    # The penalty is one a row: weights of mean one keep it so.
    weights *= len(weights) / weights.sum()
    found = LogisticRegression(C=INVERSE_PENALTY, max_iter=1_000).fit(table, about, sample_weight=weights)
    return Weights(
        bias=round(float(found.intercept_[0]), _PLACES),
        weights={name: round(float(value), _PLACES) for name, value in zip(names, found.coef_[0], strict=True)},
        share=round(float((weights * about).sum() / weights.sum()), _PLACES),
    )


def common_words(said: Iterable[set[str]]) -> tuple[int, dict[int, str]]:
    """How many posts at large there are, and their words by the number of posts that have them."""
    counts: defaultdict[str, int] = defaultdict(int)
    posts = 0
    for each in said:
        posts += 1
        for word in each:
            counts[word] += 1
    lines: defaultdict[int, list[str]] = defaultdict(list)
    for word, count in counts.items():
        if count >= FEWEST_POSTS:
            lines[count].append(word)
    return posts, {count: " ".join(sorted(found)) for count, found in sorted(lines.items())}


def draft(
    file: EvidenceFile,
    space: str,
    metrics: dict[str, dict[str, float]],
    data: Sequence[Source],
    rows: Mapping[str, Sequence[Rows]],
    card: str,
) -> Draft:
    """A version that is ready to be published; its golden rows are some of the ``rows`` of each form."""
    model = EvidenceModel(file, NAME, space)
    return Draft(
        name=NAME,
        files={
            EVIDENCE_MODEL: msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n",
            CARD: card.encode(),
        },
        graphs={},
        encoder=EVIDENCE,
        inputs=(),
        outputs=(),
        heads=(),
        tools={"python": platform.python_version()}
        | {tool: metadata.version(tool) for tool in ("numpy", "scikit-learn", "scipy")},
        metrics=metrics,
        data=tuple(data),
        golden=tuple(golden for form in file.forms for golden in _goldens(model, form, rows[form])),
        tolerance=TOLERANCE,
        licence=LICENCE,
        embedding_space=space,
    )


def sources(
    events: Sequence[Fingerprint], elsewhere: Sequence[Fingerprint], at_large: Sequence[Fingerprint]
) -> tuple[Source, ...]:
    """The files behind a model."""
    uses = ((events, "judged posts of events"), (elsewhere, "posts of other events"), (at_large, "posts at large"))
    return tuple(
        Source(path=file.path, sha256=file.sha256, rows=file.rows, use=use) for files, use in uses for file in files
    )


def calibration_error(scores: NDArray[Any], about: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    """Expected calibration error over ten bins of equal width (Naeini et al., AAAI 2015), of weighted posts."""
    weights = np.ones(len(scores)) if weights is None else weights
    bins = np.minimum((scores * 10).astype(int), 9)
    far = np.bincount(bins, weights * (scores - about), minlength=10)
    return float(np.abs(far).sum() / max(weights.sum(), 1e-12))


def _goldens(model: EvidenceModel, form: str, rows: Sequence[Rows]) -> list[Golden]:
    """Rows of the form that lie as far apart as its posts do."""
    names = model.forms[form].weights
    table = np.concatenate([np.stack([each.features[name] for name in names], axis=1) for each in rows])
    logits = model.logits(form, dict(zip(names, table.T, strict=True)))
    chosen = np.argsort(logits, kind="stable")[np.linspace(0, len(logits) - 1, _GOLDEN_ROWS).astype(int)]
    found = []
    for place in chosen.tolist():
        features = {name: round(float(value), _PLACES) for name, value in zip(names, table[place], strict=True)}
        one = {name: np.array([value]) for name, value in features.items()}
        probability = float(probabilities(model.logits(form, one))[0])
        found.append(Golden(text=form, features=features, expected={EVIDENCE: {ABOUT: probability}}))
    return found
