"""Training: a recipe and public data become a run's folder, with the network of the best epoch, calibrated.

A run can be killed at any moment and goes on from its last checkpoint to the very same
result: batches are drawn from the seed and the epoch, what drops out from the seed and the step.
"""

from __future__ import annotations

import hashlib
import platform
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from groundswell.errors import ModelError
from inference.atomic import replace_durably
from inference.manifest import CALIBRATION, TOKENIZER
from inference.processors import granted_processors
from inference.rows import Row
from inference.tokens import TokenEncoder
from model_export import checkpoint
from model_export.checkpoint import State
from model_export.corpus import Corpus, Labelled, gather
from model_export.datasets import DataError
from model_export.network import INPUTS, Design, Network, base_folder, tokenizer_of
from model_export.network_judge import NetworkJudge, first_row, inputs_of
from model_export.recipe import HeadDesign, Recipe, Training
from model_export.run_files import RECIPE, TRAINING, Epoch, Trained, written_into

#: Batches between two checkpoints, and rows that are sorted by length together.
CHECKPOINT_STEPS: Final = 500
HORIZON: Final = 50

#: Called after a batch: steps done, of how many, mean loss of late, rows a second.
Progress = Callable[[int, int, float, float], None]


class _Item(NamedTuple):
    row: Row
    task: str
    label: int


