"""A small evidence model and a trend of invented posts, with vectors that lie where their words do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from groundswell.trends import Sample, TagCount, Trend
from inference.evidence_model import EvidenceFile, EvidenceModel, Reading, Weights
from operators.topics.evidence import CENTRE, FORMS, LABEL, TAGGED, VOCABULARY
from operators.words import words

SPACE = "test-space"
AT = datetime(2013, 5, 20, 20, tzinfo=UTC)
_WEIGHTS = {CENTRE: 5.0, LABEL: 3.0, VOCABULARY: 1.2, TAGGED: 1.0}
_COMMON = frozenset(
    [
        "the",
        "a",
        "to",
        "of",
        "and",
        "in",
        "is",
        "for",
        "on",
        "my",
        "we",
        "are",
        "so",
        "at",
        "with",
        "this",
        "it",
        "just",
        "now",
        "have",
        "here",
        "day",
        "good",
        "people",
        "home",
    ]
)

POSTS = (
    "Huge tornado on the ground near Moore, take shelter now #PrayForOklahoma",
    "Tornado sirens in Moore, we are in the shelter #PrayForOklahoma",
    "Praying for everyone in Moore tonight #prayforoklahoma",
    "The tornado took the school in Moore, rescue crews are here #PrayForOklahoma #moore",
    "Red Cross relief for the tornado victims in Moore #PrayForOklahoma",
    "Relief trucks leave for Moore at noon, bring water #PrayForOklahoma",
    "My heart is with the families of Moore #prayforoklahoma",
    "So many homes gone after the tornado, relief is on its way #PrayForOklahoma",
    "Shelter open at the church for tornado victims #PrayForOklahoma",
    "Rescue crews search the school after the tornado #PrayForOklahoma",
    "Donate to the relief fund for Moore #PrayForOklahoma",
    "Thoughts and prayers to the tornado victims #PrayForOklahoma",
)
ABOUT = "the tornado victims in Moore need shelter and relief"
NOT_ABOUT = "my day at the office was so good, home now"


def model(shift: float = 0.0) -> EvidenceModel:
    """One with the same weights in all forms, that knows some common words and what a reader may add."""
    weights = {
        form: Weights(-6.0, {name: _WEIGHTS[name] for name in names}, share=0.5, shift=shift)
        for form, names in FORMS.items()
    }
    # The words of the posts are known too, but rare.
    rare = sorted({word for post in POSTS for word in words(post)} - _COMMON)
    counts = {20: " ".join(rare), 6_000: " ".join(sorted(_COMMON))}
    file = EvidenceFile(
        forms=weights,
        texts=10_000,
        words=counts,
        readings={"nli": Reading(bias=0.0, evidence=1.0, reader=0.5, limit=1.5)},
    )
    return EvidenceModel(file, "topic-evidence@test", SPACE)


def embed(texts: Sequence[str]) -> list[bytes | None]:
    """A vector for each text: the sum of a random direction for each of its words; none for a text without."""
    return [_vector(words(text)) for text in texts]


def trend(posts: Sequence[str] = POSTS, tag: str = "prayforoklahoma", **given: object) -> Trend:
    """A trend with these sample posts."""
    samples = tuple(Sample("test", str(place), text) for place, text in enumerate(posts))
    fields: dict[str, object] = {
        "id": f"{tag}-1",
        "tag": tag,
        "label": "PrayForOklahoma",
        "since": AT,
        "score": 9.0,
        "count": 20,
        "peak": 20,
        "authors": 20,
        "cotags": (TagCount("moore", 1), TagCount("okwx", 1)),
        "samples": samples,
    }
    return Trend(**(fields | given))  # type: ignore[arg-type]


class Spelled:
    """A segmenter that knows one tag."""

    def segment(self, tag: str, forms: object = (), words: object = ()) -> tuple[str, ...]:
        return ("pray", "for", "oklahoma") if tag == "prayforoklahoma" else (tag,)


def _vector(found: set[str]) -> bytes | None:
    if not found:
        return None
    total = np.zeros(32)
    for word in found:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        weight = 0.2 if word in _COMMON else 1.0
        total += weight * np.random.default_rng(seed).normal(size=32)
    vector: bytes = np.rint(total / np.abs(total).max() * 127).astype(np.int8).tobytes()
    return vector
