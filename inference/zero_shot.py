"""Zero-shot classification: labels that no head was trained for.

Two ways, both over a callable that asks a model, such as ``Engine.submit``:

- *by embedding*: a label is the mean direction of what its descriptions say, and a text
  belongs to the labels whose directions are near to its own. One look at what is stored
  already, so it costs nothing a text.
- *by entailment*: a cross-encoder judges whether the text entails "This text is about
  ..." (Yin et al., 2019). One pass a text and label.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from groundswell.records import Analysis, Scores
from inference.calibration import softmax
from inference.heads import PLACES, named
from inference.rows import RowError, Text
from inference.tasks import EMBEDDING, NLI

#: Asks a model for tasks: one answer a text, in order.
Ask = Callable[[Sequence[Text], Collection[str]], Sequence[Analysis | RowError]]

#: The sentence that a description or a label is put into.
SENTENCE: Final = "This is about {}."
#: The temperature of cosines, fitted with all-MiniLM-L6-v2 on DBpedia's fourteen classes.
TEMPERATURE: Final = 0.03
#: Keeps the odds of a probability that was rounded to 0 or 1 finite.
_LEAST: Final = 10.0**-PLACES


class Directions(NamedTuple):
    """Labels in a space of embeddings: ``vectors`` ``[labels, dimensions]`` of unit length."""

    labels: tuple[str, ...]
    vectors: NDArray[np.float64]
    space: str


def directions(ask: Ask, labels: Mapping[str, Sequence[str]], sentence: str = SENTENCE) -> Directions:
    """Where labels lie, by their descriptions: a few phrases each of what belongs to the label.

    Several phrases say more than the bare name: of AG News, all-MiniLM-L6-v2 puts .70 right
    by the names alone, .83 by a line about each label and .84 by six phrases. The mean
    of the phrases' unit vectors is brought back to unit length.

    Raises :class:`ModelError` with fewer than two labels, for a label without a
    description, and where the model cannot embed one.
    """
    if len(labels) < 2 or not all(labels.values()):
        raise ModelError("zero-shot needs two labels or more, each with a description: its name will do")
    phrases = [sentence.format(phrase) for described in labels.values() for phrase in described]
    answers = ask(phrases, (EMBEDDING,))
    spaces = set()
    vectors = []
    for phrase, answer in zip(phrases, answers, strict=True):
        if isinstance(answer, RowError) or answer.embedding is None or answer.embedding_space is None:
            why = answer.detail if isinstance(answer, RowError) else "the model gives no embedding"
            raise ModelError(f"the description {phrase!r} has no embedding ({why}): describe the label otherwise")
        spaces.add(answer.embedding_space)
        vectors.append(_unit(np.frombuffer(answer.embedding, dtype=np.int8)[None])[0])
    if len(spaces) > 1:
        raise ModelError(f"the descriptions were embedded in {len(spaces)} spaces, as the model was swapped: ask again")
    ends = np.cumsum([0, *(len(described) for described in labels.values())]).tolist()
    means = [np.mean(vectors[start:end], axis=0) for start, end in pairwise(ends)]
    return Directions(tuple(labels), _unit(np.array(means)), spaces.pop())


def by_embedding(
    answers: Sequence[Analysis | RowError], labels: Directions, temperature: float = TEMPERATURE
) -> list[Scores | RowError]:
    """Scores of each label from embeddings: the softmax of the cosines; errors stay as they are.

    Raises :class:`ModelError` for an embedding of another space than the labels'.
    """
    found: list[Scores | RowError] = [answer for answer in answers if isinstance(answer, RowError)]
    kept = [answer for answer in answers if isinstance(answer, Analysis)]
    for answer in kept:
        if answer.embedding is None or answer.embedding_space != labels.space:
            raise ModelError(
                f"a text's embedding is in the space {answer.embedding_space!r}, the labels are in {labels.space!r}: "
                "embed the labels again"
            )
    if not kept:
        return found
    width = labels.vectors.shape[1]
    vectors = np.frombuffer(b"".join(answer.embedding or b"" for answer in kept), dtype=np.int8).reshape(-1, width)
    scored = iter(named(labels.labels, softmax(_unit(vectors) @ labels.vectors.T, temperature)))
    return [answer if isinstance(answer, RowError) else next(scored) for answer in answers]


def by_entailment(
    ask: Ask,
    texts: Sequence[str],
    labels: Mapping[str, str],
    *,
    sentence: str = SENTENCE,
    several: bool = False,
) -> list[Scores | RowError]:
    """Scores of each label, which ``labels`` maps to a phrase, by whether a text entails its sentence.

    Of one label that is right, the odds of entailment compete; where ``several`` may be,
    each label has the probability of entailment against contradiction, and they need not
    sum to 1. A text of which a pair fails has that error. Raises :class:`ModelError` with
    no labels, or one where they compete.
    """
    if len(labels) < (1 if several else 2):
        raise ModelError("zero-shot needs two labels or more that compete, or one or more of which several may be")
    hypotheses = [sentence.format(phrase) for phrase in labels.values()]
    answers = ask([(text, hypothesis) for text in texts for hypothesis in hypotheses], (NLI,))
    rows = [answers[start : start + len(labels)] for start in range(0, len(answers), len(labels))]
    errors = [next((answer for answer in row if isinstance(answer, RowError)), None) for row in rows]
    judged = [
        [answer.scores[NLI].scores for answer in row if isinstance(answer, Analysis)]
        for row, error in zip(rows, errors, strict=True)
        if error is None
    ]
    entailed = np.array([[scores["entailment"] for scores in row] for row in judged]).reshape(-1, len(labels))
    if several:
        denied = np.array([[scores["contradiction"] for scores in row] for row in judged]).reshape(-1, len(labels))
        probabilities = (entailed + _LEAST) / (entailed + denied + 2 * _LEAST)
    else:
        probabilities = softmax(np.log(entailed + _LEAST) - np.log(1 - entailed + _LEAST)) if judged else entailed
    scored = iter(named(tuple(labels), probabilities))
    return [next(scored) if error is None else error for error in errors]


def _unit(vectors: NDArray[np.float64] | NDArray[np.int8]) -> NDArray[np.float64]:
    values = vectors.astype(np.float64)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), _LEAST))