@contextmanager
def _without_denormals() -> Iterator[None]:
    """Count the smallest numbers as 0: they cost a processor a hundred times the time and change nothing."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@_without_denormals()
def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    rows: int = 0,
    resume: bool = True,
    threads: int = 0,
    progress: Progress = lambda *_: None,
) -> Trained:
    """Train ``recipe`` on the data below ``data`` into the folder ``out``; ``rows`` as :func:`gather` has it.

    With ``resume`` a run that was stopped goes on, and one that is finished is left as it is.
    Raises :class:`DataError` for data that is absent or does not fit, :class:`ModelError` for
    a base or a checkpoint that does not, and for a folder that cannot be written.
    """
    torch.set_num_threads(threads or granted_processors())
    torch.manual_seed(recipe.seed)
    began = time.monotonic()
    corpus = gather(recipe, data, rows=rows)
    fingerprint = fingerprint_of(recipe, corpus)
    if resume and (done := finished(out)) and done.fingerprint == fingerprint:
        _write_recipe(out, recipe)  # its words may be others now
        return done
    base = base_folder(recipe.base)
    design = Design(recipe.trunk, recipe.branches, recipe.heads, recipe.tokens, recipe.base)
    network = Network.start(base, design)
    network.freeze(words_only=recipe.trunk == 0 and all(branch.tuned for branch in recipe.branches))
    positions = network.config.max_position_embeddings
    if recipe.tokens.max_length > positions:
        raise ModelError(f"{recipe.base} has {positions} positions: max_length is {recipe.tokens.max_length}, set less")
    network.drop_out(recipe.training.dropout)
    tokenizer = tokenizer_of(base)
    session = _Session(recipe, corpus, fingerprint, network, TokenEncoder(tokenizer, recipe.tokens, INPUTS))
    with written_into(out, SafetensorError):
        out.mkdir(parents=True, exist_ok=True)
        if not resume:
            checkpoint.remove(out)
            (out / TRAINING).unlink(missing_ok=True)
        elif finished(out):
            raise ModelError(f"{out} is finished, of another recipe or other data: train elsewhere, or with --restart")
        _write_recipe(out, recipe)
        replace_durably(out / TOKENIZER, tokenizer)
        curve = session.run(out, progress)
        network = Network.load(out, attention="sdpa")
        judged = NetworkJudge(network, session.encoder)
        temperatures, metrics = judged.calibrated(corpus)
        replace_durably(out / CALIBRATION, msgspec.json.format(msgspec.json.encode(temperatures)) + b"\n")
        trained = Trained(
            name=recipe.name,
            fingerprint=fingerprint,
            seed=recipe.seed,
            tools={"python": platform.python_version()}
            | {tool: metadata.version(tool) for tool in ("torch", "transformers", "tokenizers", "numpy")},
            data=corpus.sources,
            rows={
                task: {
                    "read": found.read,
                    "removed": found.removed,
                    "training": len(found.train),
                    "calibration": len(found.calibration),
                }
                | {name: len(rows) for name, rows in found.validation.items()}
                for task, found in corpus.tasks.items()
            },
            curve=curve,
            best_epoch=max(curve, key=lambda point: point.score).epoch,
            metrics=metrics,
            seconds=round(time.monotonic() - began, 1),
        )
        replace_durably(out / TRAINING, msgspec.json.format(msgspec.json.encode(trained)) + b"\n")
        checkpoint.remove(out)
        return trained


def finished(run: Path) -> Trained | None:
    """What a finished run says of itself, or ``None`` where it is not finished; raises :class:`ModelError`."""
    path = run / TRAINING
    try:
        return msgspec.json.decode(path.read_bytes(), type=Trained) if path.exists() else None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be used ({error}): train into another folder") from error


def _write_recipe(run: Path, recipe: Recipe) -> None:
    replace_durably(run / RECIPE, msgspec.json.format(msgspec.json.encode(recipe)) + b"\n")


def fingerprint_of(recipe: Recipe, corpus: Corpus) -> str:
    """The sha256 of all that decides what is learnt: words about the model are not among it."""
    decisive = msgspec.structs.replace(recipe, description="", licence="", limits=())
    return hashlib.sha256(repr((decisive, [source.sha256 for source in corpus.sources])).encode()).hexdigest()


class _Session:
    """The loop itself."""

    def __init__(
        self, recipe: Recipe, corpus: Corpus, fingerprint: str, network: Network, encoder: TokenEncoder
    ) -> None:
        self.encoder = encoder
        self._recipe = recipe
        self._options: Training = recipe.training
        self._corpus = corpus
        self._network = network
        self._items = [
            item
            for task, found in corpus.tasks.items()
            for row, repeat in zip(found.train, found.repeat, strict=True)
            for item in [_Item(first_row(encoder, row), task, row.label)] * repeat
        ]
        if not self._items:
            raise DataError("no row is left to train on: give more data")
        self._heads = {head.task: head for head in network.design.heads if head.kind == "classes"}
        self._weights = {
            task: _class_weights(found.train, self._heads[task], self._options.balance)
            for task, found in corpus.tasks.items()
        }
        self._steps_an_epoch = -(-len(self._items) // self._options.batch_rows)
        self._total = self._steps_an_epoch * self._options.epochs
        self._optimizer = self._make_optimizer()
        self._fingerprint = fingerprint

    def run(self, out: Path, progress: Progress) -> tuple[Epoch, ...]:
        """Train to the end; the best epoch's network is then in ``out``. Gives the curve."""
        state = checkpoint.load(out, self._fingerprint, self._network, self._optimizer)
        state = state or State(self._fingerprint, 0, 0.0, ())
        first, late, began = state.step, state.loss, time.monotonic()
        for epoch in range(state.step // self._steps_an_epoch, self._options.epochs):
            skip = state.step - epoch * self._steps_an_epoch
            for batch in self._batches(epoch)[skip:]:
                loss = self._step(batch, state.step)
                late = loss if state.step == 0 else 0.99 * late + 0.01 * loss
                state = msgspec.structs.replace(state, step=state.step + 1, loss=late)
                rows = (state.step - first) * self._options.batch_rows
                try:
                    progress(state.step, self._total, late, rows / (time.monotonic() - began))
                except KeyboardInterrupt:
                    checkpoint.save(out, state, self._network, self._optimizer)
                    raise
                if state.step % CHECKPOINT_STEPS == 0:
                    checkpoint.save(out, state, self._network, self._optimizer)
            state = self._close_epoch(epoch, state, out)
            if epoch - state.best >= self._options.patience:
                break
        return state.curve

    def _close_epoch(self, epoch: int, state: State, out: Path) -> State:
        figures = NetworkJudge(self._network, self.encoder).figures(self._corpus)
        # A figure's error falls with the root of its rows: a few dozen must not overrule thousands.
        weights = {task: len(self._corpus.tasks[task].calibration) ** 0.5 for task in figures}
        score = sum(figures[task] * weight for task, weight in weights.items()) / sum(weights.values())
        best = state.best < 0 or score > max(point.score for point in state.curve)
        point = Epoch(epoch, round(state.loss, 4), figures, round(score, 4))
        state = msgspec.structs.replace(state, curve=(*state.curve, point), best=epoch if best else state.best)
        if best:
            self._network.save(out)
        checkpoint.save(out, state, self._network, self._optimizer)
        return state

    def _batches(self, epoch: int) -> list[list[_Item]]:
        """The batches of an epoch: rows of like length together, in an order that only seed and epoch decide."""
        draw = random.Random(f"{self._recipe.seed}/{epoch}")
        order = list(range(len(self._items)))
        draw.shuffle(order)
        size, batches = self._options.batch_rows, []
        for start in range(0, len(order), size * HORIZON):
            part = sorted(order[start : start + size * HORIZON], key=lambda place: self._items[place].row.size)
            batches += [[self._items[place] for place in part[at : at + size]] for at in range(0, len(part), size)]
        draw.shuffle(batches)
        return batches

    def _step(self, batch: Sequence[_Item], step: int) -> float:
        warm = max(1.0, self._options.warmup * self._total)
        factor = min(1.0, (step + 1) / warm) * (self._total - step) / self._total
        for group in self._optimizer.param_groups:
            group["lr"] = group["highest"] * factor
        self._network.train()
        # What is dropped depends on the step alone, so that a run that goes on drops the same.
        torch.manual_seed(self._recipe.seed * self._total + step)
        loss = self._loss(batch)
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), self._options.clip)
        self._optimizer.step()
        return float(loss.detach())

    def _loss(self, batch: Sequence[_Item]) -> Tensor:
        present = {item.task for item in batch}
        branches = {self._heads[task].branch for task in present}
        means = self._network.means(*inputs_of(self.encoder, [item.row for item in batch]), only=tuple(branches))
        loss = torch.zeros(())
        for task in sorted(present):
            head = self._heads[task]
            places = torch.tensor([place for place, item in enumerate(batch) if item.task == task])
            truth = torch.tensor([item.label for item in batch if item.task == task])
            logits = self._network.read(head, means[head.branch][places])
            found = nn.functional.cross_entropy(
                logits,
                truth,
                weight=self._weights[task],
                reduction="sum",
                label_smoothing=self._options.label_smoothing,
            )
            loss = loss + head.weight * found / len(batch)
        return loss

    def _make_optimizer(self) -> torch.optim.Optimizer:
        options = self._options
        heads = [value for name, value in self._network.named_parameters() if name.startswith("heads.")]
        rest = [(name, value) for name, value in self._network.named_parameters() if not name.startswith("heads.")]
        body = [(name, value) for name, value in rest if value.requires_grad]
        # Biases and norms are not drawn towards zero.
        groups = [
            {"params": [value for _, value in body if value.ndim > 1], "highest": options.learning_rate},
            {
                "params": [value for _, value in body if value.ndim < 2],
                "highest": options.learning_rate,
                "weight_decay": 0.0,
            },
            {"params": heads, "highest": options.head_learning_rate},
        ]
        return torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            fused=True,
        )


def _class_weights(rows: Sequence[Labelled], head: HeadDesign, balance: float) -> Tensor:
    """Weights of the classes, rows / (classes · rows of the class) to the power ``balance``, 1 on average over rows."""
    counts = np.bincount([row.label for row in rows], minlength=len(head.labels))
    balance = balance if head.balance is None else head.balance
    weights = (len(rows) / (len(head.labels) * np.maximum(counts, 1))) ** balance
    weights /= (weights * counts).sum() / counts.sum()
    return torch.tensor(weights, dtype=torch.float32)
