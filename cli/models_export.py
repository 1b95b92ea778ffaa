"""``groundswell models export``, ``optimise``, ``import`` and ``baseline``: what makes graphs to publish."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.markup import escape
from rich.table import Table

from cli.models_parts import Part, add_json, add_repository, at_least_one, console, count, needs, place, steps
from cli.options import load
from cli.printing import printable
from groundswell.errors import SettingsError
from model_export.labelled_file import read

if TYPE_CHECKING:
    from model_export.forms import Optimised

#: Where runs lie unless told otherwise.
_RUNS = Path("runs")
_FIGURES = ("accuracy", "macro_f1", "macro_recall", "calibration_error")


def run_export(args: argparse.Namespace) -> int:
    """Write the graph of a trained run; ``ModelError`` where it does not answer as the network does."""
    load(args)
    with needs("train", "exporting"):
        from model_export.export import export
    samples = None if args.data is None else [row.text for row in read(args.data)]
    with steps(f"exporting {args.folder.name}"):
        found = export(args.folder, samples=samples, opset=args.opset)
    if args.json:
        print(msgspec.json.encode(found).decode())
        return 0
    out = console()
    space = f"; embeddings in the space {found.embedding_space}" if found.embedding_space else ""
    out.print(f"exported {escape(str(found.path))}, opset {found.opset}{escape(space)}", highlight=False)
    out.print(_distances(found.parity))
    return 0


def _distances(parity: Mapping[str, float]) -> Table:
    table = _table("output", "largest distance from the network")
    for name, value in parity.items():
        table.add_row(escape(name), f"{value:.2g}")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in ("form", "task", "data", "output") else "right")
    return table


def run_optimise(args: argparse.Namespace) -> int:
    """Write the other forms of a run's graph, each with what it loses and gains."""
    load(args)
    with needs("export", "optimising"):
        from model_export.forms import FORMS, INT8_STATIC
        from model_export.optimise import optimise
    # Static scales need texts to be worked out from.
    usual = [form for form in FORMS if args.data is not None or form != INT8_STATIC]
    forms = usual if args.forms is None else [form.strip() for form in args.forms.split(",")]
    if unknown := [form for form in forms if form not in FORMS]:
        raise SettingsError(f"--forms {args.forms}: there is no form {unknown[0]!r}: there are {', '.join(FORMS)}")
    with steps(f"optimising {args.folder.name}") as show:
        found = optimise(
            args.folder, forms, data=args.data, word_bits=args.word_bits, threads=args.threads, progress=show
        )
    if args.json:
        print(msgspec.json.encode(found).decode())
        return 0
    out = console()
    out.print(_speeds(found))
    out.print(_losses(found))
    for note in found.notes:
        out.print(escape(printable(note)), highlight=False)
    return 0


def _speeds(found: Optimised) -> Table:
    table = _table("form", "MB", "texts/s", "gain")
    table.add_row("fp32", f"{found.bytes / 1e6:.1f}", f"{found.texts_per_second:,.0f}", "1.00")
    for name, form in found.forms.items():
        table.add_row(name, f"{form.bytes / 1e6:.1f}", f"{form.texts_per_second:,.0f}", f"{form.gain:.2f}")
    return table


def _losses(found: Optimised) -> Table:
    """A line for each form and head: macro-recall where labels are known, the cosine of embeddings."""
    table = _table("form", "task", "data", "n", "same label", "farthest", "macro-recall", "change", "95 % interval")
    for name, form in found.forms.items():
        for task, loss in form.classes.items():
            told = (name, escape(task)), (f"{loss.agreement:.2%}", f"{loss.largest:.3f}")
            for data, pair in loss.sets.items():
                change = f"{pair.difference:+.4f}", f"{pair.low:+.4f} to {pair.high:+.4f}"
                table.add_row(*told[0], escape(printable(data)), f"{pair.n:,}", *told[1], f"{pair.after:.4f}", *change)
            if not loss.sets:
                table.add_row(*told[0], "", f"{loss.texts:,}", *told[1])
        if form.embedding is not None:
            cosine = f"cosine {form.embedding.worst_cosine:.4f} at worst, {form.embedding.mean_cosine:.4f} on average"
            table.add_row(name, "embedding", cosine, f"{form.embedding.texts:,}")
            for kind, points in form.embedding.points_lost.items():
                table.add_row(name, "embedding", f"{kind}: {points:+.2f} points lost")
    return table


def run_import(args: argparse.Namespace) -> int:
    """Make a run of a Hugging Face folder on disk."""
    load(args)
    with needs("train", "importing"):
        from model_export.import_folder import import_folder
    run = args.out or _RUNS / args.folder.resolve().name
    with steps(f"importing {args.folder.name}"):
        found = import_folder(
            args.folder,
            run,
            task=args.task,
            normaliser=args.normaliser,
            max_length=args.max_length,
            pairs=args.pairs,
        )
    if args.json:
        print(msgspec.json.encode(found).decode())
        return 0
    out = console()
    out.print(
        f"imported the {escape(found.architecture)} of {escape(str(args.folder))} into {escape(str(run))}, "
        f"opset {found.opset}; licence: {escape(printable(found.licence or 'not stated'))}",
        highlight=False,
    )
    out.print(_distances(found.parity))
    return 0


