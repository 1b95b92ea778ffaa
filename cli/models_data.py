"""``groundswell models data``: what is in a file of labelled texts, and what is wrong with it."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
from rich.markup import escape
from rich.table import Table

from cli.models_parts import Part, add_json, console
from cli.options import load
from cli.printing import printable
from groundswell.errors import SettingsError
from inference.tasks import LABELS
from model_export.data_report import KINDS, DataReport, report

_MOST_LINES = 12


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON Lines, plain or .gz")
    known = parser.add_mutually_exclusive_group()
    known.add_argument("--task", choices=sorted(LABELS), help="the task whose labels it must hold")
    known.add_argument("--labels", metavar="A,B,...", help="the labels that it must hold")
    parser.add_argument(
        "--against",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a file that must share no text with it, as training and validation data; may be repeated",
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="KIND",
        help="an anomaly that is no reason to fail; may be repeated",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """The exit code is 1 for a file with anomalies that were not allowed."""
    load(args)
    for kind in args.allow:
        if kind not in KINDS:
            raise SettingsError(f"--allow {kind}: there is no such anomaly; there are {', '.join(KINDS)}")
    labels = [label.strip() for label in args.labels.split(",")] if args.labels else sorted(LABELS.get(args.task, ()))
    found = report(args.file, labels=labels, against=args.against)
    bad = [anomaly for anomaly in found.anomalies if anomaly.kind not in args.allow]
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        _print(found, args.allow)
    return 1 if bad else 0


def _print(found: DataReport, allowed: list[str]) -> None:
    out = console()
    kind = "pairs" if found.pairs else "texts"
    out.print(f"{escape(found.path)}: {found.rows:,} {kind}, {found.distinct:,} of them distinct", highlight=False)
    if found.columns:
        out.print("columns: " + ", ".join(_share(each.name, each.share) for each in found.columns), highlight=False)
    if found.lengths:
        lengths = found.lengths
        out.print(
            f"characters: {lengths.least:,} to {lengths.most:,}, median {lengths.median:,.0f}, "
            f"95 % up to {lengths.p95:,.0f}, 99 % up to {lengths.p99:,.0f}",
            highlight=False,
        )
    for name, counts in (("label", found.labels), ("source", found.sources), ("language", found.languages)):
        if counts:
            out.print(_counted(name, counts, found.rows))
    if not found.anomalies:
        out.print("no anomalies")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("anomaly", "rows", "lines", "for example"):
        table.add_column(column, justify="right" if column == "rows" else "left", overflow="fold")
    for anomaly in found.anomalies:
        mark = " (allowed)" if anomaly.kind in allowed else ""
        lines = ", ".join(map(str, anomaly.lines)) + (", …" if anomaly.rows > len(anomaly.lines) else "")
        rows = f"{anomaly.rows:,}" if anomaly.rows else ""
        table.add_row(f"{anomaly.kind}{mark}", rows, lines, escape(printable(anomaly.detail)))
    out.print(table)


def _counted(name: str, counts: dict[str, int], rows: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(name)
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    for value, count in list(counts.items())[:_MOST_LINES]:
        table.add_row(escape(printable(value)), f"{count:,}", f"{count / rows:.1%}")
    if len(counts) > _MOST_LINES:
        table.add_row(f"({len(counts) - _MOST_LINES} more)", "", "")
    return table


def _share(name: str, share: float) -> str:
    return escape(printable(name)) + ("" if share == 1 else f" ({share:.1%} of the rows)")


PARTS = {
    "data": Part(
        "look through a file of labelled texts",
        "Statistics, schema and anomalies of a file of labelled texts; the exit code is 1 when it has anomalies. "
        "Anomalies: " + "; ".join(f"{kind}: {rule}" for kind, rule in KINDS.items()) + ".",
        _arguments,
        run,
    )
}
