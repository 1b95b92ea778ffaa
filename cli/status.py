"""``groundswell status``: the processes of the job, as they report themselves in Redis."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime

import msgspec
import redis
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from cli.options import load
from cli.printing import printable
from cli.spans import span
from connectors.presence import ProcessReport, read_presence
from dataflows import assembly
from groundswell.errors import StopJob, Unavailable

_REFRESH_SECONDS = 1.0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "status", description="Show the running processes, as they report themselves in Redis."
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a process and line")
    form.add_argument("--watch", action="store_true", help="go on showing, until Ctrl-C")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the processes; the exit code is 1 when there are none."""
    settings = load(args)
    url = assembly.redis_address(settings)
    if not url:
        raise StopJob("redis.url is empty, so processes report nowhere: set it to see them")
    with assembly.open_redis(settings, url) as client:
        if args.watch:
            _watch(client, settings.redis.prefix)
        reports = read_presence(client, settings.redis.prefix)
    if args.json:
        for report in reports:
            print(msgspec.json.encode(report).decode())
    elif reports:
        Console().print(_table(reports, datetime.now(UTC)))
    else:
        print("no process has reported itself lately")
    return 0 if reports else 1


def _watch(client: redis.Redis, prefix: str) -> None:
    with Live(refresh_per_second=4) as live:
        try:
            while True:
                try:
                    live.update(_table(read_presence(client, prefix), datetime.now(UTC)))
                except Unavailable as error:
                    live.update(f"Redis does not answer: {escape(error.reason)}")
                time.sleep(_REFRESH_SECONDS)
        except KeyboardInterrupt:
            return


def _table(reports: list[ProcessReport], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False)
    for name, justify in _COLUMNS:
        table.add_column(name, justify="right" if justify else "left")
    for report in reports:
        table.add_row(*_row(report, now))
    return table


_COLUMNS = (
    ("process", False),
    ("host", False),
    ("pid", True),
    ("state", False),
    ("up", True),
    ("seen", True),
    ("posts/s", True),
    ("docs", True),
    ("dead", True),
    ("lag", True),
    ("model", False),
    ("on", False),
    ("space", False),
    ("waits for", False),
)


def _row(report: ProcessReport, now: datetime) -> list[str]:
    waits = "; ".join(f"{name}: {reason}" for name, reason in report.waits.items())
    return [
        escape(printable(f"{report.job}/{report.process}")),
        escape(printable(report.host)),
        str(report.pid),
        report.state,
        span((now - report.started).total_seconds()),
        span((now - report.seen).total_seconds()),
        f"{report.rate:,.0f}",
        f"{report.totals.documents:,}",
        f"{sum(report.totals.dead.values()):,}",
        f"{report.lag:,}",
        escape(printable(", ".join(report.models))),
        report.provider,
        escape(printable(report.embedding_space or "")),
        escape(printable(waits)),
    ]
