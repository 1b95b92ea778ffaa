"""Importing a model from a Hugging Face folder on disk: it becomes a run that is exported already.

A sequence classifier gives one head with its own labels; an encoder gives the mean over
its tokens, of unit length. Nothing is fetched, no pickle is read and no code of the folder is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec
import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification
from transformers.utils import logging

from groundswell.errors import ModelError
from inference.atomic import replace_durably
from inference.manifest import CALIBRATION, LABELS, TOKENIZER, Calibration, Tokens
from inference.tokens import TYPE_IDS
from model_export.export import Exportable, Exported, embedding_space, write
from model_export.hugging_face import CONFIG, HuggingFaceFolder, look_through
from model_export.network import INPUTS, NETWORK, Design
from model_export.recipe import Branch, HeadDesign, is_task
from model_export.run_files import IMPORTED, RECIPE, Imported

#: Windows of a long text, and the share of one that it has in common with the one before.
_WINDOWS: Final = 8
_OVERLAP: Final = 4
#: Kinds that have a pooler, which no mean needs and many folders lack.
_POOLED: Final = ("bert", "roberta", "xlm-roberta")


def import_folder(
    folder: Path,
    run: Path,
    *,
    task: str,
    normaliser: Literal["none", "social"] = "none",
    max_length: int | None = None,
    pairs: bool = False,
) -> Imported:
    """Make the run ``run`` of a BERT, RoBERTa, DistilBERT or DeBERTa in ``folder``, its graph and parity with it.

    ``task`` is what it answers: ``embedding`` for an encoder, else a task with the labels
    that the folder names. ``max_length`` are the tokens of a window, special ones included
    (when None, what the folder was made for); a longer text is read through up to eight.
    ``pairs`` says that it reads a premise and a hypothesis.

    Raises :class:`ModelError`, which says what to do, for pickled weights, code of the
    folder's own, an architecture that is not known, a tokenizer without its fast form,
    labels without names, weights that are not all there, a length beyond the model's
    positions, and for a graph that does not answer as the network does.
    """
    if (run / RECIPE).exists():
        raise ModelError(f"{run} is a run that was trained here: import into another folder")
    if not is_task(task):
        raise ModelError(f"{task!r} can be no name of a task: letters, digits, '_' and '-' are")
    found = look_through(folder, task)
    length = found.made_for if max_length is None else max_length
    if length > found.positions:
        raise ModelError(f"{folder} has positions for {found.positions} tokens, not for {length}")
    tokens = (
        Tokens(max_length=length, pairs=True, normaliser=normaliser)
        if pairs
        else Tokens(max_length=length, overlap=length // _OVERLAP, max_windows=_WINDOWS, normaliser=normaliser)
    )
    tokenizer = (folder / TOKENIZER).read_bytes()
    _require_tokenizer(found, tokenizer)
    network = _Network(_load(found), found.kind)
    head = HeadDesign(task=task, branch="imported", labels=found.labels, kind=found.kind)
    exported = _export(run, found, network, head, tokens, tokenizer)
    imported = Imported(
        folder=folder.resolve().name,
        model_type=found.model_type,
        architecture=found.architecture,
        task=task,
        labels=found.labels,
        max_length=length,
        licence=found.licence,
        files=found.files,
        opset=exported.opset,
        parity=exported.parity,
        embedding_space=exported.embedding_space,
    )
    replace_durably(run / IMPORTED, _pretty(imported))
    return imported


class _Network(nn.Module):
    """The folder's model with the outputs that a graph here has."""

    def __init__(self, model: Any, kind: str) -> None:
        super().__init__()
        self.config = model.config
        self.model = model
        self._kind = kind

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        given = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        found = self.model(input_ids=input_ids, attention_mask=attention_mask, **given)[0]
        if self._kind == "classes":
            return (found,)
        weights = attention_mask[:, :, None].to(found.dtype)
        return (nn.functional.normalize((found * weights).sum(1) / weights.sum(1), dim=1),)


