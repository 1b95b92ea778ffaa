"""``groundswell trends replay``: the trends of files, counted offline by the operators of the job."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cli.options import load
from cli.trends_outputs import STDOUT, TrendsOutputs
from connectors.file_formats import FileOptions
from connectors.file_watch import FileWatch
from dataflows import assembly
from dataflows.trends_replay import Advance, Stage, TrendsReplay
from groundswell.errors import SettingsError, StopJob

_PICTURES = (".png", ".svg", ".pdf")


def add_parser(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = parts.add_parser(
        "replay",
        help="count the hashtags of files offline",
        description="Count the hashtags of files offline, as fast as they can be read: one JSON line a window, and one "
        "for each trend that began, changed or ended. Posts are sorted by time first, unless --as-is says otherwise.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="files, globs or folders with posts")
    parser.add_argument("--out", required=True, metavar="FILE", help="windows, JSON lines; - is standard output")
    parser.add_argument("--events", metavar="FILE", help="what began, changed and ended, JSON lines; - likewise")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture of the top tags (.png, .svg or .pdf)")
    parser.add_argument("--shape", metavar="SHAPE", help="shape of the records (decode.shape)")
    parser.add_argument("--window", metavar="SECONDS", help="size of the window (trends.window)")
    parser.add_argument("--slide", metavar="SECONDS", help="time between two windows (trends.slide)")
    parser.add_argument("--top", metavar="N", help="tags of a window; 0 means all (trends.top)")
    parser.add_argument("--disorder", metavar="SECONDS", help="how far out of order posts come (trends.disorder)")
    parser.add_argument("--lateness", metavar="SECONDS", help="how long windows are corrected (trends.lateness)")
    parser.add_argument(
        "--as-is",
        action="store_true",
        help="take the posts in the order of the files, side by side, as a live job does: each file is a partition, "
        "and a post that comes too late for --disorder and --lateness is not counted",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay; bad records are counted and no failure."""
    settings = load(args, *_overrides(args))
    options = assembly.trend_options(settings)
    if args.top == "0":
        options = replace(options, top=0)
    paths = replayed_files(args.files)
    _check_outputs(args, paths)
    try:
        with contextlib.ExitStack() as stack:
            outputs = TrendsOutputs(stack, options, args.out, args.events, args.plot)
            advance = stack.enter_context(_progress(as_is=args.as_is))
            began = time.monotonic()
            replay = TrendsReplay(
                paths,
                FileOptions(encoding=settings.files.encoding, delimiter=settings.files.delimiter),
                assembly.open_decoder(settings, lambda: datetime.now(UTC)),
                outputs.counted,
                advance,
            )
            for emission in replay.as_is() if args.as_is else replay.in_order():
                outputs.take(emission)
        # Before the picture: when there is nothing to draw, this says why.
        print(outputs.describe(replay.totals, time.monotonic() - began), file=sys.stderr)
        outputs.draw()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StopJob(f"{error.filename or args.out}: {error.strerror or error}") from None
    return 0


def _overrides(args: argparse.Namespace) -> list[str]:
    """The options as settings, but for a top of 0, which no job may have."""
    given = {name: getattr(args, name) for name in ("window", "slide", "disorder", "lateness")}
    given["top"] = None if args.top == "0" else args.top
    overrides = [f"trends.{name}={value}" for name, value in given.items() if value is not None]
    return overrides + ([f"decode.shape={args.shape}"] if args.shape else [])


def replayed_files(given: Sequence[str]) -> list[Path]:
    """The files behind the names, in the order of the names. Raises ``SettingsError`` for one that names none."""
    found: dict[str, None] = {}
    for name in given:
        watch = FileWatch([name], once=True)
        watch.check()
        found |= dict.fromkeys(file.path for file in watch.look().arrived)
    paths = [Path(path) for path in found]
    for path in paths:
        if not path.is_file():
            raise SettingsError(f"{path} is no plain file: write what it gives to one, and name that")
    return paths


def _check_outputs(args: argparse.Namespace, paths: Sequence[Path]) -> None:
    """What would only be noticed after all the counting."""
    if args.out == args.events:
        raise SettingsError(f"--out and --events are both {args.out}: windows and events go to two places")
    taken = dict.fromkeys((path.resolve() for path in paths), "a file to be read")
    for option, name in (("--out", args.out), ("--events", args.events), ("--plot", args.plot)):
        if name is None or name == STDOUT or Path(name).is_char_device():
            continue
        if (place := Path(name).resolve()) in taken:
            raise SettingsError(f"{option} {name} is also {taken[place]} and would be overwritten: name another file")
        taken[place] = option
    if args.plot is None:
        return
    if args.plot.suffix.lower() not in _PICTURES:
        raise SettingsError(f"--plot {args.plot}: a picture ends in {', '.join(_PICTURES)}")
    if find_spec("matplotlib") is None:
        raise StopJob("--plot needs matplotlib: pip install 'groundswell[plot]'")
    if not args.plot.parent.is_dir():
        raise SettingsError(f"--plot {args.plot}: there is no folder {str(args.plot.parent)!r}")


@contextlib.contextmanager
def _progress(*, as_is: bool) -> Iterator[Advance]:
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
                name = "counting" if as_is else stage
                tasks[stage] = progress.add_task(name, total=total)
            progress.update(tasks[stage], completed=done)

        yield advance
