from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tests.training import requires_training

pytestmark = requires_training()

import torch
from torch import Tensor, nn

from groundswell.errors import ModelError
from inference.manifest import TOKENIZER
from inference.session import Session
from inference.tokens import INPUT_IDS
from model_export import goldens
from model_export.export import Exportable, export, write
from model_export.export_record import exported
from model_export.exported_run import ExportedRun
from model_export.fusion import fused
from model_export.network import INPUTS, Design, Network
from model_export.recipe import Recipe
from tests.model_export.tiny_base import WIDTH, tiny_pairs, tiny_recipe
from tests.model_export.tiny_origin import tiny_training


def untrained(run: Path, recipe: Recipe) -> Network:
    """Write what export needs of a run whose heads are at random."""
    torch.manual_seed(3)
    base = Path(recipe.base)
    network = Network.start(base, Design(recipe.trunk, recipe.branches, recipe.heads, recipe.tokens, recipe.base))
    run.mkdir(exist_ok=True)
    network.save(run)
    (run / TOKENIZER).write_bytes((base / TOKENIZER).read_bytes())
    calibration = {task: {"temperature": 1.0} for task in network.labels}
    (run / "calibration.json").write_text(json.dumps(calibration))
    tiny_training(run)
    return Network.load(run)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return tiny_recipe(tmp_path_factory.mktemp("data"), rows=6)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    run = tmp_path_factory.mktemp("run")
    untrained(run, recipe)
    export(run, samples=["a sample of our own"])
    return run


def test_the_graph_has_the_tasks_for_outputs_and_free_rows_and_lengths(run: Path) -> None:
    found = ExportedRun(run)
    assert found.inputs == INPUTS
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in found.outputs] == [
        ("sentiment", "float32", ("rows", 3)),
        ("embedding", "float32", ("rows", WIDTH)),
    ]
    assert [opset.version for opset in found.graph.opset_import] == [18]
    onnx.checker.check_model(found.graph, full_check=True)


def test_the_graph_answers_as_the_network_does_in_any_shape_and_however_it_is_padded(run: Path) -> None:
    network = Network.load(run)
    found = ExportedRun(run)
    session = Session(found.source, found.inputs, found.outputs, threads=1)
    draw = np.random.default_rng(1)
    for rows, length, padding in ((1, 2, 0), (3, 16, 0), (5, 7, 11), (2, 31, 1)):
        ids = draw.integers(1, 50, (rows, length))
        wanted = answers(network, ids, np.ones_like(ids))
        padded = np.pad(ids, ((0, 0), (0, padding)))
        mask = (np.arange(length + padding) < length).astype(np.int64) * np.ones((rows, 1), np.int64)
        inputs = {INPUT_IDS: padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)}
        for name, answer in session.run(inputs).items():
            assert np.abs(answer - wanted[name]).max() < 1e-5
            assert np.abs(answers(network, padded, mask)[name] - wanted[name]).max() < 1e-5


def answers(network: Network, ids: NDArray[Any], mask: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What torch says."""
    with torch.inference_mode():
        found = network(torch.from_numpy(ids), torch.from_numpy(mask), torch.zeros(ids.shape, dtype=torch.int64))
    return {name: value.numpy() for name, value in zip(network.outputs, found, strict=True)}


def test_the_parity_and_all_that_made_it_are_written_down(run: Path) -> None:
    record, parity = exported(run)
    assert parity.keys() == {f"{name}/{how}" for name in ("sentiment", "embedding") for how in ("alone", "padded")}
    assert 0 <= max(parity.values()) < 1e-4
    assert record.opset == 18
    assert record.tools.keys() >= {"torch", "transformers", "optimum-onnx"}
    assert {path.name for path in (run / "export").iterdir()} == {"model.onnx", "parity.json", "export.json"}


def test_it_can_be_fused(run: Path) -> None:
    graph = fused(ExportedRun(run).graph)
    assert sum(node.op_type == "MultiHeadAttention" for node in graph.graph.node) == 5


def test_pairs_are_exported_as_well(tmp_path: Path) -> None:
    untrained(tmp_path / "run", tiny_pairs(tmp_path))
    found = export(tmp_path / "run")
    assert found.parity.keys() == {"nli/alone", "nli/padded"}
    assert found.embedding_space is None
    assert len(goldens.PAIRS) > 10


def test_the_space_stays_when_only_the_tuned_branch_and_the_heads_change(tmp_path: Path, recipe: Recipe) -> None:
    run = tmp_path / "run"
    network = untrained(run, recipe)
    first = export(run).embedding_space
    assert first is not None
    assert first.startswith("base-")
    shift(network.branches["tuned"])
    shift(network.heads)
    network.save(run)
    assert export(run).embedding_space == first
    shift(network.branches["original"])
    network.save(run)
    assert export(run).embedding_space != first


def shift(module: nn.Module) -> None:
    """Change every weight a little."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.01)


class TestRefused:
    def test_a_folder_without_a_network(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="holds no trained network"):
            export(tmp_path)

    @pytest.mark.parametrize("opset", [11, 17, 26, 99])
    def test_an_opset_that_cannot_be(self, run: Path, opset: int) -> None:
        before = (run / "export" / "model.onnx").read_bytes()
        with pytest.raises(ModelError, match=f"opset {opset}") as refused:
            export(run, opset=opset)
        assert "\n" not in str(refused.value)
        assert (run / "export" / "model.onnx").read_bytes() == before
        exported(run)

    def test_a_run_that_is_still_in_training(self, tmp_path: Path, recipe: Recipe) -> None:
        untrained(tmp_path / "run", recipe)
        (tmp_path / "run" / "training.json").unlink()
        with pytest.raises(ModelError, match="was not trained to its end"):
            export(tmp_path / "run")
        assert not (tmp_path / "run" / "export").exists()

    def test_samples_of_the_wrong_kind(self, run: Path) -> None:
        with pytest.raises(ModelError, match="single texts, not pairs"):
            export(run, samples=[("a", "b")])

    def test_a_network_whose_rows_see_their_padding(self, tmp_path: Path, recipe: Recipe) -> None:
        class Leaking(nn.Module):
            """Takes the mean over the padding too."""

            def __init__(self, network: Network) -> None:
                super().__init__()
                self.config = network.config
                self.network = network

            def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, ...]:
                hidden = self.network.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
                return (self.network.heads["sentiment"](hidden.mean(1)) + 0 * attention_mask.sum(),)

        network = untrained(tmp_path / "run", recipe)
        tokenizer = (tmp_path / "run" / TOKENIZER).read_bytes()
        leaking = Exportable(
            Leaking(network), INPUTS, {"sentiment": "classes"}, {"sentiment": 3}, recipe.tokens, tokenizer, None, None
        )
        with pytest.raises(ModelError, match="sentiment/padded") as error:
            write(tmp_path / "run", leaking)
        assert "alone" not in str(error.value)
        assert list((tmp_path / "run" / "export").iterdir()) == []

    def test_a_run_that_was_trained_again_must_be_exported_again(self, tmp_path: Path, recipe: Recipe) -> None:
        run = tmp_path / "run"
        network = untrained(run, recipe)
        export(run)
        shift(network.heads)
        network.save(run)
        with pytest.raises(ModelError, match="trained again since it was exported"):
            exported(run)
