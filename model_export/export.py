"""Exporting a run: its network as an unfused fp32 graph, kept only where it answers as the network does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from onnx.defs import onnx_opset_version
from torch import Tensor as TorchTensor
from torch import nn

from groundswell.errors import ModelError
from inference.atomic import replace_durably
from inference.manifest import MODEL, Tensor, Tokens
from inference.manifest import Tensor as TensorSpec
from inference.rows import Text
from inference.session import Session
from inference.tokens import TokenEncoder
from inference.version import sha256
from model_export import parity
from model_export.export_record import EXPORT, PARITY, RECORD, ExportRecord
from model_export.graph_export import tools, write_graph
from model_export.network import INPUTS, WEIGHTS, Network, tokenizer_of
from model_export.parity import Kind
from model_export.run_files import TRAINING, Trained, plain_name, told
from model_export.spaces import space_id

#: The opset unless told otherwise, and the least: quantising needs reductions whose axes are an input.
OPSET: Final = 18

_LAYER: Final = re.compile(r"(?:encoder|transformer)\.layer\.(\d+)\.")
#: What of a configuration an embedding depends on, beside its weights.
_OF_EMBEDDINGS: Final = (
    "model_type",
    "hidden_act",
    "activation",
    "num_attention_heads",
    "n_heads",
    "layer_norm_eps",
    "position_embedding_type",
    "pos_att_type",
    "position_buckets",
    "max_relative_positions",
)


class Exported(msgspec.Struct, frozen=True):
    """The graph, its opset, its largest distances from the network, the tools, and the space of its embeddings."""

    path: str
    opset: int
    parity: dict[str, float]
    tools: dict[str, str]
    embedding_space: str | None = None


class Exportable(NamedTuple):
    """A network with all that its graph needs: ``kinds`` and ``widths`` by output, in order."""

    module: nn.Module
    inputs: tuple[Tensor, ...]
    kinds: dict[str, Kind]
    widths: dict[str, int]
    tokens: Tokens
    tokenizer: bytes
    weights: str | None
    space: str | None


def export(run: Path, *, samples: Sequence[Text] | None = None, opset: int = OPSET) -> Exported:
    """Write ``export/model.onnx``, ``parity.json`` and ``export.json`` of a trained run.

    ``samples`` are compared beside the golden inputs. Raises :class:`ModelError` for a run
    that holds no network or was not trained to its end, an opset that cannot be, or a graph that is too far from its
    network (see :mod:`model_export.parity`); what was exported before then stays.
    """
    network = Network.load(run)
    # The weights of the best epoch so far are there long before the last one is through.
    if told(run / TRAINING, Trained) is None:
        raise ModelError(f"{run} was not trained to its end: train it on, with the same command")
    design = network.design
    kinds: dict[str, Kind] = {head.task: head.kind for head in network.served}
    widths = {head.task: len(head.labels) or network.config.hidden_size for head in network.served}
    tokenizer = tokenizer_of(run)
    space = None
    for head in network.served:
        if head.kind == "embedding":
            weights = way_of_embedding(network.state_dict(), head.branch, design.trunk)
            space = embedding_space(Path(design.base).name, weights, network.config, tokenizer, design.tokens)
    found = Exportable(network, INPUTS, kinds, widths, design.tokens, tokenizer, sha256(run / WEIGHTS), space)
    return write(run, found, samples=samples or (), opset=opset)


def write(run: Path, found: Exportable, *, samples: Sequence[Text] = (), opset: int = OPSET) -> Exported:
    """Write the graph of ``found`` below ``run``, once it answers as ``found`` does; raises as :func:`export`."""
    if opset < OPSET:
        raise ModelError(f"opset {opset}: at least {OPSET} is needed, or the graph can be neither fused nor quantised")
    if opset > onnx_opset_version():
        raise ModelError(f"opset {opset}: the newest that is known here is {onnx_opset_version()}")
    folder = run / EXPORT
    staged = folder / f".{MODEL}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = write_graph(found.module, found.inputs, found.widths, staged, opset)
        encoder = TokenEncoder(found.tokenizer, found.tokens, found.inputs)
        outputs = tuple(
            TensorSpec(name=name, dtype="float32", shape=(found.inputs[0].shape[0], width))
            for name, width in found.widths.items()
        )
        session = Session(staged.read_bytes(), found.inputs, outputs, threads=1)
        distances = parity.distances(
            _answers(found.module, tuple(found.widths)),
            session.run,
            encoder,
            parity.texts(pairs=found.tokens.pairs, samples=samples),
            tuple(found.widths),
        )
        parity.require(distances, found.kinds)
        record = ExportRecord(
            opset=written,
            graph=sha256(staged),
            tools=tools(),
            weights=found.weights,
            embedding_space=found.space,
        )
        # The record goes first and comes last: what it tells of is never another graph than the one that is there.
        (folder / RECORD).unlink(missing_ok=True)
        staged.replace(folder / MODEL)
        replace_durably(folder / PARITY, _pretty(distances))
        replace_durably(folder / RECORD, _pretty(record))
    except OSError as error:
        raise ModelError(f"{folder} cannot be written: {error}") from error
    finally:
        staged.unlink(missing_ok=True)
    return Exported(str(folder / MODEL), written, distances, record.tools, found.space)


def way_of_embedding(weights: Mapping[str, TorchTensor], branch: str, trunk: int) -> dict[str, TorchTensor]:
    """The weights that a branch's mean depends on, layers counted from the bottom, wherever the trunk ends.

    >>> sorted(way_of_embedding({"trunk.0.w": 1, "branches.a.0.w": 2, "branches.b.0.w": 3, "heads.x.w": 4}, "a", 1))
    ['layer.0.w', 'layer.1.w']
    """
    found = {}
    above = f"branches.{branch}."
    for name, value in weights.items():
        if name.startswith("embeddings."):
            found[name] = value
        elif name.startswith("trunk."):
            found[f"layer.{name.removeprefix('trunk.')}"] = value
        elif name.startswith(above):
            number, _, rest = name.removeprefix(above).partition(".")
            found[f"layer.{trunk + int(number)}.{rest}"] = value
    return found


def embedding_space(
    name: str, weights: Mapping[str, TorchTensor], config: Any, tokenizer: bytes, tokens: Tokens
) -> str:
    """The id of the space of a mean over tokens; layers go by number, whatever the architecture calls their list."""
    parts = {
        "weights " + _LAYER.sub(r"layer.\1.", key): value.detach().to(torch.float32).contiguous().numpy().tobytes()
        for key, value in weights.items()
    }
    settings = {key: getattr(config, key) for key in _OF_EMBEDDINGS if hasattr(config, key)}
    parts["settings"] = msgspec.json.encode(settings, order="deterministic")
    parts["tokenizer"] = tokenizer
    parts["tokens"] = msgspec.json.encode(tokens, order="deterministic")
    return space_id(plain_name(name), parts)


def _answers(module: nn.Module, outputs: Sequence[str]) -> parity.Answers:
    def answer(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            found = module(**{name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in inputs.items()})
        return {name: cast(NDArray[Any], value.numpy()) for name, value in zip(outputs, found, strict=True)}

    return answer


def _pretty(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
