"""``groundswell evaluate relevance``: DCG, NDCG and average precision, with the classification and without."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli import stores
from cli.options import load
from cli.printing import printable
from connectors.judgments import read_judgments
from dataflows.relevance import Figures, Means, Relevance, evaluate
from groundswell.errors import SettingsError

_FIGURES = ("dcg", "ndcg", "ap")


def add_parser(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = parts.add_parser(
        "relevance",
        help="DCG, NDCG and average precision of searches, with the classification and without",
        description="Compare two orders of the stored documents for each judged query: that of a plain full-text "
        "search (of a #tag: its documents, newest first), and that by the probability of the query's tag "
        "(classification_TAG; the words of a query as one tag). A document that nobody judged holds its rank and "
        "counts as not relevant; one that is judged and not found counts against the order.",
    )
    parser.add_argument(
        "judgments",
        type=Path,
        metavar="JUDGMENTS.csv",
        help="query (#tag or words), document (its id in the store or the post's own), grade (0: not relevant)",
    )
    parser.add_argument("--k", type=int, default=10, metavar="N", help="rank of DCG and NDCG (default: %(default)s)")
    parser.add_argument("--documents", metavar="URL", help="document store: sqlite:///PATH or http(s)://HOST:PORT")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the figures; the exit code is 1 when no document carries a classification for any query."""
    settings = load(args, *([f"documents.url={args.documents}"] if args.documents else []))
    if args.k < 1:
        raise SettingsError(f"--k {args.k}: expected 1 or more")
    judgments = read_judgments(args.judgments)
    with stores.documents(settings) as store:
        found = evaluate(store, judgments, args.k)
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        Console().print(_table(found))
    for line in _said(found):
        print(line, file=sys.stderr)
    return 0 if any(each.classified is not None for each in found.queries) else 1


def _table(found: Relevance) -> Table:
    table = Table(box=None, pad_edge=False)
    # Where room is short, the queries are cut before any figure.
    table.add_column("query", overflow="ellipsis", no_wrap=True, ratio=1)
    for name in ("judged", "relevant"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    for figure in (f"DCG@{found.k}", f"NDCG@{found.k}", "AP"):
        table.add_column(figure, justify="right", no_wrap=True, min_width=len(figure))
        table.add_column("with", justify="right", style="bold", no_wrap=True, min_width=5)
    for each in found.queries:
        table.add_row(
            escape(printable(each.query)),
            f"{each.judged:,}",
            f"{each.relevant:,}",
            *_pairs(each.plain, each.classified),
        )
    if found.mean is not None and len(found.queries) > 1:
        table.add_row(f"mean of {found.mean.queries}", "", "", *_mean(found.mean), end_section=True)
    return table


def _pairs(plain: Figures, classified: Figures | None) -> list[str]:
    return [
        _shown(None if figures is None else getattr(figures, name))
        for name in _FIGURES
        for figures in (plain, classified)
    ]


def _mean(mean: Means) -> list[str]:
    return [_shown(getattr(mean, f"{order}_{name}")) for name in _FIGURES for order in ("plain", "classified")]


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.3f}"


def _said(found: Relevance) -> list[str]:
    lines = []
    for each in found.queries:
        query = printable(each.query)
        if not each.relevant:
            lines.append(f"{query}: nothing is judged relevant, so there is no NDCG and no AP")
        if each.classified is None:
            tag = printable(each.tag)
            lines.append(
                f"{query}: documents have no classification by #{tag}: groundswell reclassify {tag}"
                if tag
                else f"{query}: this makes no hashtag, so documents have no classification by it"
            )
        if each.missing:
            lines.append(f"{query}: {each.missing:,} judged documents are not in the store")
    return lines