def _load(found: HuggingFaceFolder) -> Any:
    options: dict[str, Any] = {
        "local_files_only": True,
        "trust_remote_code": False,
    }
    before = logging.get_verbosity()
    # It warns of weights that are left over, such as a pooler's; those that are missing are looked for below.
    logging.set_verbosity_error()
    # What comes out of these for a folder that does not hold together are errors of many kinds.
    try:
        # Attention is fused in exported graphs only when it is written out.
        config = AutoConfig.from_pretrained(found.folder, attn_implementation="eager", **options)
        options |= {"config": config, "use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
        if found.kind == "classes":
            model, told = AutoModelForSequenceClassification.from_pretrained(found.folder, **options)
        else:
            pooled = {"add_pooling_layer": False} if found.model_type in _POOLED else {}
            model, told = AutoModel.from_pretrained(found.folder, **options, **pooled)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(f"{found.folder} cannot be loaded ({error}): bring the whole model") from error
    finally:
        logging.set_verbosity(before)
    missing = sorted(told["missing_keys"])
    if missing:
        few = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise ModelError(
            f"{found.folder} lacks {len(missing)} of its weights ({few}): they would be random; bring the whole model"
        )
    return model.eval()


def _export(
    run: Path, found: HuggingFaceFolder, network: _Network, head: HeadDesign, tokens: Tokens, tokenizer: bytes
) -> Exported:
    width = len(found.labels) or network.config.hidden_size
    inputs = tuple(tensor for tensor in INPUTS if found.token_types or tensor.name != TYPE_IDS)
    name = found.folder.resolve().name
    space = None
    if found.kind == "embedding":
        space = embedding_space(name, network.model.state_dict(), network.config, tokenizer, tokens)
    exportable = Exportable(
        module=network,
        inputs=inputs,
        kinds={head.task: head.kind},
        widths={head.task: width},
        tokens=tokens,
        tokenizer=tokenizer,
        weights=None,
        space=space,
    )
    exported = write(run, exportable)
    design = Design(trunk=0, branches=(Branch(name=head.branch),), heads=(head,), tokens=tokens, base=name)
    labels = {head.task: list(found.labels)} if found.labels else {}
    # Nobody calibrated it: its probabilities stay as they are.
    calibration = {task: Calibration(temperature=1.0) for task in labels}
    try:
        replace_durably(run / TOKENIZER, tokenizer)
        replace_durably(run / CONFIG, (found.folder / CONFIG).read_bytes())
        for file, content in ((NETWORK, design), (LABELS, labels), (CALIBRATION, calibration)):
            replace_durably(run / file, _pretty(content))
    except OSError as error:
        raise ModelError(f"{run} cannot be written: {error}") from error
    return exported


def _require_tokenizer(found: HuggingFaceFolder, content: bytes) -> None:
    """Refuse a tokenizer that makes tokens, or fills rows with one, that the network does not know as such."""
    # The library raises bare exceptions; at this boundary each means that the file cannot be used.
    try:
        tokenizer: Any = Tokenizer.from_buffer(content)
    except Exception as error:
        raise ModelError(f"{found.folder / TOKENIZER} cannot be used ({error}): save it again") from error
    largest = max(cast(dict[str, int], tokenizer.get_vocab(with_added_tokens=True)).values(), default=0)
    if largest >= found.words:
        raise ModelError(
            f"{found.folder} has a tokenizer that numbers tokens up to {largest}, and its network knows "
            f"{found.words}: they do not belong together"
        )
    if found.padding is not None:
        known = tokenizer.padding["pad_id"] if tokenizer.padding else tokenizer.token_to_id("<pad>")
        if known != found.padding:
            raise ModelError(
                f"{found.folder} fills rows with token {known}, and its positions are counted by {found.padding}: "
                "set pad_token_id to the tokenizer's"
            )


def _pretty(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
