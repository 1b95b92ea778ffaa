"""``groundswell models train`` and ``tune``: from a recipe and data to a trained network in a run's folder."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.markup import escape
from rich.table import Table

from cli.models_evaluate import add_mlflow, flat
from cli.models_parts import Part, add_json, at_least_one, console, count, needs, progress
from cli.options import load as settle
from cli.printing import printable
from cli.stopping import stopped_by_signals
from model_export.recipe_file import find, load, shipped
from model_export.tracking import Run, tracked

#: Where runs lie unless told otherwise.
_RUNS = Path("runs")

R = TypeVar("R", bound=msgspec.Struct)


def _recipe(parser: argparse.ArgumentParser) -> None:
    known = ", ".join(shipped())
    parser.add_argument("recipe", metavar="RECIPE", help=f"a recipe's file, or one that is shipped: {known}")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="folder of the data sets")
    parser.add_argument(
        "--out", type=Path, metavar="RUN", help="folder of the run (default: runs/<recipe>); an interrupted one goes on"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="another seed than the recipe's")
    parser.add_argument(
        "--threads", type=count, default=0, metavar="N", help="processors (default: all that are granted)"
    )


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    _recipe(parser)
    parser.add_argument("--restart", action="store_true", help="forget what an interrupted run has done")
    add_mlflow(parser)
    add_json(parser)


def _tune_arguments(parser: argparse.ArgumentParser) -> None:
    _recipe(parser)
    parser.add_argument("--trials", type=at_least_one, default=12, metavar="N", help="trials in all (default: 12)")
    parser.add_argument(
        "--rows", type=count, default=0, metavar="N", help="training rows of each data set in a trial (default: all)"
    )
    add_mlflow(parser)
    add_json(parser)


def run_train(args: argparse.Namespace) -> int:
    """Train, or go on; prints the figures of the best epoch."""
    settle(args)
    with needs("train", "training"):
        from model_export.train import train
    recipe = _seeded(load(find(args.recipe)), args.seed)
    out = args.out or _RUNS / recipe.name
    with tracked(args.mlflow, f"groundswell train {recipe.name}", out.name) as log:
        stop = threading.Event()
        with progress(f"training {recipe.name}", "batches") as show, _interruptible(), stopped_by_signals(stop):

            def tell(step: int, total: int, loss: float, speed: float) -> None:
                show(step, total, f"loss {loss:.3f}, {speed:.0f} rows/s")
                if stop.is_set():
                    raise KeyboardInterrupt

            found = train(
                recipe,
                args.data,
                out,
                resume=not args.restart,
                threads=args.threads,
                progress=tell,
            )
        _log_recipe(log, recipe)
        for point in found.curve:
            figures = {f"chosen by/{task}": value for task, value in point.figures.items()}
            log.metrics({"loss": point.loss, **figures}, step=point.epoch)
        log.metrics(flat(found.metrics))
        log.files(out / name for name in ("recipe.json", "training.json"))
    if args.json:
        print(msgspec.json.encode(found).decode())
        return 0
    out_of = f"epoch {found.best_epoch + 1} of {len(found.curve)}"
    console().print(
        f"trained {found.name} in {found.seconds:,.0f} s; the best was {out_of}; it lies in {escape(str(out))}",
        highlight=False,
    )
    console().print(_figures(found.metrics))
    return 0


def run_tune(args: argparse.Namespace) -> int:
    """Try hyperparameters; writes the best recipe, which ``train`` then takes."""
    settle(args)
    with needs("train", "tuning"):
        from model_export.tune import TUNED, tune
    recipe = _seeded(load(find(args.recipe)), args.seed)
    out = args.out or _RUNS / f"{recipe.name}-tuning"
    with tracked(args.mlflow, f"groundswell tune {recipe.name}", out.name) as log:
        with progress(f"tuning {recipe.name}", "trials") as show, _interruptible():
            show(0, args.trials, "")
            found = tune(
                recipe,
                args.data,
                out,
                trials=args.trials,
                rows=args.rows,
                threads=args.threads,
                report=lambda number, score, best: show(number + 1, args.trials, f"{score:.4f}, best {best:.4f}"),
            )
        _log_recipe(log, found.recipe)
        log.metrics({"score": found.score, "first_score": found.first_score})
        log.files([out / TUNED])
    if args.json:
        print(msgspec.json.encode(found).decode())
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("parameter", "recipe", "best"):
        table.add_column(column, justify="left" if column == "parameter" else "right")
    before, after = (msgspec.to_builtins(each.training) for each in (recipe, found.recipe))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            table.add_row(name, str(before.get(name, "default")), str(after.get(name, "default")))
    console().print(f"{found.trials} trials: {found.score:.4f} in place of {found.first_score:.4f}", highlight=False)
    console().print(table)
    console().print(f"train with it: groundswell models train {escape(str(out / TUNED))}", highlight=False)
    return 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Say how to go on after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted: call it again to go on from the last checkpoint", file=sys.stderr)
        raise


def _seeded(recipe: R, seed: int | None) -> R:
    return recipe if seed is None else msgspec.structs.replace(recipe, seed=seed)


def _log_recipe(log: Run, recipe: msgspec.Struct) -> None:
    fields = msgspec.to_builtins(recipe)
    log.params({"recipe": fields["name"], "base": fields["base"], "seed": fields.get("seed", 1)})
    log.params(fields.get("training", {}))


def _figures(metrics: Mapping[str, Mapping[str, float]]) -> Table:
    names = ("n", "accuracy", "macro_f1", "macro_recall", "calibration_error")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("data", *names):
        table.add_column(column, justify="left" if column == "data" else "right")
    for data, figures in metrics.items():
        table.add_row(escape(printable(data)), *(_number(name, figures.get(name)) for name in names))
    return table


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if name == "n" else f"{value:.3f}"


PARTS = {
    "train": Part(
        "train a recipe: one task or many heads, or a pair classifier",
        "Train a recipe into a run's folder: early stopping, the best epoch's weights, calibrated. Interrupted, it "
        "goes on where it was when called again, to the very same result.",
        _train_arguments,
        run_train,
    ),
    "tune": Part(
        "search better hyperparameters for a recipe",
        "Try hyperparameters, the recipe's own first, and write the recipe with the best ones, which train then "
        "takes. Interrupted, it goes on when called again.",
        _tune_arguments,
        run_tune,
    ),
}
