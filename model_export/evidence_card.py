"""The card of an evidence model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from inference.evidence_model import EvidenceFile
from inference.manifest import Source

_WHAT: Final = (
    "Says how probably a post is about what a hashtag is about, by what the tag's own posts have in common: a logistic "
    "regression over named features for each form of evidence, and how common words are in posts at large. Nothing is "
    "ever labelled for the topic at hand."
)
_LIMITS: Final = (
    "Fitted on English posts about five disasters. It knows how common English words are; posts in other languages are "
    "compared by the words that set them apart from the stream, and by vectors. Where a topic is rare and much else is "
    "like it, probabilities above a half are right about as often as wrong."
)
_UNREAD: Final = "None was tried: the evidence alone decides."


def card(
    file: EvidenceFile, metrics: Mapping[str, Mapping[str, float]], data: Sequence[Source], reading: str = ""
) -> str:
    """The card as Markdown: what it is for, how good it is, what it is made of, and what it is not for.

    ``reading`` says what came of the trial of a cross-encoder.
    """
    lines = ["# topic-evidence", "", _WHAT, "", "## Figures", ""]
    for name, figures in metrics.items():
        lines += [f"Means over topics, {name}:", "", "| figure | value |", "| --- | ---: |"]
        lines += [f"| {figure} | {value:.4f} |" for figure, value in figures.items()] + [""]
    lines += ["## Cross-encoders", "", reading or _UNREAD, ""]
    lines += [
        f"- `{name}`: log-odds {vote.bias:.3f} + {vote.evidence:.3f} of the evidence's + {vote.reader:.3f} of its own, "
        f"between {-vote.limit:.2f} and {vote.limit:.2f}"
        for name, vote in file.readings.items()
    ]
    lines += [""] if file.readings else []
    lines += ["## Weights", "", "| form | feature | weight |", "| --- | --- | ---: |"]
    for form, weights in file.forms.items():
        lines += [f"| {form} | {feature} | {weight:.3f} |" for feature, weight in weights.weights.items()]
    lines += [
        "",
        "## Data",
        "",
        *(f"- `{source.path}`: {source.rows:,} rows, {source.use}" for source in data),
        "",
        "## Limits",
        "",
        _LIMITS,
        "",
    ]
    return "\n".join(lines)
