"""Tuning: trials with other hyperparameters, and the recipe that did best, ready to be trained.

Trials are judged on the rows that a recipe sets aside for choosing, never on validation data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from inference.atomic import replace_durably
from model_export.corpus import gather
from model_export.datasets import DataError
from model_export.recipe import Recipe, Training
from model_export.run_files import written_into
from model_export.train import fingerprint_of, train

#: The tuned recipe, and the trials so far, in the folder that is tuned into.
TUNED: Final = "recipe.json"
STUDY: Final = "study.db"
_FINGERPRINT: Final = "fingerprint"

#: Called after a trial: the number that were completed before, its score, the best score so far.
Report = Callable[[int, float, float], None]


class Tuned(msgspec.Struct, frozen=True):
    """What tuning found: the recipe with the best parameters, their score, and the recipe's own as trial 0."""

    recipe: Recipe
    score: float
    first_score: float
    trials: int


def tune(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    trials: int,
    rows: int = 0,
    threads: int = 0,
    report: Report = lambda *_: None,
) -> Tuned:
    """Try ``trials`` sets of hyperparameters, and write the best recipe as :data:`TUNED` into ``out``.

    ``rows`` limits the training rows of each data set, chosen by a hash, so that many trials are
    affordable; the tuned recipe has the full data again. The recipe's own parameters are the first
    trial. Called again on the same folder it goes on until there are ``trials``. Raises
    :class:`DataError` for a folder with trials of something else, and, with
    :class:`ModelError`, as :func:`~model_export.train.train` does.
    """
    if trials < 1:
        raise DataError("there must be at least one trial")
    with written_into(out, StorageInternalError, SQLAlchemyError):
        return _tune(recipe, data, out, trials, rows, threads, report)


def _tune(recipe: Recipe, data: Path, out: Path, trials: int, rows: int, threads: int, report: Report) -> Tuned:
    out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name=recipe.name,
        storage=f"sqlite:///{out.resolve() / STUDY}",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=recipe.seed),
        load_if_exists=True,
    )
    # The data as a whole: which rows of it are read follows from their number.
    _claim(study, f"{fingerprint_of(recipe, gather(recipe, data))}/{rows}", out)
    own = {name: getattr(recipe.training, name) for name in _suggestions(recipe.training)}
    _enqueue(study, own)

    def objective(trial: optuna.Trial) -> float:
        training = msgspec.structs.replace(
            recipe.training, **{name: suggest(trial) for name, suggest in _suggestions(recipe.training).items()}
        )
        tried = msgspec.structs.replace(recipe, training=training)
        # Named by what is tried, so that a trial that was stopped goes on where it was.
        digest = hashlib.sha256(repr(training).encode()).hexdigest()[:12]
        found = train(tried, data, out / f"trial-{digest}", rows=rows, threads=threads)
        return max(point.score for point in found.curve)

    def done(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if trial.state is TrialState.COMPLETE:
            complete = sum(each.state is TrialState.COMPLETE for each in study.trials)
            report(complete - 1, trial.value or 0.0, study.best_value)

    finished = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    study.optimize(objective, n_trials=max(0, trials - len(finished)), callbacks=[done])
    best = msgspec.convert({**msgspec.to_builtins(recipe.training), **study.best_params}, type=Training)
    tuned = msgspec.structs.replace(recipe, training=best)
    replace_durably(out / TUNED, msgspec.json.format(msgspec.json.encode(tuned)) + b"\n")
    complete = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    first = next(trial for trial in complete if trial.params == own)
    return Tuned(tuned, study.best_value, first.value or 0.0, len(complete))


def _claim(study: optuna.Study, fingerprint: str, out: Path) -> None:
    """Mark a new study; raise :class:`DataError` for one whose scores cannot be compared with ours."""
    if study.user_attrs.setdefault(_FINGERPRINT, fingerprint) != fingerprint:
        raise DataError(f"{out} holds trials of another recipe, other data or other rows: tune elsewhere")
    study.set_user_attr(_FINGERPRINT, fingerprint)


def _enqueue(study: optuna.Study, own: dict[str, Any]) -> None:
    """Let the recipe's own parameters come first, then those of trials that were stopped."""
    for trial in study.trials:
        if trial.state is TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
    known = [trial.params for trial in study.trials if trial.state is TrialState.COMPLETE]
    known += [trial.system_attrs["fixed_params"] for trial in study.trials if trial.state is TrialState.WAITING]
    for params in (own, *(trial.params for trial in study.trials if trial.state is TrialState.FAIL)):
        if params.keys() == own.keys() and params not in known:
            study.enqueue_trial(params)
            known.append(params)


def _suggestions(own: Training) -> dict[str, Callable[[optuna.Trial], float | int]]:
    """Which fields of :class:`~model_export.recipe.Training` are tried; the recipe's ``own`` lie within the bounds."""

    def real(name: str, low: float, high: float, *, log: bool = False) -> Callable[[optuna.Trial], float]:
        mine = getattr(own, name)
        return lambda trial: trial.suggest_float(name, min(low, mine), max(high, mine), log=log)

    return {
        "epochs": lambda trial: trial.suggest_int("epochs", 1, max(5, own.epochs)),
        "learning_rate": real("learning_rate", 1e-5, 1e-3, log=True),
        "head_learning_rate": real("head_learning_rate", 1e-4, 1e-2, log=True),
        "label_smoothing": real("label_smoothing", 0.0, 0.2),
        "dropout": real("dropout", 0.0, 0.3),
        "balance": real("balance", 0.0, 1.0),
    }
