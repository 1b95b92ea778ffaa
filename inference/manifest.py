"""What a model version says of itself: ``MANIFEST.json``."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec

#: The layout of a version folder that this code reads and writes.
FORMAT = 1

MANIFEST = "MANIFEST.json"
MODEL = "model.onnx"
LABELS = "labels.json"
CALIBRATION = "calibration.json"
VOCABULARY = "vocabulary.json"
TOKENIZER = "tokenizer.json"
WORD_MODEL = "words.json.zst"
EVIDENCE_MODEL = "evidence.json"

#: The value of ``encoder`` for a bag of n-grams.
NGRAMS = "ngrams"
#: The value of ``encoder`` for a model of words, which has no graph.
WORDS = "words"
#: The value of ``encoder`` for an evidence model, which has no graph either.
EVIDENCE = "evidence"

#: Encoders of versions without a graph, labels and calibration, and the file that such a version has instead.
WITHOUT_GRAPH: Final = {WORDS: WORD_MODEL, EVIDENCE: EVIDENCE_MODEL}

Precision = Literal["fp32", "fp16", "int8"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A part of the manifest."""


class Tensor(_Part, frozen=True):
    """An input or output of the graph: element type as numpy names it, and shape, free axes by name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Head(_Part, frozen=True):
    """A task that the graph answers, and the output that it reads.

    ``classes`` are logits ``[rows, labels]``; an ``embedding`` is a unit vector ``[rows, dimensions]``.
    """

    task: str
    output: str
    kind: Literal["classes", "embedding"] = "classes"


class Tokens(_Part, frozen=True):
    """How a text becomes rows of tokens.

    A text longer than ``max_length`` tokens, special ones included, is read through up to
    ``max_windows`` windows that share ``overlap`` tokens with the one before; what is
    beyond the last is not read. A window's outputs weigh by the tokens that it alone adds:
    logits are averaged, embeddings are averaged and brought back to unit length. ``pairs``
    says that the model reads a premise and a hypothesis; then the premise is cut to fit
    and there is one window. ``normaliser`` names what happens to the text before.
    """

    #: Tokens of a window, special ones included; at most the positions of the base.
    max_length: int
    #: Tokens that a window shares with the one before.
    overlap: int = 0
    #: The most windows of a text.
    max_windows: int = 1
    #: It reads a premise and a hypothesis.
    pairs: bool = False
    #: What happens to a text before it is read; ``social``: addresses become ``http``, mentions ``@user``.
    normaliser: Literal["none", "social"] = "none"


class Reference(_Part, frozen=True):
    """What a head said of its validation data, to tell drift by.

    ``classes`` are the shares of the best labels; ``confidence`` the shares of the best
    label's probability in ten bins of equal width from 0 to 1.
    """

    classes: dict[str, float]
    confidence: tuple[float, ...]


class Source(_Part, frozen=True):
    """A data file that the model was made or judged with."""

    path: str
    sha256: str
    rows: int
    use: str


class Golden(_Part, frozen=True):
    """An input and what must come of it: calibrated probabilities by task and label, and the embedding.

    ``second`` is the hypothesis where the model reads pairs; ``embedding`` is hexadecimal,
    one signed byte a dimension. The answers hold for the shipped precision. A model that
    reads ``features`` by their names has the form of its evidence for a text.
    """

    text: str
    expected: dict[str, dict[str, float]]
    second: str | None = None
    embedding: str | None = None
    features: dict[str, float] = {}


class Manifest(_Part, frozen=True):
    """All of ``MANIFEST.json``.

    ``files`` maps every other file of the version to its sha256; ``graphs`` names the file
    of each precision (a shipped version may have ``int8`` alone). ``encoder`` names how a
    text becomes the graph's inputs, and ``tokens`` how it is cut. ``embedding_space`` is
    the identity of what the embeddings mean: two versions share it only where their
    embeddings may be compared. ``metrics`` are figures by data set, ``parity`` the largest
    distances between forms of the model. Over the ``golden`` inputs, a head's answers may
    lie ``tolerance`` from the expected ones on average (the largest difference of a
    probability; of an embedding, what its cosine misses to 1), and ten times as far on any
    one of them.
    ``forced`` is why the version became champion without beating the one before.
    """

    format: int
    name: str
    version: str
    created_at: datetime
    files: dict[str, str]
    encoder: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    heads: tuple[Head, ...]
    tools: dict[str, str]
    metrics: dict[str, dict[str, float]]
    data: tuple[Source, ...]
    golden: tuple[Golden, ...]
    tolerance: float
    licence: str
    parent: str | None = None
    graphs: dict[Precision, str] = msgspec.field(default_factory=lambda: {"fp32": MODEL})
    tokens: Tokens | None = None
    embedding_space: str | None = None
    parity: dict[str, float] = {}
    reference: dict[str, Reference] = {}
    forced: str | None = None


class Isotonic(_Part, frozen=True):
    """A rising step-free curve through ``(x, y)``: a label's probability before and after calibration."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Calibration(_Part, frozen=True):
    """How a head's logits become probabilities.

    ``softmax(logits / temperature)``; where ``isotonic`` has a curve for each label, each
    probability is then read off its curve and the row brought back to a sum of 1.
    """

    temperature: float
    isotonic: dict[str, Isotonic] | None = None
