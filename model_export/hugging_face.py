"""A Hugging Face folder on disk, looked through before anything of it is loaded.

Only JSON, text and the names of files are read here. What would run code, or would give
a model that answers wrongly in silence, is refused with what to do about it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from groundswell.errors import ModelError
from inference.manifest import TOKENIZER
from inference.names import is_plain
from inference.tasks import EMBEDDING
from inference.tasks import LABELS as STRICT
from inference.version import CARD, sha256

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"

_INDEX: Final = "model.safetensors.index.json"
_TOKENIZER_CONFIG: Final = "tokenizer_config.json"
#: Kinds whose positions begin behind the number of the token that fills rows.
_COUNTED_FROM_PADDING: Final = frozenset({"roberta", "xlm-roberta"})
#: The architectures that are known, by ``model_type``.
KNOWN: Final = ("bert", "roberta", "xlm-roberta", "distilbert", "deberta", "deberta-v2")
#: Kinds that know only one kind of token, or have no such input.
_NO_TOKEN_TYPES: Final = frozenset({"roberta", "xlm-roberta", "distilbert"})

_CLASSIFIER: Final = "ForSequenceClassification"
_ENCODERS: Final = ("Model", "ForMaskedLM")
_PICKLED: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
_UNNAMED: Final = re.compile(r"LABEL_\d+", re.IGNORECASE)
_LICENCE: Final = re.compile(r"^license:[ \t]*[\"']?([A-Za-z0-9][\w.+ -]*?)[\"']?[ \t]*$", re.MULTILINE)
_FRONT_MATTER: Final = re.compile(r"\A---\r?\n(.*?)\r?\n---", re.DOTALL)
#: What a folder says of its longest text when nobody knows it is a number without sense.
_SENSIBLE_LENGTH: Final = 100_000

Json = Mapping[str, Any]


class HuggingFaceFolder(NamedTuple):
    """What a folder holds, as far as it tells without its weights.

    ``labels`` are in the order of the columns; an encoder has none. ``positions`` is the
    longest row that the network can read, ``made_for`` the one that it was made for.
    ``padding`` is the token that positions are counted by, where there is one.
    ``files`` maps what is read to its sha256, ``licence`` is what the folder states.
    """

    folder: Path
    model_type: str
    architecture: str
    kind: Literal["classes", "embedding"]
    labels: tuple[str, ...]
    positions: int
    made_for: int
    token_types: bool
    padding: int | None
    words: int
    files: dict[str, str]
    licence: str | None


def look_through(folder: Path, task: str) -> HuggingFaceFolder:
    """What is in ``folder``, which is to answer ``task``; raises :class:`ModelError` for what cannot be taken in."""
    config = _json(folder / CONFIG, "give the folder of a model that was saved by transformers")
    tokenizer_config = _json(folder / _TOKENIZER_CONFIG) if (folder / _TOKENIZER_CONFIG).is_file() else {}
    _refuse_code(folder, config, tokenizer_config)
    model_type = config.get("model_type")
    if model_type not in KNOWN:
        raise ModelError(f"{folder} is of the kind {model_type!r}, which is not known here: {', '.join(KNOWN)} are")
    if "quantization_config" in config:
        raise ModelError(f"{folder} is quantised already: import the model that it was made of")
    architecture, kind = _architecture(folder, config)
    if (task == EMBEDDING) != (kind == "embedding"):
        wanted = f"an encoder answers {EMBEDDING!r}" if kind == "embedding" else f"{EMBEDDING!r} needs an encoder"
        raise ModelError(f"{folder} is a {architecture}, and the task is {task!r}: {wanted}")
    weights = _weights(folder)
    if not (folder / TOKENIZER).is_file():
        raise ModelError(
            f"{folder} has no {TOKENIZER}, the tokenizer in its fast form: load it with transformers' "
            "AutoTokenizer (use_fast=True) and save it into the folder with save_pretrained"
        )
    if kind == "embedding":
        _require_mean(folder)
    padding = _padding(folder, config) if model_type in _COUNTED_FROM_PADDING else None
    positions = _number(folder, config, "max_position_embeddings", 512) - (0 if padding is None else padding + 1)
    made_for = [positions, *_lengths(folder, tokenizer_config)]
    kinds_of_token = _number(folder, config, "type_vocab_size", 2 if model_type == "bert" else 0)
    return HuggingFaceFolder(
        folder=folder,
        model_type=str(model_type),
        architecture=architecture,
        kind=kind,
        labels=_labels(folder, config, task) if kind == "classes" else (),
        positions=positions,
        made_for=min(made_for),
        token_types=model_type not in _NO_TOKEN_TYPES and kinds_of_token > 1,
        padding=padding,
        words=_number(folder, config, "vocab_size", 0),
        files={name: sha256(folder / name) for name in (CONFIG, TOKENIZER, *weights)},
        licence=_licence(folder),
    )


def _json(path: Path, remedy: str = "mend or replace it") -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no JSON ({error}): {remedy}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no JSON object: {remedy}")
    return found


def _refuse_code(folder: Path, *configs: Json) -> None:
    for config in configs:
        if "auto_map" in config or "trust_remote_code" in config:
            raise ModelError(
                f"{folder} asks to run code of its own (auto_map), which is never done here: "
                f"import a model of a kind that transformers itself has ({', '.join(KNOWN)})"
            )


def _architecture(folder: Path, config: Json) -> tuple[str, Literal["classes", "embedding"]]:
    named = config.get("architectures")
    if not (isinstance(named, list) and len(named) == 1 and isinstance(named[0], str)):
        raise ModelError(f"{folder / CONFIG} names {named!r} for its architectures: it must name exactly one")
    (architecture,) = named
    if architecture.endswith(_CLASSIFIER):
        return architecture, "classes"
    if architecture.endswith(_ENCODERS):
        return architecture, "embedding"
    raise ModelError(f"{folder} is a {architecture}: only sequence classifiers and encoders can be imported")


def _weights(folder: Path) -> list[str]:
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    if (folder / _INDEX).is_file():
        parts = _json(folder / _INDEX).get("weight_map")
        names = sorted(set(parts.values())) if isinstance(parts, dict) else []
        bad = [name for name in names if not (isinstance(name, str) and is_plain(name) and (folder / name).is_file())]
        if bad or not all(name.endswith(".safetensors") for name in names) or not names:
            raise ModelError(f"{folder / _INDEX} names weights that are not beside it ({bad}): bring all its parts")
        return [_INDEX, *names]
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLED)
    if pickled:
        raise ModelError(
            f"{folder} has its weights in {', '.join(pickled)} and not in safetensors: reading a pickle runs what is "
            "in it, so it is never done here; bring the model's safetensors, or convert it where you trust it"
        )
    raise ModelError(f"{folder} has no {WEIGHTS}: bring the weights in safetensors")


def _labels(folder: Path, config: Json, task: str) -> tuple[str, ...]:
    if config.get("problem_type") in ("regression", "multi_label_classification"):
        raise ModelError(
            f"{folder} is for {config['problem_type']}: only models whose labels exclude each other can be imported"
        )
    named = config.get("id2label")
    remedy = f'write them into {CONFIG} as "id2label", in the order of the columns'
    if not isinstance(named, dict) or not named:
        raise ModelError(f"{folder} does not name its labels: {remedy}")
    try:
        by_number = {int(number): str(name).strip() for number, name in named.items()}
    except ValueError as error:
        raise ModelError(f"{folder / CONFIG} numbers its labels wrongly ({error}): {remedy}") from error
    labels = [by_number.get(number, "") for number in range(len(named))]
    if not all(labels) or len(set(labels)) != len(labels) or len(labels) < 2:
        raise ModelError(f"{folder} has the labels {named}, not two or more that differ, from 0 on: {remedy}")
    if any(_UNNAMED.fullmatch(label) for label in labels):
        raise ModelError(f"{folder} has numbers in place of labels ({', '.join(labels)}): {remedy}")
    numbers = config.get("label2id")
    if isinstance(numbers, dict) and {str(name).strip(): number for name, number in numbers.items()} != {
        label: number for number, label in enumerate(labels)
    }:
        raise ModelError(f"{folder / CONFIG} contradicts itself: id2label is {named}, label2id {numbers}: mend it")
    strict = STRICT.get(task)
    if strict is None:
        return tuple(labels)
    lowered = tuple(label.casefold() for label in labels)
    if set(lowered) != strict or len(lowered) != len(strict):
        raise ModelError(
            f"{folder} has the labels {', '.join(labels)}, and {task} needs {', '.join(sorted(strict))}: "
            "choose another model, or another name for the task"
        )
    return lowered


def _padding(folder: Path, config: Json) -> int:
    return _number(folder, config, "pad_token_id", 1)


def _number(folder: Path, config: Json, name: str, default: int) -> int:
    found = config.get(name, default)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise ModelError(f"{folder / CONFIG} has {found!r} for {name}: it must be a whole number")
    return found


def _lengths(folder: Path, tokenizer_config: Json) -> list[int]:
    """What the folder says of the longest text that it was made for, special tokens included."""
    said = [tokenizer_config.get("model_max_length")]
    sentence = folder / "sentence_bert_config.json"
    if sentence.is_file():
        said.append(_json(sentence).get("max_seq_length"))
    return [int(length) for length in said if isinstance(length, int | float) and 0 < length < _SENSIBLE_LENGTH]


def _require_mean(folder: Path) -> None:
    """Refuse a sentence encoder that does anything but average its tokens and bring that to unit length."""
    modules = folder / "modules.json"
    if not modules.is_file():
        return
    try:
        steps = json.loads(modules.read_bytes())
        kinds = [(str(step["type"]).rpartition(".")[2], str(step["path"])) for step in steps]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{modules} cannot be used ({error}): mend it") from error
    for kind, path in kinds:
        if kind == "Pooling":
            pooling = _json(folder / path / CONFIG) if is_plain(path) else {}
            modes = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on is True]
            if modes != ["pooling_mode_mean_tokens"]:
                raise ModelError(
                    f"{folder} pools its tokens by {', '.join(modes) or 'nothing known'}: only the mean can be imported"
                )
        elif kind not in ("Transformer", "Normalize"):
            raise ModelError(f"{folder} has a step {kind} behind its encoder, which cannot be imported")


def _licence(folder: Path) -> str | None:
    """The licence that the head of the folder's card states."""
    card = folder / CARD
    if not card.is_file():
        return None
    head = _FRONT_MATTER.match(card.read_text(encoding="utf-8", errors="replace"))
    found = _LICENCE.search(head[1]) if head else None
    return found[1].strip() if found else None
