"""The folder of a run whose graph is a tiny BERT, made without torch."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np

from inference.manifest import Calibration, Tokens
from inference.rows import Text
from inference.tokens import TokenEncoder
from tests.inference.tiny_bert import HEADS, HIDDEN, NLI_HEADS, TinyBert, tiny_tokenizer

#: Texts of many lengths, all of words that the tiny tokenizer knows.
TEXTS = tuple(
    " ".join(np.random.default_rng(number).choice("good bad the city rain very love hate day not".split(), 1 + number))
    for number in range(40)
)
SINGLES = Tokens(max_length=24, overlap=4, max_windows=3, normaliser="social")
PAIRS = Tokens(max_length=24, pairs=True)


def tiny_run(folder: Path, seed: int = 0, *, pairs: bool = False) -> TinyBert:
    """Write the files of a run into ``folder``: exported, and neither trained nor optimised."""
    bert = TinyBert(seed, heads=NLI_HEADS if pairs else HEADS, embedding=0 if pairs else HIDDEN)
    heads = [{"task": task, "branch": "tuned", "labels": labels} for task, labels in bert.heads.items()]
    if not pairs:
        heads.append({"task": "embedding", "branch": "tuned", "kind": "embedding"})
    tokens = PAIRS if pairs else SINGLES
    export = folder / "export"
    export.mkdir(parents=True)
    (export / "model.onnx").write_bytes(bert.graph())
    files = {
        "network.json": {"tokens": msgspec.to_builtins(tokens), "heads": heads, "trunk": 0},
        "labels.json": bert.heads,
        "calibration.json": {task: msgspec.to_builtins(Calibration(temperature=2.0)) for task in bert.heads},
        "config.json": {"model_type": "bert", "hidden_size": HIDDEN},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "tokenizer.json").write_text(tiny_tokenizer().to_str())
    return bert


def tiny_encoder(bert: TinyBert, tokens: Tokens = SINGLES) -> TokenEncoder:
    """What makes texts into the tiny model's rows."""
    return TokenEncoder(tiny_tokenizer().to_str().encode(), tokens, bert.inputs)


def labelled(bert: TinyBert, texts: tuple[Text, ...] = TEXTS) -> list[dict[str, str]]:
    """Rows for a file of labelled texts, with labels in turn."""
    labels = next(iter(bert.heads.values()))
    rows = []
    for number, text in enumerate(texts):
        said = {"text": text} if isinstance(text, str) else dict(zip(("premise", "hypothesis"), text, strict=True))
        rows.append(said | {"label": labels[number % len(labels)]})
    return rows
