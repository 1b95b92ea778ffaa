"""``groundswell trends``: the top tags and what trends, as the job keeps them in Redis."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli import trends_replay
from cli.options import load
from cli.printing import moment, printable
from cli.spans import span
from connectors.trend_reader import TrendReader, TrendsNow
from dataflows import assembly
from groundswell.errors import SettingsError, StopJob, Unavailable
from groundswell.settings import Settings
from groundswell.trends import Trend, Window

_REFRESH_SECONDS = 1.0
#: Most columns of a sparkline.
_POINTS = 24
_BARS = "▁▂▃▄▅▆▇█"
#: Most windows that are looked at for the sparklines.
_MOST_WINDOWS = 400


class TagLine(msgspec.Struct, frozen=True):
    """A tag of the newest window; ``history`` are its counts over the size of the window, ``None`` where unknown."""

    rank: int
    tag: str
    count: int
    history: tuple[int | None, ...]


class Shown(msgspec.Struct, frozen=True):
    """What ``--json`` prints: the newest window, and the trends that are active, the highest score first."""

    window_end: datetime
    revision: int
    size: int
    error: int
    top: tuple[TagLine, ...]
    trends: tuple[Trend, ...]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "trends",
        description="Show the top tags of the newest window and what trends, as the job keeps them in Redis; or, with "
        "replay, count the hashtags of files offline.",
    )
    parser.add_argument("--watch", action="store_true", help="go on showing, every second, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="one JSON object; with --watch, one a line")
    parser.add_argument("--limit", type=int, metavar="N", help="tags at most (default: all that the job reports)")
    parser.set_defaults(run=run)
    trends_replay.add_parser(parser.add_subparsers(dest="part", metavar="PART"))


def run(args: argparse.Namespace) -> int:
    """Show the newest window; the exit code is 1 when there is none."""
    settings = load(args)
    if args.limit is not None and args.limit < 1:
        raise SettingsError(f"--limit {args.limit}: expected at least 1")
    url = assembly.redis_address(settings)
    if not url:
        raise StopJob("redis.url is empty, so no trends are kept there: set it to see them")
    with assembly.open_redis(settings, url) as client:
        reader = TrendReader(client, settings.redis.prefix)

        def look() -> Shown | None:
            return _shown(reader.now(_windows(settings)), args.limit)

        if args.watch:
            (_watch_json if args.json else _watch)(look)
            return 0
        shown = look()
    if shown is None:
        print("no window has been counted yet")
    elif args.json:
        print(msgspec.json.encode(shown).decode())
    else:
        Console().print(_drawn(shown, datetime.now(UTC)))
    return 0 if shown else 1


def _windows(settings: Settings) -> int:
    """How many windows end within the size of one."""
    return min(_MOST_WINDOWS, -(-settings.trends.window // settings.trends.slide))


def _shown(now: TrendsNow, limit: int | None) -> Shown | None:
    window = now.window
    if window is None:
        return None
    lines = [
        TagLine(rank, each.tag, each.count, _history(each.tag, window, now.history))
        for rank, each in enumerate(window.top[:limit], 1)
    ]
    end = datetime.fromtimestamp(window.end, UTC)
    return Shown(end, window.revision, window.size, window.error, tuple(lines), now.active)


def _history(tag: str, newest: Window, windows: tuple[Window, ...]) -> tuple[int | None, ...]:
    """The highest count of a tag in equal parts of the time that the newest window spans.

    There are :data:`_POINTS` of them, or fewer where windows end less often.
    """
    ends = sorted({window.end for window in windows} | {newest.end})
    slide = min((later - earlier for earlier, later in pairwise(ends)), default=1)
    points: list[int | None] = [None] * max(1, min(_POINTS, newest.size // slide))
    for window in (*windows, newest):
        place = len(points) - 1 - (newest.end - window.end) * len(points) // newest.size
        count = next((each.count for each in window.top if each.tag == tag), None)
        if 0 <= place < len(points) and count is not None:
            points[place] = max(points[place] or 0, count)
    return tuple(points)


def _watch(look: Callable[[], Shown | None]) -> None:
    with Live(refresh_per_second=4) as live:
        try:
            while True:
                try:
                    shown = look()
                    live.update(_drawn(shown, datetime.now(UTC)) if shown else "no window has been counted yet")
                except Unavailable as error:
                    live.update(f"Redis does not answer: {escape(error.reason)}")
                time.sleep(_REFRESH_SECONDS)
        except KeyboardInterrupt:
            return


def _watch_json(look: Callable[[], Shown | None]) -> None:
    try:
        while True:
            try:
                if shown := look():
                    print(msgspec.json.encode(shown).decode(), flush=True)
            except Unavailable as error:
                print(f"groundswell: {error}", file=sys.stderr, flush=True)
            time.sleep(_REFRESH_SECONDS)
    except KeyboardInterrupt:
        return


def _drawn(shown: Shown, now: datetime) -> RenderableType:
    """The heading and the table; trends that are not among the top tags come last, without a rank."""
    age = (now - shown.window_end).total_seconds()
    heading = Text(f"{span(shown.size)} up to {moment(shown.window_end)} UTC, {span(age)} ago")
    if age > shown.size:
        heading.append(": nothing in it is current", style="yellow")
    if shown.error:
        heading.append(f"; counts may be up to {shown.error:,} too low", style="yellow")
    trends = {trend.tag: trend for trend in shown.trends}
    table = Table(box=None, pad_edge=False)
    for name, justify in _COLUMNS:
        # Where room is short, the tags are cut before anything else.
        table.add_column(
            name or span(shown.size),
            justify="right" if justify else "left",
            no_wrap=name != "tag",
            overflow="ellipsis",
        )
    for line in shown.top:
        trend = trends.pop(line.tag, None)
        table.add_row(str(line.rank), *_named(line.tag, line.count, trend), _spark(line.history))
    for tag, trend in trends.items():
        table.add_row("", *_named(tag, trend.count, trend), "")
    if not shown.top and not shown.trends:
        return Group(heading, "no tag is left in it")
    return Group(heading, table)


_COLUMNS = (
    ("#", True),
    ("tag", False),
    ("count", True),
    ("authors", True),
    ("score", True),
    ("trends since", False),
    ("", False),
)


def _named(tag: str, count: int, trend: Trend | None) -> list[str]:
    shown = escape(printable(f"#{tag}"))
    if trend is None:
        return [shown, f"{count:,}", "", "", ""]
    since = f"{trend.since:%d %b %H:%M}"
    return [f"[bold]{shown}[/bold]", f"{count:,}", f"{trend.authors:,}", f"{trend.score:.1f}", since]


def _spark(history: tuple[int | None, ...]) -> str:
    """The counts as little bars, as high as the highest.

    >>> _spark((None, 0, 3, 8))
    ' ▁▃█'
    """
    highest = max((count for count in history if count), default=1)
    return "".join(
        " " if count is None else _BARS[min(len(_BARS) - 1, count * len(_BARS) // (highest + 1))] for count in history
    )