def run_baseline(args: argparse.Namespace) -> int:
    """Train and publish the baseline."""
    there, _ = place(args)
    with needs("export", "training the baseline"):
        from model_export.baseline import make
    ref, evaluations = make(args.data, there.root, there.cache)
    if args.json:
        figures = {name: found.flat() for name, found in evaluations.items()}
        print(json.dumps({"model": ref.name, "version": ref.version, "metrics": figures}))
        return 0
    out = console()
    out.print(f"published {ref.name}@{ref.version} in {escape(there.open().where)}", highlight=False)
    table = _table("data", "n", *_FIGURES)
    for name, found in evaluations.items():
        table.add_row(name, f"{found.n:,}", *(f"{getattr(found, figure):.3f}" for figure in _FIGURES))
    out.print(table)
    return 0


def run_words(args: argparse.Namespace) -> int:
    """Count and publish the word model."""
    there, _ = place(args)
    with needs("export", "making the word model"):
        from model_export.words import make
    ref, found = make(args.data, there.root, there.cache, args.frequencies)
    if args.json:
        figures = {name: each.flat() for name, each in found.items()}
        print(json.dumps({"model": ref.name, "version": ref.version, "metrics": figures}))
        return 0
    out = console()
    out.print(f"published {ref.name}@{ref.version} in {escape(there.open().where)}", highlight=False)
    table = _table("set", "n", "accuracy", "95 % interval")
    for name, each in found.items():
        table.add_row(name, f"{each.n:,}", f"{each.share:.3f}", f"{each.low:.3f} to {each.high:.3f}")
    out.print(table)
    return 0


def _run_folder(parser: argparse.ArgumentParser, help_text: str) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help=help_text)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _run_folder(parser, "folder of a trained run, such as runs/encoder")
    parser.add_argument("--opset", type=int, default=18, metavar="N", help="ONNX opset (default: 18)")
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="labelled file whose texts must be answered alike, beside our own"
    )
    add_json(parser)


def _optimise_arguments(parser: argparse.ArgumentParser) -> None:
    _run_folder(parser, "folder of a run that is exported")
    parser.add_argument(
        "--forms",
        metavar="A,B,...",
        help="of fused, fp16, int8 and int8-static those to make (default: all; without --data not int8-static)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="what quality is measured on: a labelled file, or the folder of the recipe's data sets",
    )
    parser.add_argument(
        "--word-bits",
        type=int,
        choices=(4, 8),
        default=8,
        help="bits of a number in the int8 forms' tables of words (default: 8)",
    )
    parser.add_argument(
        "--threads", type=count, default=1, metavar="N", help="processors that speed is measured on (default: 1)"
    )
    add_json(parser)


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="a Hugging Face folder: config.json, tokenizer, *.safetensors"
    )
    parser.add_argument(
        "--task", required=True, help="what it answers: sentiment, emotion, nli, embedding, or a task of yours"
    )
    parser.add_argument("--out", type=Path, metavar="RUN", help="folder of the run (default: runs/<the folder's name>)")
    parser.add_argument(
        "--normaliser",
        choices=("none", "social"),
        default="none",
        help="what happens to a text before it is read; social: addresses become http, mentions @user (default: none)",
    )
    parser.add_argument(
        "--max-length", type=at_least_one, metavar="N", help="tokens of a window (default: what it was made for)"
    )
    parser.add_argument("--pairs", action="store_true", help="it reads a premise and a hypothesis")
    add_json(parser)


def _baseline_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="folder of the public data")
    add_repository(parser)
    add_json(parser)


def _words_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="folder of the public data")
    parser.add_argument(
        "--frequencies",
        type=Path,
        metavar="FILE",
        help="table of the probabilities of words (default: that of the package spacy-lookups-data)",
    )
    add_repository(parser)
    add_json(parser)


PARTS = {
    "words": Part(
        "count and publish the word model that reads hashtags",
        "Count words and pairs of words, judge the model on hashtags with known words, and publish it.",
        _words_arguments,
        run_words,
    ),
    "baseline": Part(
        "train and publish the sentiment baseline",
        "Train, calibrate, judge, export and publish the sentiment baseline.",
        _baseline_arguments,
        run_baseline,
    ),
    "import": Part(
        "make a run of a Hugging Face folder on disk",
        "Take in a BERT, RoBERTa, DistilBERT or DeBERTa, a sequence classifier or an encoder, from a folder on disk "
        "(safetensors only), as a run that is exported already; optimise and publish go on from there.",
        _import_arguments,
        run_import,
    ),
    "export": Part(
        "write a trained run as an ONNX graph",
        "Write a trained run as an ONNX graph. It must answer golden inputs as the network does, padded and unpadded; "
        "a graph that does not is refused.",
        _export_arguments,
        run_export,
    ),
    "optimise": Part(
        "make the graph faster: fused, fp16, int8",
        "Write a run's graph fused, in fp16, and in int8 with dynamic and with static scales, and measure what each "
        "loses in quality and gains in speed over the exported one.",
        _optimise_arguments,
        run_optimise,
    ),
}
