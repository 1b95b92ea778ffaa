"""``groundswell embed``: vectors for the documents that have none in the space of the model in use."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli import stores
from cli.options import load
from cli.printing import printable
from cli.progress_columns import Rate, Waiting, waited_for
from cli.progress_lines import Pace, lines
from cli.stopping import stopped_by_signals
from connectors.document_store import DocumentStore
from connectors.document_vectors import SpaceCount
from dataflows import models
from dataflows.embed import Backfill, Filled, left_to_do
from groundswell.errors import GroundswellError, SettingsError
from groundswell.settings import Settings
from groundswell.waits import Waits
from inference.limits import Lane
from inference.tasks import EMBEDDING


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "embed",
        description="Give vectors to the documents that lack one in the embedding space of models.posts, newest first: "
        "documents of another model, and those of an index that was there before. Stop it and call it again as you "
        "like: it goes on where it was. Fresh posts on the same device go first.",
    )
    parser.add_argument("--documents", metavar="URL", help="document store: sqlite:///PATH or http(s)://HOST:PORT")
    parser.add_argument("--limit", type=int, metavar="N", help="take up N documents at most")
    parser.add_argument("--status", action="store_true", help="only count the documents of each space")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fill in vectors, or count them; the exit code is 130 when it was told to stop before the end."""
    settings = load(args, *([f"documents.url={args.documents}"] if args.documents else []))
    if args.limit is not None and args.limit < 1:
        raise SettingsError(f"--limit {args.limit}: expected 1 or more")
    space = models.embedding_space(settings)
    with stores.documents(settings) as store:
        store.prepare()
        if args.status:
            _print_status(store.count_spaces(), space, as_json=args.json)
            return 0
        stop = threading.Event()
        with stopped_by_signals(stop):
            filled, left = _fill(settings, store, stop, args.limit)
    print(json.dumps({**filled._asdict(), "left": left}) if args.json else _said(filled, left))
    return 130 if stop.is_set() else 0


def begin(settings: Settings, model: str, repository: str) -> int:
    """Start the backfill after a champion of ``model`` in ``repository`` has moved its embeddings to a new space.

    Where posts are not read with that model, or the documents cannot be embedded now, says
    what to call later. Prints on standard error. Returns an exit code: 0, or 130 when it was
    told to stop before the end; the next run goes on there.
    """
    later = "call groundswell embed: until then a search by meaning does not find what is stored"
    posts = settings.models
    if (posts.posts.partition("@")[0], posts.repository) != (model, repository):
        print(f"once models.posts is {model} of this repository, {later}", file=sys.stderr)
        return 0
    stop = threading.Event()
    try:
        space = models.embedding_space(settings)
        print(f"giving the stored documents vectors of the space {printable(space)}", file=sys.stderr)
        with stores.documents(settings) as store, stopped_by_signals(stop):
            store.prepare()
            filled, left = _fill(settings, store, stop, None)
    except GroundswellError as error:
        print(f"they get none now ({error}); {later}", file=sys.stderr)
        return 0
    print(_said(filled, left), file=sys.stderr)
    return 130 if stop.is_set() else 0


def _fill(settings: Settings, store: DocumentStore, stop: threading.Event, limit: int | None) -> tuple[Filled, int]:
    """One run; what it did, and how many documents lack a vector afterwards."""
    waits = Waits()
    model = models.open_model(settings, [EMBEDDING], shared=True)
    assert model is not None  # noqa: S101 - models that are turned off have no space
    with model:
        embed = partial(model.embed, lane=Lane.BACKFILL, cancelled=stop)
        todo = left_to_do(store.count_spaces(), models.embedding_space(settings))
        with _progress(todo if limit is None else min(todo, limit), waits) as on_progress:
            filled = Backfill(store, embed, waits, stop, limit=limit, on_progress=on_progress).run()
    store.refresh()
    return filled, left_to_do(store.count_spaces(), filled.space)


def _said(filled: Filled, left: int) -> str:
    lines = [f"{filled.written:,} documents have got a vector of the space {printable(filled.space)}"]
    if filled.unreadable:
        lines.append(f"{filled.unreadable:,} have a text that the model cannot read, and are noted as such")
    if left:
        lines.append(f"{left:,} still lack one: they came in meanwhile, or may not be changed; call it again")
    return "\n".join(lines)


def _print_status(counts: Sequence[SpaceCount], space: str, *, as_json: bool) -> None:
    left = left_to_do(counts, space)
    if as_json:
        spaces = [{"space": count.space, "documents": count.documents, "vectors": count.vectors} for count in counts]
        print(json.dumps({"space": space, "left": left, "spaces": spaces}))
        return
    for count in sorted(counts, key=lambda count: (count.space != space, -count.documents)):
        name = "no space yet" if count.space is None else printable(count.space)
        marks = ["in use"] if count.space == space else []
        if count.space is not None and count.vectors < count.documents:
            marks.append(f"{count.documents - count.vectors:,} without a vector: the model could not read them")
        print(f"{count.documents:>14,}  {name}" + (f" ({', '.join(marks)})" if marks else ""))
    print(f"{left:>14,}  to do: groundswell embed" if left else f"all documents have the space {printable(space)}")


@contextmanager
def _progress(total: int, waits: Waits) -> Iterator[Callable[[int], None]]:
    """A bar with rate and time left on a terminal, otherwise a line now and then."""
    if not sys.stderr.isatty():
        pace, done, lock = Pace(), 0, threading.Lock()
        pace.show(0, total)

        def advance(more: int) -> None:
            nonlocal done
            with lock:
                done += more
                pace.show(done, total)

        with lines(lambda: f"{pace.line('documents')} {waited_for(waits)}".rstrip()):
            yield advance
        return
    bar = Progress(
        TextColumn("embedding"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        Waiting(waits),
        console=Console(stderr=True),
        speed_estimate_period=60.0,
    )
    with bar:
        yield partial(bar.advance, bar.add_task("", total=total))
