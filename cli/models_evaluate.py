"""``groundswell models evaluate``: how good a published model is on a file of labelled texts."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec
from rich.markup import escape
from rich.table import Table

from cli.models_parts import Part, add_json, add_repository, console, place, progress
from cli.printing import printable
from groundswell.errors import SettingsError, StopJob
from model_export.judgement import Judgement, judge
from model_export.labelled_file import read
from model_export.opened import opened, served_for
from model_export.tracking import tracked

_FIGURES = ("accuracy", "macro_f1", "macro_recall")


def add_mlflow(parser: argparse.ArgumentParser) -> None:
    """Declare ``--mlflow``."""
    parser.add_argument(
        "--mlflow",
        default=os.environ.get("MLFLOW_TRACKING_URI", ""),
        metavar="URI",
        help="log to this MLflow tracking server (default: MLFLOW_TRACKING_URI)",
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", required=True, help="sentiment, emotion, nli, or any task that a model answers")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="JSON Lines, plain or .gz")
    parser.add_argument(
        "--model",
        metavar="REF",
        help="name@alias or name@version (default: models.posts where it answers the task, otherwise the champion that "
        "does: a transformer before n-grams)",
    )
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw confusion and reliability as PNG there")
    add_repository(parser)
    add_mlflow(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the figures; the exit code is 1 when rows could not be read by the model."""
    there, settings = place(args)
    repository = there.open()
    if args.plots and find_spec("matplotlib") is None:
        raise StopJob("--plots needs matplotlib: pip install 'groundswell[plot]'")
    if args.plots and args.plots.exists() and not args.plots.is_dir():
        raise SettingsError(f"--plots {args.plots}: this is no folder")
    rows = read(args.data)
    models = settings.models
    reference = args.model or served_for(repository, args.task, models.posts)
    with (
        tracked(args.mlflow, f"groundswell evaluate {args.task}", reference) as run,
        opened(
            repository,
            reference,
            args.task,
            provider=models.provider,
            precision=models.precision,
            threads=models.threads,
        ) as (subject, engine),
        progress("evaluating", "texts") as show,
    ):
        found = judge(subject, engine.submit, rows, str(args.data), lambda done: show(done, len(rows), ""))
        pictures = _draw(found, args.plots) if args.plots else []
        run.params({"task": found.task, "model": found.model, "data": found.data, "precision": found.precision})
        run.metrics({name: getattr(found, name) for name in ("n", *_FIGURES, "calibration_error")})
        run.files(pictures)
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        _print(found, pictures)
    if found.errors:
        print(f"groundswell: {found.errors:,} rows could not be read by the model", file=sys.stderr)
    return 1 if found.errors else 0


def _draw(found: Judgement, folder: Path) -> list[Path]:
    from model_export.plots import draw

    try:
        return draw(found, folder)
    except OSError as error:
        raise StopJob(f"the plots cannot be written: {error}") from error


def _print(found: Judgement, pictures: list[Path]) -> None:
    out = console()
    out.print(
        f"{found.task} by {found.model} ({found.precision}, {found.provider}) on {escape(found.data)}", highlight=False
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("figure", "value", "95 % interval"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    table.add_row("n", f"{found.n:,}", "")
    for name in _FIGURES:
        interval = found.intervals[name]
        table.add_row(name, f"{getattr(found, name):.3f}", f"{interval.low:.3f} to {interval.high:.3f}")
    table.add_row("calibration_error", f"{found.calibration_error:.3f}", "")
    if found.truncated:
        table.add_row("truncated", f"{found.truncated:,}", "")
    out.print(table)
    out.print(_labels(found))
    for kind, slices in found.slices.items():
        named = "length, characters" if kind == "length" else kind
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in (named, "n", *_FIGURES, "calibration_error"):
            table.add_column(column, justify="left" if column == named else "right")
        for name, part in slices.items():
            figures = (f"{getattr(part, figure):.3f}" for figure in (*_FIGURES, "calibration_error"))
            table.add_row(escape(printable(name)), f"{part.n:,}", *figures)
        out.print(table)
    for path in pictures:
        out.print(f"drew {escape(str(path))}", highlight=False)


def _labels(found: Judgement) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("label", "n", "precision", "recall", "f1", *(f"as {label}" for label in found.labels)):
        table.add_column(column, justify="left" if column == "label" else "right")
    for (label, figures), counts in zip(found.labels.items(), found.confusion, strict=True):
        shares = (f"{value:.3f}" for value in (figures.precision, figures.recall, figures.f1))
        table.add_row(escape(printable(label)), f"{figures.n:,}", *shares, *(f"{count:,}" for count in counts))
    return table


def flat(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Figures by data set and name, as one name each."""
    return {f"{data}/{name}": value for data, figures in found.items() for name, value in figures.items()}


PARTS = {
    "evaluate": Part(
        "judge a published model on a file of labelled texts",
        "Accuracy, macro-F1, macro-recall and calibration error of a published model, by label and by slice, through "
        'the engine that serves. A line is {"text", "label"}, or {"premise", "hypothesis", "label"}, with "source" and '
        '"lang" where they are known; labels go by name, in any case.',
        _arguments,
        run,
    )
}
