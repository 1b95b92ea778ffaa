"""A tiny BERT in a folder, as a base to train on, and a recipe for it."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import BertConfig, BertModel

from inference.manifest import Tokens
from model_export.recipe import Branch, DataUse, HeadDesign, Recipe, Training
from tests.inference.tiny_bert import tiny_tokenizer
from tests.model_export.labelled import nli_rows, sentiment_rows, write_lines

LAYERS = 3
WIDTH = 32


def tiny_base(folder: Path, seed: int = 1) -> Path:
    """Write a BERT of three layers at random, in safetensors, with its tokenizer."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def tiny_recipe(folder: Path, *, rows: int = 240, epochs: int = 8) -> Recipe:
    """Sentiment on a tuned branch beside the original one; its data and base are written below ``folder``."""
    write_lines(folder / "train.jsonl", sentiment_rows(rows, "a"))
    write_lines(folder / "validation.jsonl", sentiment_rows(60, "b"))
    return Recipe(
        name="tiny-encoder",
        description="A tiny encoder.",
        base=str(tiny_base(folder / "base")),
        licence="Apache-2.0",
        trunk=1,
        branches=(Branch(name="original", tuned=False), Branch(name="tuned")),
        tokens=Tokens(max_length=32, overlap=8, max_windows=2),
        heads=(
            HeadDesign(task="sentiment", branch="tuned", labels=("negative", "neutral", "positive")),
            HeadDesign(task="embedding", branch="original", kind="embedding"),
            HeadDesign(task="mood", branch="tuned", labels=("negative", "neutral", "positive"), auxiliary=True),
        ),
        data=(
            DataUse(task="sentiment", name="jsonl:train.jsonl"),
            DataUse(task="sentiment", name="jsonl:validation.jsonl", use="validation"),
            DataUse(task="mood", name="jsonl:train.jsonl"),
        ),
        training=Training(
            epochs=epochs, batch_rows=16, learning_rate=5e-3, head_learning_rate=1e-2, calibration=0.2, dropout=0.1
        ),
    )


def tiny_pairs(folder: Path) -> Recipe:
    """A cross-encoder; its data and base are written below ``folder``."""
    write_lines(folder / "pairs.jsonl", nli_rows(150))
    return Recipe(
        name="tiny-nli",
        description="A tiny cross-encoder.",
        base=str(tiny_base(folder / "base")),
        licence="Apache-2.0",
        tokens=Tokens(max_length=32, pairs=True),
        heads=(HeadDesign(task="nli", branch="tuned", labels=("contradiction", "entailment", "neutral")),),
        data=(DataUse(task="nli", name="jsonl:pairs.jsonl", hold_out=0.2),),
        training=Training(epochs=1, batch_rows=16, calibration=0.2),
    )
