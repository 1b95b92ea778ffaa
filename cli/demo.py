"""``groundswell demo``: the whole job on one machine, on real posts and an invented stream."""

from __future__ import annotations

import argparse
import gzip
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.printing import moment, printable
from cli.run import print_summary, supervise
from cli.spans import span
from connectors.configuration import load_settings
from connectors.document_query import Query
from connectors.document_store import CountedField, DocumentStore, Hit
from connectors.embedded_redis import EmbeddedRedis
from connectors.logs import configure_logging
from connectors.redis_client import connect
from connectors.trend_reader import TrendReader
from dataflows import assembly
from dataflows.models import posts_manifest
from groundswell.errors import SettingsError
from groundswell.settings import Settings
from groundswell.topics import field_of
from groundswell.trends import Window
from groundswell.waits import Waits

_SAMPLE = Path(__file__).resolve().parents[1] / "demo" / "oklahoma-tornado-2013.jsonl.gz"
_GENERATED = 20_000
_SHOWN = 5
_NONE = "-"
#: Documents are counted by these; a model may fill in no emotion.
_COUNTED: dict[str, CountedField] = {
    "sentiment": "sentiment.label",
    "emotion": "emotion.label",
    "languages": "lang",
    "hashtags": "hashtags",
}


class _Timed(msgspec.Struct):
    created_at: datetime


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "demo",
        help="run the job on a sample of real posts, with nothing else installed",
        description="Read a sample of real posts beside an invented stream, index both, and show what was found.",
    )
    parser.add_argument("--posts", type=int, default=_GENERATED, help="invented posts beside the sample")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo in a fresh folder below the data directory."""
    if not _SAMPLE.exists():
        raise SettingsError(f"{_SAMPLE} is not here: the demo runs in a checkout, not in an installed package")
    base = load_settings(args.config, overrides=args.set or ())
    folder = Path(base.job.data_dir) / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    given = [*_overrides(args.posts), *(args.set or ()), f"job.data_dir={folder}"]
    settings = load_settings(args.config, overrides=given)
    configure_logging(settings.observability.log_format, settings.observability.log_level)
    print(f"Reading {_SAMPLE.name} (real posts) beside {args.posts:,} invented ones, into {folder}")
    outcome, seconds = supervise(settings, flow="all", state=folder, until_end=True)
    print_summary("text", outcome, seconds)
    if outcome.exit_code == 0:
        _report(settings, folder)
    return outcome.exit_code


def _overrides(posts: int) -> list[str]:
    """The settings of the demo: the invented stream is laid over the time range of the real one.

    It is thin, a few posts a minute over days: windows are long, and a trend needs less than usual.
    """
    with gzip.open(_SAMPLE) as lines:
        times = [msgspec.json.decode(line, type=_Timed).created_at for line in lines]
    first, last = min(times), max(times)
    span = (last - first).total_seconds()
    return [
        "sources.use=['files', 'generator']",
        f"files.paths={msgspec.json.encode([str(_SAMPLE)]).decode()}",
        f"generator.count={posts}",
        "generator.rate=0",
        f"generator.start={first.isoformat()}",
        f"generator.span={span}",
        "generator.malformed=0.005",
        f"generator.bursts=[{{tag='sunset', start={span / 2}, duration=7200, share=0.3}}]",
        "trends.window=7200",
        "trends.slide=60",
        "trends.window_ttl=604800",
        "trends.detection.recent=1800",
        "trends.detection.start_score=6",
        "trends.detection.min_count=10",
        "observability.port=0",
    ]


def _report(settings: Settings, folder: Path) -> None:
    console = Console(highlight=False)
    store = assembly.open_documents(settings, Waits())
    try:
        console.print(f"\n[bold]{store.count():,} documents[/bold]")
        for title, field in _COUNTED.items():
            if counts := store.count_by(field, 8):
                console.print(f"  {title}: " + ", ".join(f"{value} {count:,}" for value, count in counts.items()))
        console.print()
        _trends(console, settings, store)
        for trend in store.trends():
            if trend.tag in store.labels().fields:
                title = f"About #{printable(trend.tag)}, without the tag"
                console.print(_posts(title, store, field_of(trend.tag), without=trend.tag))
        console.print(_posts("Best scored", store, "sentiment.scores.positive"))
        console.print(_posts("Worst scored", store, "sentiment.scores.negative"))
    finally:
        store.close()
    url = f"sqlite:///{folder}/documents.db"
    data = f"--set job.data_dir={folder}"
    replay = f"trends replay {_SAMPLE.relative_to(Path.cwd()) if _SAMPLE.is_relative_to(Path.cwd()) else _SAMPLE}"
    console.print("Look further:", style="bold")
    by_meaning = f"groundswell search --like 'people lost their homes' --documents {url}"
    for command in (
        f"groundswell search 'tornado' --documents {url}",
        *((by_meaning,) if _embeds(settings) else ()),
        f"groundswell search '#oklahoma' --documents {url} --sort sentiment.scores.negative",
        f"groundswell search 'help' --documents {url} --sort classification_oklahoma",
        f"groundswell {replay} --window 7200 --slide 60 --out windows.jsonl",
        f"groundswell dead list {data}",
    ):
        console.print(f"  {_program()} {command.partition(' ')[2]}", soft_wrap=True, markup=False)


def _embeds(settings: Settings) -> bool:
    """Whether the documents can be searched by meaning."""
    found = posts_manifest(settings)
    return found is not None and found.embedding_space is not None


def _trends(console: Console, settings: Settings, store: DocumentStore) -> None:
    """The fullest window, and a line for each trend that began or ended."""
    fullest = max(_windows(settings), key=lambda window: sum(each.count for each in window.top), default=None)
    if fullest is not None:
        end = moment(datetime.fromtimestamp(fullest.end, UTC))
        tags = ", ".join(f"{escape(printable(each.tag))} {each.count:,}" for each in fullest.top[:8])
        console.print(f"[bold]Top hashtags[/bold] of the fullest {span(fullest.size)}, up to {end} UTC")
        console.print(f"  {tags}\n", soft_wrap=True)
    lines = []
    for trend in store.trends():
        tag = f"[bold]{escape(printable('#' + trend.tag))}[/bold]"
        words = escape(printable(", ".join(trend.words[:5])))
        lines.append((trend.since, f"began   {tag}" + (f": {words}" if words else "")))
        if trend.until is not None:
            lasted = span((trend.until - trend.since).total_seconds())
            lines.append((trend.until, f"ended   {tag} after {lasted}, at most {trend.peak:,} posts in a window"))
    console.print(f"[bold]What trended[/bold]{'' if lines else ': nothing'}")
    for at, line in sorted(lines):
        console.print(f"  {moment(at)}  {line}", soft_wrap=True)
    console.print()


def _windows(settings: Settings) -> tuple[Window, ...]:
    """All windows that the job left in its embedded Redis, which has ended with it and is started once more."""
    if settings.redis.url != "embedded":
        return ()
    with EmbeddedRedis(Path(settings.job.data_dir)) as server, connect(server.url) as client:
        return TrendReader(client, settings.redis.prefix).now(history=1_000_000).history


def _posts(title: str, store: DocumentStore, field: str, without: str | None = None) -> Table:
    """The posts with the highest values of a field, each text once; none that carries the tag ``without``."""
    table = Table(title=escape(title), title_justify="left", show_header=True, expand=True)
    table.add_column("score", width=5)
    found: dict[str, Hit] = {}
    for hit in store.search(Query(sort=field, limit=_SHOWN * 100)):
        if len(found) < _SHOWN and without not in hit.document.hashtags and _score(hit, field) != _NONE:
            found.setdefault(hit.document.text, hit)
    moods = any(hit.document.emotion for hit in found.values())
    if moods:
        table.add_column("emotion", width=8)
    table.add_column("time", width=16)
    table.add_column("post", overflow="fold")
    for text, hit in found.items():
        emotion = hit.document.emotion
        mood = [emotion.label if emotion else "-"] if moods else []
        at = f"{hit.document.created_at:%Y-%m-%d %H:%M}"
        table.add_row(_score(hit, field), *mood, at, escape(printable(text)))
    return table


def _score(hit: Hit, field: str) -> str:
    document = hit.document
    about = next((each.score for tag, each in document.classification.items() if field_of(tag) == field), None)
    if about is not None:
        return f"{about:.2f}"
    sentiment = document.sentiment
    return _NONE if sentiment is None or "." not in field else f"{sentiment.scores[field.rpartition('.')[2]]:.2f}"


def _program() -> str:
    """How this command was called, so that the next one can be called likewise."""
    called = Path(sys.argv[0])
    if called.name != "groundswell":
        return "groundswell"
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else str(called)
