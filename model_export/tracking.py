"""Logging of parameters, figures and files to MLflow, where an address of it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from groundswell.errors import SettingsError, Unavailable


class Run(Protocol):
    """Where one command's work is logged."""

    def params(self, values: Mapping[str, object]) -> None:
        """What the work was done with."""
        ...

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Figures; ``step`` orders those of one name."""
        ...

    def files(self, paths: Iterable[Path]) -> None:
        """Files to keep with the run; those that do not exist are left out."""
        ...


class Untracked:
    """Logs nothing."""

    def params(self, values: Mapping[str, object]) -> None:
        """Nothing."""

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Nothing."""

    def files(self, paths: Iterable[Path]) -> None:
        """Nothing."""


class MlflowRun:
    """A run of an MLflow experiment."""

    def __init__(self, client: Any, run_id: str) -> None:
        self._client = client
        self._id = run_id

    def params(self, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            self._client.log_param(self._id, name, value)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        for name, value in values.items():
            self._client.log_metric(self._id, _allowed(name), float(value), step=step)

    def files(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if path.exists():
                self._client.log_artifact(self._id, str(path))


@contextmanager
def tracked(uri: str, experiment: str, name: str) -> Iterator[Run]:
    """A run called ``name`` at the tracking server ``uri`` (``http://…`` or ``sqlite:///…``); none where it is "".

    It ends as finished, or as failed when the work raises. Raises :class:`SettingsError` where MLflow is not
    installed or the address is none, :class:`Unavailable` when it does not take what is logged.
    """
    if not uri:
        yield Untracked()
        return
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise SettingsError(
            f"MLflow's address is {uri}, but MLflow is not installed: pip install 'groundswell[mlflow]', "
            "or unset MLFLOW_TRACKING_URI"
        ) from None
    try:
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(experiment)
        experiment_id = found.experiment_id if found else client.create_experiment(experiment)
        run_id = client.create_run(experiment_id, run_name=name).info.run_id
        try:
            yield MlflowRun(client, run_id)
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")
    except MlflowException as error:
        raise Unavailable("mlflow", f"{uri}: {error}") from error


def _allowed(name: str) -> str:
    """A metric's name with what MLflow takes: letters, digits and ``_-. /:``."""
    return "".join(character if character.isalnum() or character in "_-. /:" else "_" for character in name)
