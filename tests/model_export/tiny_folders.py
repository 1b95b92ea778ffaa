"""Tiny models at random in folders as transformers saves them, of each kind that can be imported."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    DebertaConfig,
    DebertaV2Config,
    DistilBertConfig,
    PretrainedConfig,
    RobertaConfig,
    XLMRobertaConfig,
)
from transformers.models.auto import AutoModel, AutoModelForSequenceClassification

from inference.tasks import LABELS
from tests.inference.tiny_bert import tiny_tokenizer

WIDTH: Final = 32
#: Positions of every kind but those that count them from the padding, which have as many more as that takes.
POSITIONS: Final = 64
_SHAPE: Final[Mapping[str, Any]] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
_SPECIAL: Final = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def roberta_tokenizer() -> Tokenizer:
    """Words in pieces of a character, with RoBERTa's special tokens: it fills rows with number 1."""
    characters = [each for each in string.printable if not each.isspace() and not each.isupper()]
    pieces = [*_SPECIAL, *characters, *(f"##{each}" for each in characters), "good", "bad", "day", "the"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(name, vocabulary[name]) for name in ("<s>", "</s>")],
    )
    tokenizer.add_special_tokens(list(_SPECIAL))
    return tokenizer


def config_of(kind: str, words: int) -> PretrainedConfig:
    """A tiny configuration of a kind."""
    match kind:
        case "bert":
            return BertConfig(vocab_size=words, max_position_embeddings=POSITIONS, **_SHAPE)
        case "roberta":
            return RobertaConfig(
                vocab_size=words, max_position_embeddings=POSITIONS + 2, type_vocab_size=1, pad_token_id=1, **_SHAPE
            )
        case "xlm-roberta":
            return XLMRobertaConfig(
                vocab_size=words, max_position_embeddings=POSITIONS + 2, type_vocab_size=1, pad_token_id=1, **_SHAPE
            )
        case "distilbert":
            return DistilBertConfig(
                vocab_size=words, max_position_embeddings=POSITIONS, dim=WIDTH, n_layers=2, n_heads=4, hidden_dim=48
            )
        case "deberta":
            return DebertaConfig(
                vocab_size=words,
                max_position_embeddings=POSITIONS,
                relative_attention=True,
                pos_att_type=["c2p", "p2c"],
                position_biased_input=False,
                **_SHAPE,
            )
        case _:
            return DebertaV2Config(
                vocab_size=words,
                max_position_embeddings=POSITIONS,
                relative_attention=True,
                pos_att_type=["c2p", "p2c"],
                position_buckets=16,
                norm_rel_ebd="layer_norm",
                share_att_key=True,
                position_biased_input=False,
                **_SHAPE,
            )


def tokenizer_for(kind: str) -> Tokenizer:
    """A tokenizer with the special tokens of a kind."""
    return roberta_tokenizer() if "roberta" in kind else tiny_tokenizer()


def hugging_face(
    folder: Path, kind: str = "bert", *, labels: Sequence[str] | None = None, seed: int = 1, **changes: Any
) -> Path:
    """Save a tiny model of ``kind`` into ``folder``: a classifier of ``labels``, or an encoder where they are empty.

    ``changes`` replace or, as None, remove what ``config.json`` says.
    """
    torch.manual_seed(seed)
    tokenizer = tokenizer_for(kind)
    config = config_of(kind, tokenizer.get_vocab_size())
    names = sorted(LABELS["sentiment"]) if labels is None else list(labels)
    if names:
        config.id2label = dict(enumerate(names))
        config.label2id = {name: number for number, name in enumerate(names)}
        model: Any = AutoModelForSequenceClassification.from_config(config)
    else:
        model = AutoModel.from_config(config)
    with torch.no_grad():
        # At random as they come, the weights are so small that all texts look alike.
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    edit(folder, **changes)
    return folder


def edit(folder: Path, file: str = "config.json", **changes: Any) -> None:
    """Change what a JSON file of ``folder`` says; None removes."""
    path = folder / file
    content = json.loads(path.read_text()) if path.exists() else {}
    content = {name: value for name, value in (content | changes).items() if value is not None}
    path.write_text(json.dumps(content))
