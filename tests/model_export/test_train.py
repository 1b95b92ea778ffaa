from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.training import requires_training

pytestmark = requires_training()

import torch
from safetensors.torch import load_file
from torch import Tensor

from groundswell.errors import ModelError
from inference.manifest import Calibration, Tokens
from inference.tokens import TokenEncoder
from model_export import checkpoint
from model_export import train as trainer
from model_export.datasets import DataError
from model_export.network import INPUTS, Network
from model_export.recipe import DataUse, Recipe
from model_export.recipe_file import load
from model_export.train import finished, train
from tests.full_disk import full_disk
from tests.model_export.labelled import sentiment_rows, write_lines
from tests.model_export.tiny_base import tiny_base, tiny_pairs, tiny_recipe


class Interrupted(Exception):
    """Stands for whatever ends a run between two batches."""


def weights(run: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = load_file(run / "weights.safetensors")
    return found


def inputs(recipe: Recipe, run: Path, texts: list[str]) -> tuple[Tensor, ...]:
    encoder = TokenEncoder((run / "tokenizer.json").read_bytes(), recipe.tokens, INPUTS)
    rows = [encoder.encode([text])[0].rows[0] for text in texts]
    return tuple(torch.from_numpy(array) for array in encoder.collate(rows, max(row.size for row in rows)).values())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, Path]:
    data = tmp_path_factory.mktemp("data")
    recipe = tiny_recipe(data)
    out = tmp_path_factory.mktemp("run")
    train(recipe, data, out, threads=1)
    return recipe, data, out


def test_learns_what_the_words_say(run: tuple[Recipe, Path, Path]) -> None:
    trained = finished(run[2])
    assert trained is not None
    assert trained.metrics["sentiment/jsonl:validation.jsonl"]["macro_recall"] > 0.95
    assert trained.rows["sentiment"]["training"] + trained.rows["sentiment"]["calibration"] <= 240
    assert {source.use for source in trained.data} == {
        "training of sentiment",
        "validation of sentiment",
        "training of mood",
    }


def test_a_run_holds_all_that_the_next_steps_need_and_no_checkpoint(run: tuple[Recipe, Path, Path]) -> None:
    names = {path.name for path in run[2].iterdir()}
    assert names == {
        "calibration.json",
        "config.json",
        "labels.json",
        "network.json",
        "recipe.json",
        "tokenizer.json",
        "training.json",
        "weights.safetensors",
    }
    assert load(run[2] / "recipe.json") == run[0]
    calibration = msgspec.json.decode((run[2] / "calibration.json").read_bytes(), type=dict[str, Calibration])
    assert calibration.keys() == {"sentiment"}
    assert calibration["sentiment"].temperature > 0


def test_trunk_and_original_branch_stay_as_they_came_so_the_embedding_is_the_bases_own(
    run: tuple[Recipe, Path, Path],
) -> None:
    recipe, _, out = run
    base = load_file(Path(recipe.base) / "model.safetensors")
    found = weights(out)
    assert torch.equal(found["embeddings.word_embeddings.weight"], base["embeddings.word_embeddings.weight"])
    for name, value in base.items():
        if name.startswith("encoder.layer.0."):
            assert torch.equal(found[f"trunk.0.{name.removeprefix('encoder.layer.0.')}"], value)
        if name.startswith("encoder.layer.2."):
            rest = name.removeprefix("encoder.layer.2.")
            assert torch.equal(found[f"branches.original.1.{rest}"], value)
            if "weight" in rest:
                assert not torch.equal(found[f"branches.tuned.1.{rest}"], value)


def test_the_network_that_was_written_answers_by_task_without_the_auxiliary_head(
    run: tuple[Recipe, Path, Path],
) -> None:
    recipe, _, out = run
    network = Network.load(out)
    assert network.outputs == ("sentiment", "embedding")
    assert network.labels == {"sentiment": ["negative", "neutral", "positive"]}
    with torch.inference_mode():
        logits, embedding = network(*inputs(recipe, out, ["a bad day", "a good day", "the day " * 9]))
    assert logits.argmax(1).tolist() == [0, 2, 1]
    assert embedding.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)


