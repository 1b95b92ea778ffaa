"""``groundswell classify``: texts by labels that no model was trained for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.options import load
from cli.printing import printable
from cli.progress_lines import lines
from connectors.given_texts import GivenText, given_texts
from dataflows.classify import Ask, Classifier, open_classifier
from groundswell.errors import SettingsError, StopJob
from groundswell.records import Scores
from inference.rows import RowError

#: Texts that are given to the model at once.
_CHUNK = 256
_STDIN = "-"
_BAR = 40


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "classify",
        description="Say which label fits a text, with labels of your own that no model was trained for. Where the "
        "repository holds a cross-encoder (reclassify.cross_encoder), it judges whether the text is about each label; "
        "otherwise the embeddings of models.posts tell what is near. Labels compete for one text, unless --several; a "
        "single label gets the probability that the text is about it.",
    )
    parser.add_argument("text", nargs="?", metavar="TEXT", help="the text")
    parser.add_argument(
        "--label", action="append", default=[], metavar="LABEL", help="a word or a phrase; may be repeated"
    )
    parser.add_argument(
        "--file", metavar="FILE", help='texts, a line each, or JSON lines with a "text"; - is standard input'
    )
    parser.add_argument("--several", action="store_true", help="several labels may be right, or none")
    parser.add_argument("--by", choices=("entailment", "embedding"), help="how to judge (default: see above)")
    parser.add_argument("--json", action="store_true", help="one JSON object a text (what --file prints)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the probabilities; the exit code is 1 for a text that the model cannot read."""
    settings = load(args)
    labels = _labels(args.label)
    if (args.text is None) == (args.file is None):
        raise SettingsError("give one text, or --file FILE with a text a line (- is standard input)")
    if args.file is None:
        if not args.text.strip():
            raise SettingsError("the text is empty")
        with open_classifier(settings, labels, way=args.by, several=args.several) as classifier:
            (found,) = classifier.ask([args.text])
        if args.json:
            print(_line(GivenText(args.text), found))
        elif isinstance(found, RowError):
            raise StopJob(f"the model cannot read the text: {found.detail}")
        else:
            Console().print(_table(found))
            print(_way(classifier), file=sys.stderr)
        return 1 if isinstance(found, RowError) else 0
    with _opened(args.file) as file:
        texts = given_texts(file, "standard input" if args.file == _STDIN else args.file)
        # What cannot be read is told before a model is loaded.
        first = list(islice(texts, _CHUNK))
        with open_classifier(settings, labels, way=args.by, several=args.several) as classifier:
            print(_way(classifier), file=sys.stderr)
            return _classify_all(classifier.ask, first, texts)


def _classify_all(ask: Ask, first: Sequence[GivenText], rest: Iterator[GivenText]) -> int:
    done, unread, chunk = 0, 0, list(first)
    with lines(lambda: f"{done:,} texts"):
        while chunk:
            for given, found in zip(chunk, ask([each.text for each in chunk]), strict=True):
                print(_line(given, found))
                unread += isinstance(found, RowError)
            done += len(chunk)
            chunk = list(islice(rest, _CHUNK))
    if unread:
        print(f'{unread:,} of {done:,} texts could not be read (see their "error")', file=sys.stderr)
    return 1 if unread else 0


def _labels(given: Sequence[str]) -> list[str]:
    if not given:
        raise SettingsError('name at least one label: --label sports --label "public health"')
    labels = [" ".join(label.split()) for label in given]
    if not all(labels):
        raise SettingsError("--label is empty: a label is a word or a phrase")
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise SettingsError(f"--label {twice!r} is there twice")
    return labels


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == _STDIN:
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(name).open("rb"))
        except OSError as error:
            raise StopJob(f"--file {name}: {error.strerror or error}") from None
        yield file


def _line(given: GivenText, found: Scores | RowError) -> str:
    about = {"error": found.detail} if isinstance(found, RowError) else msgspec.to_builtins(found)
    return msgspec.json.encode(msgspec.to_builtins(given) | about).decode()


def _table(found: Scores) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for label, score in sorted(found.scores.items(), key=lambda each: -each[1]):
        table.add_row(escape(printable(label)), f"{score:.3f}", "█" * round(_BAR * score))
    return table


def _way(classifier: Classifier) -> str:
    return f"by {classifier.way}, {', '.join(classifier.models)}"
