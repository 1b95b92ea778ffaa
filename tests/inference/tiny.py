"""A tiny real model: six words, three labels, a real ONNX graph, and two words that break it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from inference.manifest import (
    CALIBRATION,
    LABELS,
    MANIFEST,
    MODEL,
    NGRAMS,
    VOCABULARY,
    Calibration,
    Golden,
    Head,
    Source,
)
from inference.ngrams import Vocabulary
from model_export.graph import INPUT, bag_graph, output
from model_export.publish import Draft, publish

SENTIMENT = ["negative", "neutral", "positive"]
NAME = "tiny"
#: Its id lies beyond the table: the look-up itself fails on the device.
POISON = "poison"
#: Its row of the table is not a number.
NOTHING = "nothing"

_WEIGHTS = {"good": (-2, 0, 2), "bad": (2, 0, -2), "the": (0, 1, 0), "not": (1, 0, -1), "day": (0, 1, 0)}


def tiny_draft(temperature: float = 1.0, bias: tuple[float, ...] = (0, 0.5, 0), **changes: Any) -> Draft:
    """A draft that proves itself; ``changes`` replace fields of it."""
    rows = [(0.0, 0.0, 0.0, 0.0), *((*weights, 1.0) for weights in _WEIGHTS.values()), (np.nan, 0, 0, 1)]
    vocabulary = Vocabulary(words=[*_WEIGHTS, NOTHING, POISON], pairs=[], grams=[], shortest=2, longest=1)
    fields: dict[str, Any] = {
        "name": NAME,
        "files": {
            MODEL: bag_graph("sentiment", np.array(rows, dtype=np.float32), np.array(bias, dtype=np.float32)),
            VOCABULARY: msgspec.json.encode(vocabulary),
            LABELS: msgspec.json.encode({"sentiment": SENTIMENT}),
            CALIBRATION: msgspec.json.encode({"sentiment": Calibration(temperature=temperature)}),
        },
        "encoder": NGRAMS,
        "inputs": (INPUT,),
        "outputs": (output("sentiment", 3),),
        "heads": (Head(task="sentiment", output="sentiment"),),
        "tools": {},
        "metrics": {},
        "data": (Source(path="none", sha256="0" * 64, rows=0, use="training"),),
        "golden": tuple(
            Golden(text=text, expected={"sentiment": tiny_scores(text, temperature, bias)})
            for text in ("good day", "not bad", "")
        ),
        "tolerance": 1e-4,
        "licence": "Apache-2.0",
    }
    return Draft(**{**fields, **changes})


def tiny_scores(text: str, temperature: float = 1.0, bias: tuple[float, ...] = (0, 0.5, 0)) -> dict[str, float]:
    """What the tiny model must say of a text, worked out apart from it."""
    known = [_WEIGHTS[word] for word in dict.fromkeys(text.split()) if word in _WEIGHTS]
    logits = np.array(known).reshape(-1, 3).sum(axis=0) / np.sqrt(max(1, len(known))) + np.array(bias)
    powers = np.exp(logits / temperature)
    return dict(zip(SENTIMENT, (powers / powers.sum()).tolist(), strict=True))


def published(root: Path, *, alias: str = "champion", **changes: Any) -> Path:
    """Publish the tiny model below ``root`` under an alias; the folder of its version."""
    ref = publish(root, tiny_draft(**changes), alias)
    return root / ref.name / ref.version


def rewrite(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file of a version and make the manifest agree: what hashes alone cannot find."""
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes())
    manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))


def remanifest(folder: Path, **fields: Any) -> None:
    """Replace fields of a version's manifest."""
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_bytes(msgspec.json.encode({**manifest, **fields}))