def test_padding_changes_no_answer(run: tuple[Recipe, Path, Path]) -> None:
    recipe, _, out = run
    network = Network.load(out)
    texts = ["bad", "a good day", "the day " * 9]
    with torch.inference_mode():
        together = network(*inputs(recipe, out, texts))
        alone = [network(*inputs(recipe, out, [text])) for text in texts]
    for output in (0, 1):
        np.testing.assert_allclose(
            together[output].numpy(), np.concatenate([one[output].numpy() for one in alone]), atol=1e-5
        )


def test_a_finished_run_is_left_as_it_is(run: tuple[Recipe, Path, Path]) -> None:
    recipe, data, out = run
    before = (out / "weights.safetensors").stat().st_mtime_ns
    steps: list[int] = []
    train(recipe, data, out, threads=1, progress=lambda step, *_: steps.append(step))
    described = msgspec.structs.replace(recipe, limits=("None that we know.",))
    train(described, data, out, threads=1, progress=lambda step, *_: steps.append(step))
    assert steps == []
    assert (out / "weights.safetensors").stat().st_mtime_ns == before
    assert load(out / "recipe.json") == described
    train(recipe, data, out, threads=1)


def test_numbers_of_the_process_are_as_they_were_before(run: tuple[Recipe, Path, Path]) -> None:
    assert float(np.float64(5e-324) * 1.0) == 5e-324
    assert float(torch.tensor(1e-310, dtype=torch.float64) * 1.0) == 1e-310


def test_the_same_recipe_gives_the_same_weights_and_another_seed_gives_others(
    run: tuple[Recipe, Path, Path], tmp_path: Path
) -> None:
    recipe, data, out = run
    train(recipe, data, tmp_path / "again", threads=1)
    train(msgspec.structs.replace(recipe, seed=2), data, tmp_path / "other", threads=1)
    again, other = weights(tmp_path / "again"), weights(tmp_path / "other")
    assert all(torch.equal(again[name], value) for name, value in weights(out).items())
    assert not torch.equal(other["heads.sentiment.weight"], again["heads.sentiment.weight"])


@pytest.mark.parametrize("stop", [1, 7, 14, 29])
def test_an_interrupted_run_goes_on_to_the_very_same_weights(
    run: tuple[Recipe, Path, Path], tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, data, out = run
    monkeypatch.setattr(trainer, "CHECKPOINT_STEPS", 3)

    def interrupt(step: int, *_: float) -> None:
        if step == stop:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(recipe, data, tmp_path, threads=1, progress=interrupt)
    first: list[int] = []
    train(recipe, data, tmp_path, threads=1, progress=lambda step, *_: first.append(step))
    assert first[0] == stop // 3 * 3 + 1 or first[0] > stop // 3 * 3
    found = weights(tmp_path)
    assert all(torch.equal(found[name], value) for name, value in weights(out).items())


def test_who_asks_for_the_end_loses_no_batch(run: tuple[Recipe, Path, Path], tmp_path: Path) -> None:
    recipe, data, out = run

    def end(step: int, *_: float) -> None:
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, tmp_path, threads=1, progress=end)
    steps: list[int] = []
    train(recipe, data, tmp_path, threads=1, progress=lambda step, *_: steps.append(step))
    assert steps[0] == 8
    found = weights(tmp_path)
    assert all(torch.equal(found[name], value) for name, value in weights(out).items())


def _train_and_die(recipe: Recipe, data: Path, out: Path) -> None:
    def die(step: int, *_: float) -> None:
        if step == 11:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer.CHECKPOINT_STEPS = 5  # type: ignore[misc]
    train(recipe, data, out, threads=1, progress=die)


def test_a_killed_run_goes_on_to_the_very_same_weights(run: tuple[Recipe, Path, Path], tmp_path: Path) -> None:
    recipe, data, out = run
    process = multiprocessing.get_context("spawn").Process(target=_train_and_die, args=(recipe, data, tmp_path))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / checkpoint.FOLDER / checkpoint.STATE).exists()
    train(recipe, data, tmp_path, threads=1)
    found = weights(tmp_path)
    assert all(torch.equal(found[name], value) for name, value in weights(out).items())


