"""``groundswell topics replay``: files re-read in the light of one tag, offline, by the operators of the job."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cli.options import load
from cli.printing import printable
from cli.trends_replay import replayed_files
from connectors.file_formats import FileOptions
from dataflows import assembly, models, topics
from dataflows.topics_replay import Advance, ScoredPost, Stage, TopicsReplay
from groundswell.errors import SettingsError, StopJob
from groundswell.topics import Topic
from inference.tasks import EMBEDDING
from operators.hashtags import normalise
from operators.topics.segmentation import Segmenter

_STDOUT = "-"


def add_parser(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = parts.add_parser(
        "replay",
        help="re-read files in the light of a tag, offline",
        description="Describe a tag by the posts of the files that carry it, and score every post by how probably it "
        'is about the same: one JSON line a post, {"id": ..., "score": ..., "tagged": ...}, in the order of the files. '
        "The label, the words and the steps taken for want of evidence go to standard error.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="files, globs or folders with posts")
    parser.add_argument("--tag", required=True, metavar="TAG", help="the hashtag, with or without its sign")
    parser.add_argument("--out", required=True, metavar="FILE", help="scores, JSON lines; - is standard output")
    parser.add_argument("--shape", metavar="SHAPE", help="shape of the records (decode.shape)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay; bad records are counted and no failure."""
    settings = load(args, *([f"decode.shape={args.shape}"] if args.shape else []))
    tags = normalise([args.tag])
    if not tags:
        raise SettingsError(f"--tag {args.tag!r} is no hashtag: name one as people write it")
    paths = replayed_files(args.files)
    if args.out != _STDOUT and Path(args.out).resolve() in {path.resolve() for path in paths}:
        raise SettingsError(f"--out {args.out} is also a file to be read and would be overwritten: name another file")
    evidence = topics.open_evidence(settings)
    segmenter = Segmenter.open(models.model_repository(settings))
    try:
        with contextlib.ExitStack() as stack:
            out = sys.stdout if args.out == _STDOUT else stack.enter_context(Path(args.out).open("w", encoding="utf-8"))
            manifest = models.posts_manifest(settings)
            embeds = manifest is not None and manifest.embedding_space is not None
            model = models.open_model(settings, [EMBEDDING]) if embeds else None
            if model is not None:
                stack.enter_context(model)
            replay = TopicsReplay(
                paths,
                FileOptions(encoding=settings.files.encoding, delimiter=settings.files.delimiter),
                assembly.open_decoder(settings, lambda: datetime.now(UTC)),
                segmenter,
                evidence,
                model.vectors if model is not None else None,
                model.embedding_space() if model is not None else None,
                stack.enter_context(_progress()),
            )
            topic, scored = replay.run(tags[0], datetime.now(UTC))
            encode = msgspec.json.Encoder().encode
            out.writelines(f"{encode(each).decode()}\n" for each in scored)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StopJob(f"{error.filename or args.out}: {error.strerror or error}") from None
    print(_said(topic, scored, replay), file=sys.stderr)
    return 0


def _said(topic: Topic, scored: list[ScoredPost], replay: TopicsReplay) -> str:
    about = sum(each.score >= 0.5 for each in scored)
    untagged = sum(each.score >= 0.5 and not each.tagged for each in scored)
    tagged = sum(each.tagged for each in scored)
    refused = replay.totals.dead.total()
    lines = [
        f"label: {printable(topic.label)}",
        f"words: {printable(', '.join(word for word, _ in topic.words)) or 'none'}",
        *(f"step: {printable(step)}" for step in topic.steps),
        f"{len(scored):,} posts, {tagged:,} with the tag; about it are {about:,}, {untagged:,} of them without the tag",
    ]
    if refused:
        lines.append(f"{refused:,} records could not be read (groundswell trends replay says why)")
    return "\n".join(lines)


@contextlib.contextmanager
def _progress() -> Iterator[Advance]:
    """Bars on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _stage, _done, _total: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")
    console = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as progress:
        tasks: dict[Stage, TaskID] = {}

        def advance(stage: Stage, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done)

        yield advance
