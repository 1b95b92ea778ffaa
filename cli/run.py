"""``groundswell run``: the job, supervised, with a live status line."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec

from cli.status_line import status_line
from cli.supervisor import Outcome, Supervisor
from connectors.configuration import load_settings
from connectors.embedded_redis import EmbeddedRedis
from connectors.file_watch import FileWatch
from connectors.logs import configure_logging
from dataflows.order import Flow
from groundswell.reports import REFUSED, Totals
from groundswell.settings import Settings


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "run",
        help="run the job",
        description="Read posts, score them and index them, until stopped or until the sources end.",
    )
    parser.add_argument(
        "--flow",
        choices=get_args(Flow),
        default="all",
        help="index posts, re-read documents in the light of what trends, or both side by side (default: %(default)s)",
    )
    parser.add_argument("--posts", nargs="+", metavar="FILE", help="read these files, globs or folders")
    parser.add_argument("--documents", metavar="URL", help="document store: sqlite:///PATH or http(s)://HOST:PORT")
    parser.add_argument("--until-end", action="store_true", help="process what is there, then stop")
    parser.add_argument("--summary", choices=("text", "json", "none"), default="text", help="what to print at the end")
    parser.add_argument("--processes", type=int, help="processes on this machine")
    parser.add_argument("--workers", type=int, help="worker threads in each process")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code is 0 unless the job could not go on."""
    overrides = list(args.set or ())
    if args.posts:
        overrides = [
            "sources.use=['files']",
            f"files.paths={msgspec.json.encode(args.posts).decode()}",
            "observability.port=0",
            "redis.url=",
            *overrides,
        ]
    for key, value in (("job.processes", args.processes), ("job.workers", args.workers)):
        if value is not None:
            overrides.append(f"{key}={value}")
    if args.documents:
        overrides.append(f"documents.url={args.documents}")
    settings = load_settings(args.config, overrides=overrides)
    observability = settings.observability
    configure_logging(observability.log_format, observability.log_level)
    if args.posts:
        # A slip in a name is told before a store is made for it.
        FileWatch(args.posts, once=args.until_end).check()
    with contextlib.ExitStack() as stack:
        # Files named on the command line are read from their start each time: their
        # documents are idempotent, so no recovery store has to outlive the command.
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="groundswell-"))) if args.posts else None
        if state is not None and not settings.models.live_latency and not Path(settings.job.data_dir).exists():
            # Nobody else is at work there: what engines tell each other goes with the rest of the state.
            models = msgspec.structs.replace(settings.models, live_latency=str(state / "live-latency"))
            settings = msgspec.structs.replace(settings, models=models)
        # Without Redis there is nowhere for topics to lie.
        flow: Flow = args.flow if args.flow != "all" or settings.redis.url else "posts"
        outcome, seconds = supervise(settings, flow=flow, state=state, until_end=args.until_end)
    print_summary(args.summary, outcome, seconds)
    return outcome.exit_code


def supervise(
    settings: Settings, *, flow: Flow = "posts", state: Path | None = None, until_end: bool = False, replay: int = 0
) -> tuple[Outcome, float]:
    """Run the job under the supervisor; returns how it ended and the seconds it took.

    ``state`` is where recovery and crash records live; by default the data directory.
    """
    data = Path(settings.job.data_dir)
    recovery = state / "recovery" if state else Path(settings.job.recovery_dir or data / "recovery")
    began = time.monotonic()
    with _redis(settings) as redis_url, status_line(until_end=until_end) as show:
        supervisor = Supervisor(
            settings,
            flow=flow,
            recovery_dir=recovery,
            state_dir=state or data,
            until_end=until_end,
            replay=replay,
            redis_url=redis_url,
            on_status=show,
        )
        outcome = supervisor.run()
    return outcome, time.monotonic() - began


@contextlib.contextmanager
def _redis(settings: Settings) -> Iterator[str]:
    """The address of Redis; the embedded one lives as long as the run."""
    if settings.redis.url != "embedded":
        yield settings.redis.url
        return
    with EmbeddedRedis(Path(settings.job.data_dir)) as server:
        yield server.url


def print_summary(form: str, outcome: Outcome, seconds: float) -> None:
    """Say how the run ended: the reason on standard error, the summary last on standard output."""
    totals: Totals = outcome.ended.totals
    if outcome.ended.reason:
        print(f"groundswell: {outcome.ended.reason}", file=sys.stderr)
    if outcome.ended.how == REFUSED:
        return
    if form == "json":
        summary = {
            "read": totals.read,
            "documents": totals.documents,
            "duplicates": totals.duplicates,
            "dead": totals.dead,
            "skipped": totals.skipped,
            "deleted": totals.deleted,
            "scores": totals.scores,
            "seconds": round(seconds, 3),
            "restarts": outcome.restarts,
            "ended": outcome.ended.how,
        }
        print(msgspec.json.encode(summary).decode(), flush=True)
    elif form == "text":
        rate = totals.read / seconds if seconds else 0.0
        print(
            f"{outcome.ended.how}: {totals.read:,} read, {totals.documents:,} documents, "
            f"{totals.duplicates:,} duplicates, {totals.deleted:,} deleted, "
            f"{sum(totals.dead.values()):,} dead letters, "
            f"{sum(totals.skipped.values()):,} skipped, {totals.scores:,} scores in {seconds:.1f} s ({rate:,.0f}/s)"
        )
        for name, counts in (("dead", totals.dead), ("skipped", totals.skipped)):
            for cause, count in sorted(counts.items(), key=lambda pair: -pair[1]):
                print(f"  {name} {cause}: {count:,}")
