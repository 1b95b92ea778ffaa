"""Logging to MLflow: to a real store where an address is given, to nowhere where none is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from groundswell.errors import SettingsError, Unavailable
from model_export.tracking import Untracked, tracked
from tests.training import requires_training

pytestmark = requires_training()

from mlflow.tracking import MlflowClient


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_parameters_figures_by_step_and_files_are_kept(uri: str, tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{}")
    for value in (0.5, 0.75):
        with tracked(uri, "groundswell train tiny", "run") as run:
            run.params({"seed": 1, "learning_rate": 1e-4})
            run.metrics({"sentiment/tweets@2016": value}, step=0)
            run.metrics({"sentiment/tweets@2016": value + 0.1}, step=1)
            run.files([tmp_path / "training.json", tmp_path / "absent.json"])
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("groundswell train tiny")
    found = client.search_runs([experiment.experiment_id])
    assert [each.info.status for each in found] == ["FINISHED", "FINISHED"]
    assert found[0].data.params == {"seed": "1", "learning_rate": "0.0001"}
    history = client.get_metric_history(found[0].info.run_id, "sentiment/tweets_2016")
    assert [(metric.step, metric.value) for metric in history] == [(0, 0.75), (1, 0.85)]
    assert [file.path for file in client.list_artifacts(found[0].info.run_id)] == ["training.json"]


def test_a_run_whose_work_fails_is_marked_so(uri: str) -> None:
    with pytest.raises(RuntimeError, match="died"), tracked(uri, "e", "run"):
        raise RuntimeError("the training died")
    client = MlflowClient(tracking_uri=uri)
    (found,) = client.search_runs([client.get_experiment_by_name("e").experiment_id])
    assert found.info.status == "FAILED"


def test_a_store_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="mlflow: nowhere://x"), tracked("nowhere://x", "e", "run"):
        pass


def test_without_an_address_nothing_is_logged() -> None:
    with tracked("", "e", "run") as run:
        assert isinstance(run, Untracked)
        run.params({"a": 1})
        run.metrics({"b": 2.0})
        run.files([Path("absent")])


def test_an_address_without_mlflow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(SettingsError, match=r"pip install 'groundswell\[mlflow\]'"), tracked("file:x", "e", "run"):
        pass
