"""Checkpoints of a training run: enough to go on as if it had never stopped. Tensors and JSON, no pickle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from groundswell.errors import ModelError
from inference.atomic import replace_durably
from model_export.run_files import Epoch

FOLDER: Final = "checkpoint"
STATE: Final = "state.json"
TENSORS: Final = "tensors-{step}.safetensors"


class State(msgspec.Struct, frozen=True):
    """Where a run is: ``step`` batches are done; ``fingerprint`` is of the recipe and data that it belongs to."""

    fingerprint: str
    step: int
    loss: float
    curve: tuple[Epoch, ...]
    best: int = -1


def save(run: Path, state: State, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write a checkpoint that is there whole or not at all; raises :class:`OSError`."""
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    tensors = {f"weight.{name}": value for name, value in _trained(network).items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"moment.{number}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    name = TENSORS.format(step=state.step)
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / name)
    # The state names the tensors by their step: it is what makes them the checkpoint.
    replace_durably(folder / STATE, msgspec.json.encode(state))
    for old in folder.glob(TENSORS.format(step="*")):
        if old.name != name:
            old.unlink()


def load(run: Path, fingerprint: str, network: nn.Module, optimizer: torch.optim.Optimizer) -> State | None:
    """Take up the checkpoint of a run, or ``None`` where there is none.

    Raises :class:`ModelError` for one of another recipe or other data, and for a damaged one.
    """
    folder = run / FOLDER
    if not (folder / STATE).exists():
        return None
    try:
        state = msgspec.json.decode((folder / STATE).read_bytes(), type=State)
        tensors = load_file(folder / TENSORS.format(step=state.step))
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{folder} cannot be taken up ({error}): train with --restart") from error
    if state.fingerprint != fingerprint:
        raise ModelError(f"{folder} is of another recipe or other data: train elsewhere, or with --restart")
    weights = {key.removeprefix("weight."): value for key, value in tensors.items() if key.startswith("weight.")}
    network.load_state_dict(weights, strict=False)
    moments: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        if key.startswith("moment."):
            _, number, name = key.split(".")
            moments.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return state


def remove(run: Path) -> None:
    """Forget the checkpoint of a run."""
    shutil.rmtree(run / FOLDER, ignore_errors=True)


def _trained(network: nn.Module) -> dict[str, Tensor]:
    """The weights that training changes; the others come with the base."""
    return {name: value for name, value in network.named_parameters() if value.requires_grad}
