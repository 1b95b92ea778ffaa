"""``groundswell models export``, ``optimise``, ``import`` and ``baseline``: what makes graphs to publish."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
from rich.markup import escape
from rich.table import Table

from cli.models_parts import Part, add_json, console, needs, progress
from cli.options import load
from groundswell.errors import SettingsError

#: Where runs lie unless told otherwise.
_RUNS = Path("runs")


def run_export(args: argparse.Namespace) -> int:
    """Write the graph of a trained run; ``ModelError`` where it does not answer as the network does."""
    load(args)
    with needs("train", "exporting"):
        from model_export.export import export
    from model_export.labelled_file import read

    samples = None if args.data is None else [row.text for row in read(args.data)]
    with progress(f"exporting {args.folder.name}"):
        found = export(args.folder, samples=samples, opset=args.opset)
    if args.json:
        print(msgspec.json.encode(found).decode())
        return 0
    out = console()
    out.print(f"exported {escape(str(found.path))}, opset {found.opset}", highlight=False)
    out.print(_distances(found.parity))
    return 0


def _distances(parity: dict[str, float]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("distance of the graph from the network")
    table.add_column("largest", justify="right")
    for name, value in parity.items():
        table.add_row(escape(name), f"{value:.2g}")
    return table


def run_optimise(args: argparse.Namespace) -> int:
    """Write the other forms of a run's graph, each with what it loses and gains."""
    load(args)
    with needs("export", "optimising"):
        from model_export.optimise import FORMS, optimise
    forms = tuple(args.forms.split(",")) if args.forms else tuple(FORMS)
    unknown = [form for form in forms if form not in FORMS]
    if unknown:
        raise SettingsError(f"--forms {args.forms}: there is no form {unknown[0]!r}: there are {', '.join(FORMS)}")
    with progress(f"optimising {args.folder.name}", "steps") as show:
        found = optimise(
            args.folder, forms, data=args.data, word_bits=args.word_bits, threads=args.threads or 1, progress=show
        )
    if args.json:
        print(msgspec.json.encode(found).decode())
        return 0
    console().print(msgspec.to_builtins(found))
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Make a run of a Hugging Face folder on disk."""
    load(args)
    with needs("train", "importing"):
        from model_export.import_folder import import_folder
    run = args.out or _RUNS / args.folder.resolve().name
    with progress(f"importing {args.folder.name}"):
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
    console().print(f"imported {escape(str(args.folder))} into {escape(str(run))}", highlight=False)
    return 0


def run_baseline(args: argparse.Namespace) -> int:
    """Train and publish the baseline."""
    load(args)
    with needs("export", "training the baseline"):
        from model_export import baseline
    return baseline.run(args)


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
        "--forms", metavar="A,B,...", help="of fused, fp16, int8 and int8-static those to make (default: all)"
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
        "--threads", type=int, default=1, metavar="N", help="processors that speed is measured on (default: 1)"
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
        "--max-length", type=int, metavar="N", help="tokens of a window (default: what it was made for)"
    )
    parser.add_argument("--pairs", action="store_true", help="it reads a premise and a hypothesis")
    add_json(parser)


def _baseline_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public data")
    parser.add_argument("--out", type=Path, default=Path("models"), help="model repository to publish in")


PARTS = {
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
