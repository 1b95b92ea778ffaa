"""What the parts of ``groundswell models`` share: how one is declared, the repository, missing packages, progress."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cli.options import load
from cli.progress_lines import Pace, lines
from groundswell.errors import ModelError, SettingsError
from groundswell.settings import Settings
from inference.aliases import require_settable
from inference.names import CHAMPION
from inference.remote import open_repository
from inference.repository import Repository

#: Columns of a table that is not printed to a terminal.
_WIDE = 160
_OURS = frozenset({"groundswell", "connectors", "inference", "operators", "model_export", "dataflows", "cli"})


#: Called with what is done, of how much, and a note.
Show = Callable[[int, int, str], None]


class Part(NamedTuple):
    """A part of the command: one line of help, the description, its arguments and what it does."""

    summary: str
    description: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def add_repository(parser: argparse.ArgumentParser) -> None:
    """Declare ``--repository``."""
    parser.add_argument(
        "--repository",
        metavar="PLACE",
        help="model repository: a folder or an fsspec URL (default: models.repository, or the one that is shipped)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Declare ``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def count(word: str) -> int:
    """A number of things, 0 or more, as an argument's type."""
    found = int(word)
    if found < 0:
        raise argparse.ArgumentTypeError(f"{word}: expected 0 or more")
    return found


def at_least_one(word: str) -> int:
    """A number of things, 1 or more, as an argument's type."""
    if count(word) < 1:
        raise argparse.ArgumentTypeError(f"{word}: expected 1 or more")
    return int(word)


def add_alias(parser: argparse.ArgumentParser) -> None:
    """Declare ``--alias``."""
    parser.add_argument(
        "--alias", type=_alias, default=CHAMPION, help="champion (default), candidate or a name of your own"
    )


def _alias(word: str) -> str:
    try:
        require_settable(word)
    except ModelError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return word


class Place(NamedTuple):
    """Where models are: a folder or URL, and where verified copies of a URL's versions are kept."""

    root: str
    cache: Path

    def open(self) -> Repository:
        """The repository there."""
        return open_repository(self.root, self.cache)


def place(args: argparse.Namespace) -> tuple[Place, Settings]:
    """The repository that the arguments or the settings name, and the settings."""
    settings = load(args)
    cache = settings.models.cache or str(Path(settings.job.data_dir) / "models")
    return Place(args.repository or settings.models.repository, Path(cache)), settings


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Around imports of what an extra brings; where it is missing a ``SettingsError`` says what to install."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] in _OURS:
            raise
        raise SettingsError(f"{what} needs more packages ({error.name}): pip install 'groundswell[{extra}]'") from None


def console() -> Console:
    """Where tables go: as wide as the terminal, or wide enough to be read by programs."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDE)


@contextmanager
def progress(what: str, unit: str = "") -> Iterator[Show]:
    """A progress bar on standard error; a line now and then where that is no terminal."""
    if not sys.stderr.isatty():
        pace = Pace()
        with lines(lambda: f"{what}: {said}" if (said := pace.line(unit)) else ""):
            yield pace.show
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=None, note="")

        def show(done: int, total: int, note: str) -> None:
            bar.update(task, completed=done, total=total or None, note=note)

        yield show


@contextmanager
def steps(what: str) -> Iterator[Callable[[str], None]]:
    """A bar without an end on standard error, with the name of the step that runs; as :func:`progress` otherwise."""
    with progress(what) as show:
        count = -1

        def begin(step: str) -> None:
            nonlocal count
            count += 1
            show(count, 0, step)

        yield begin