def test_a_checkpoint_of_another_recipe_is_refused(
    run: tuple[Recipe, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, data, _ = run
    monkeypatch.setattr(trainer, "CHECKPOINT_STEPS", 2)

    def interrupt(step: int, *_: float) -> None:
        if step == 5:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(recipe, data, tmp_path, threads=1, progress=interrupt)
    other = msgspec.structs.replace(recipe, seed=9)
    with pytest.raises(ModelError, match="another recipe or other data"):
        train(other, data, tmp_path, threads=1)
    train(other, data, tmp_path, threads=1, resume=False)


def test_a_damaged_checkpoint_is_refused(
    run: tuple[Recipe, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, data, _ = run
    monkeypatch.setattr(trainer, "CHECKPOINT_STEPS", 2)

    def interrupt(step: int, *_: float) -> None:
        if step == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(recipe, data, tmp_path, threads=1, progress=interrupt)
    (tensors,) = (tmp_path / checkpoint.FOLDER).glob("tensors-*")
    tensors.write_bytes(tensors.read_bytes()[:100])
    with pytest.raises(ModelError, match="train with --restart"):
        train(recipe, data, tmp_path, threads=1)


def test_ends_early_when_epochs_bring_nothing_more(run: tuple[Recipe, Path, Path], tmp_path: Path) -> None:
    recipe, data, _ = run
    patient = msgspec.structs.replace(recipe, training=msgspec.structs.replace(recipe.training, epochs=30, patience=2))
    trained = train(patient, data, tmp_path, threads=1)
    assert len(trained.curve) < 30
    assert trained.best_epoch == max(trained.curve, key=lambda point: point.score).epoch
    assert all(point.score <= trained.curve[trained.best_epoch].score for point in trained.curve)


def test_a_cross_encoder_is_trained_on_pairs_with_no_premise_in_two_parts(tmp_path: Path) -> None:
    trained = train(tiny_pairs(tmp_path), tmp_path, tmp_path / "run", threads=1)
    rows = trained.rows["nli"]
    assert rows["training"] + rows["calibration"] + rows["jsonl:pairs.jsonl"] == 150
    assert Network.load(tmp_path / "run").outputs == ("nli",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base": "no-such-base"}, "neither a known base"),
        ({"trunk": 9}, "9 layers"),
        ({"tokens": Tokens(max_length=4096)}, "positions: max_length is 4096"),
        ({"data": (DataUse(task="sentiment", name="jsonl:absent.jsonl"),)}, "cannot be read"),
        ({"data": (DataUse(task="sentiment", name="unheard-of"),)}, "no data set"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    run: tuple[Recipe, Path, Path], tmp_path: Path, change: dict[str, object], message: str
) -> None:
    recipe, data, _ = run
    with pytest.raises((DataError, ModelError), match=message):
        train(msgspec.structs.replace(recipe, **change), data, tmp_path, threads=1)


def test_a_finished_run_is_not_overwritten_by_another_recipe(run: tuple[Recipe, Path, Path], tmp_path: Path) -> None:
    recipe, data, out = run
    shutil.copytree(out, tmp_path / "run")
    other = msgspec.structs.replace(recipe, seed=9)
    with pytest.raises(ModelError, match="finished, of another recipe"):
        train(other, data, tmp_path / "run", threads=1)
    assert train(other, data, tmp_path / "run", resume=False, threads=1).seed == 9
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="file cannot be written"):
        train(other, data, tmp_path / "file", threads=1)


def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(
    run: tuple[Recipe, Path, Path], tmp_path: Path
) -> None:
    recipe, data, out = run
    with full_disk(20_000), pytest.raises(ModelError, match="cannot be written"):
        train(recipe, data, tmp_path, threads=1)
    train(recipe, data, tmp_path, threads=1)
    found = weights(tmp_path)
    assert all(torch.equal(found[name], value) for name, value in weights(out).items())


def test_a_base_without_safetensors_is_refused(run: tuple[Recipe, Path, Path], tmp_path: Path) -> None:
    recipe, data, _ = run
    folder = tiny_base(tmp_path / "base")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        train(msgspec.structs.replace(recipe, base=str(folder)), data, tmp_path / "run", threads=1)


def test_labels_that_the_recipe_does_not_know_are_refused(run: tuple[Recipe, Path, Path], tmp_path: Path) -> None:
    recipe, _, _ = run
    write_lines(tmp_path / "train.jsonl", [{"text": "angry words", "label": "furious"}])
    write_lines(tmp_path / "validation.jsonl", sentiment_rows(9))
    with pytest.raises(DataError, match="furious"):
        train(recipe, tmp_path, tmp_path / "run", threads=1)
