"""``groundswell reclassify``: the stored documents re-read in the light of a tag, by hand."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import msgspec
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from cli import stores
from cli.options import load
from cli.printing import moment, printable
from cli.progress_columns import Rate, Waiting, waited_for
from cli.progress_lines import Pace, lines
from cli.spans import span
from cli.stopping import stopped_by_signals
from connectors.document_store import DocumentStore, Hit
from dataflows import models
from dataflows.embed import left_to_do
from dataflows.reclassify_by_hand import STOPPED, Board, ByHand, Ended, best, open_board, take_off
from groundswell.errors import SettingsError, StopJob
from groundswell.settings import Settings
from groundswell.topics import Progress, Topic
from groundswell.waits import Waits
from inference.tasks import EMBEDDING, OF_DOCUMENTS
from operators.hashtags import normalise


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "reclassify",
        description="Re-read the stored documents in the light of a hashtag, as the job does by itself when one begins "
        "to trend: each that may be about it gets a calibrated probability, classification_TAG. What the tag means is "
        "told by the documents that carry it, or by --label, or by both. Stop it and call it again as you like: it "
        "goes on where it was. Where a job's Redis answers, posts that come in are scored as well, until --stop.",
    )
    parser.add_argument("tag", metavar="TAG", help="the hashtag, with or without its sign")
    parser.add_argument("--label", metavar="TEXT", help="what it is about, in a few words")
    parser.add_argument("--stop", action="store_true", help="score posts that come in by this tag no more")
    parser.add_argument("--documents", metavar="URL", help="document store: sqlite:///PATH or http(s)://HOST:PORT")
    parser.add_argument("--coverage", choices=("candidates", "all"), help="short for --set reclassify.coverage=...")
    parser.add_argument("--scorer", choices=("evidence", "nli"), help="short for --set reclassify.scorer=...")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Re-read, or stop; the exit code is 130 when it was told to stop before the end."""
    given = {"documents.url": args.documents, "reclassify.coverage": args.coverage, "reclassify.scorer": args.scorer}
    settings = load(args, *(f"{key}={value}" for key, value in given.items() if value))
    tags = normalise([args.tag])
    if not tags:
        raise SettingsError(f"{args.tag!r} is no hashtag: name one as people write it")
    label = None if args.label is None else " ".join(args.label.split())
    if label == "":
        raise SettingsError("--label is empty: say in a few words what the tag is about")
    with open_board(settings) as board:
        if args.stop:
            return _stop(board, tags[0])
        with stores.documents(settings) as store:
            return _reclassify(settings, store, board, tags[0], label, as_json=args.json)


def _stop(board: Board, tag: str) -> int:
    shown = printable(f"#{tag}")
    if board.topics is None:
        raise StopJob(f"no topic is followed: {board.reason}")
    if take_off(board.topics, tag) is None:
        raise StopJob(f"posts are not scored by {shown} now (groundswell topics shows by which they are)")
    print(f"posts that come in are scored by {shown} no more; what is scored stays")
    return 0


def _reclassify(
    settings: Settings, store: DocumentStore, board: Board, tag: str, label: str | None, *, as_json: bool
) -> int:
    store.prepare()
    began, waits, stop = time.monotonic(), Waits(), threading.Event()
    manifest = models.posts_manifest(settings)
    embeds = manifest is not None and manifest.embedding_space is not None
    if board.topics is None:
        print(f"only what is in the store is scored: {printable(board.reason)}", file=sys.stderr)
    with ExitStack() as stack:
        stack.enter_context(stopped_by_signals(stop))
        model = models.open_model(settings, [EMBEDDING] if embeds else OF_DOCUMENTS, shared=True, pairs_too=True)
        if model is not None:
            stack.enter_context(model)
        show = stack.enter_context(_progress(waits))
        by_hand = ByHand(settings, store, board.topics, model, tag, label, waits, stop, _say_topic, show)
        ended = by_hand.run()
    hits = best(store, tag, ended.field)
    seconds = time.monotonic() - began
    if as_json:
        shown = [{"_id": hit.id} | msgspec.to_builtins(hit.document) for hit in hits]
        print(json.dumps(msgspec.to_builtins(ended) | {"seconds": round(seconds, 3), "best": shown}))
    else:
        print("\n".join(_said(ended, hits, seconds, settings.reclassify.threshold)))
    if manifest is not None and manifest.embedding_space is not None:
        left = left_to_do(store.count_spaces(), manifest.embedding_space)
        if left:
            print(
                f"{left:,} documents have no vector of the space in use, and were found by the tag alone: "
                "groundswell embed",
                file=sys.stderr,
            )
    return 130 if ended.ended == STOPPED else 0


def _say_topic(topic: Topic, again: bool) -> None:
    if again:
        print("going on where it was stopped", file=sys.stderr)
    print(f"label: {printable(topic.label)}", file=sys.stderr)
    print(f"words: {printable(', '.join(word for word, _ in topic.words)) or 'none'}", file=sys.stderr)
    for step in topic.steps:
        print(f"step: {printable(step)}", file=sys.stderr)


def _said(ended: Ended, hits: Sequence[Hit], seconds: float, threshold: float) -> list[str]:
    looked = f"{ended.examined:,} candidates read, {ended.scored:,} documents scored"
    about = f"{ended.members:,} of them about #{printable(ended.tag)} (at least {threshold:g})"
    lines = [f"{looked}, {about}, {ended.judged:,} read by the cross-encoder, in {span(seconds)}"]
    again = printable(f"groundswell reclassify {ended.tag}")
    if ended.ended == STOPPED:
        lines.append(f"stopped before the end; what is scored stays, and the same command goes on: {again}")
    elif ended.ended != "done":
        lines.append("ended early: the topic was taken off, or somebody has given the tag a newer one")
    if ended.fresh:
        lines.append(f"posts that come in are scored as well, until {again} --stop")
    lines.append(f"to sort by: {printable(ended.field)}")
    lines += [_hit(hit, ended.tag) for hit in hits]
    return lines


def _hit(hit: Hit, tag: str) -> str:
    document = hit.document
    score = document.classification[tag].score
    tagged = "#" if tag in document.hashtags else " "
    author = printable(document.author or "-")
    return f"{score:.3f} {tagged} {moment(document.created_at)}  {author}  {printable(document.text)}"


@contextmanager
def _progress(waits: Waits) -> Iterator[Callable[[Progress], None]]:
    """A bar with rate and time left on a terminal, otherwise a line now and then."""
    if not sys.stderr.isatty():
        pace, began = Pace(), time.monotonic()

        def note(progress: Progress) -> None:
            rate = progress.examined / max(time.monotonic() - began, 1e-9)
            pace.show(
                progress.examined, _total(progress) or 0, f"{progress.phase}: {_counted(progress)}, {rate:,.0f}/s"
            )

        with lines(lambda: f"{pace.line('documents')} {waited_for(waits)}".rstrip()):
            yield note
        return
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[counted]}"),
        Rate(),
        TimeRemainingColumn(),
        Waiting(waits),
        console=Console(stderr=True),
        speed_estimate_period=60.0,
        transient=True,
    )
    with bar:
        task = bar.add_task("describing the topic", total=None, counted="")

        def advance(progress: Progress) -> None:
            bar.update(
                task,
                description=progress.phase,
                completed=progress.examined,
                total=_total(progress),
                counted=_counted(progress),
            )

        yield advance


def _total(progress: Progress) -> int | None:
    return None if progress.left is None else progress.examined + progress.left


def _counted(progress: Progress) -> str:
    return f"{progress.scored:,} scored, {progress.members:,} about it"
