"""``groundswell topics``: each topic that is active, with the documents that are about it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from rich.console import Console, Group, RenderableType
from rich.text import Text

from cli import stores
from cli.options import load
from cli.printing import moment, printable
from cli.spans import span
from connectors.redis_topics import TopicBoard
from connectors.trend_reader import TrendReader
from dataflows import assembly
from dataflows.topics_now import BestDocument, TopicNow, topics_now
from groundswell.errors import SettingsError, StopJob
from groundswell.topics import Progress

#: Words of a topic that are shown.
_WORDS = 12
#: Best documents of a topic that may be shown.
_MOST_BEST = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``groundswell topics`` takes by itself."""
    parser.add_argument("--documents", metavar="URL", help="document store: sqlite:///PATH or http(s)://HOST:PORT")
    parser.add_argument(
        "--best", type=int, default=3, metavar="N", help="best documents of each topic (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a topic and line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the topics; the exit code is 1 when none is active."""
    settings = load(args, *([f"documents.url={args.documents}"] if args.documents else []))
    if not 0 <= args.best <= _MOST_BEST:
        raise SettingsError(f"--best {args.best}: expected 0 to {_MOST_BEST}")
    url = assembly.redis_address(settings)
    if not url:
        raise StopJob("redis.url is empty, so no topics are kept there: set it to see them")
    with assembly.open_redis(settings, url) as client:
        board = TopicBoard(client, settings.redis.prefix)
        topics, progress = board.topics()[1], board.progress()
        trends = {trend.tag: trend for trend in TrendReader(client, settings.redis.prefix).now().active}
    refused = {tag: each for tag, each in progress.items() if each.refused and tag not in topics}
    with stores.documents(settings) as store:
        found = topics_now(store, topics, progress, trends, args.best)
        labelled = store.labels().fields
    if args.json:
        for each in found:
            print(msgspec.json.encode(each).decode())
    elif found:
        Console().print(_drawn(found, datetime.now(UTC)))
    else:
        print("no topic is active")
    for tag, told in refused.items():
        print(printable(f"#{tag} trends, and documents are not scored by it: {told.refused}"), file=sys.stderr)
    if not found and labelled:
        print(f"documents have been scored by: {printable(_listed(labelled))}", file=sys.stderr)
    return 0 if found else 1


def _listed(tags: Iterable[str]) -> str:
    shown = [f"#{tag}" for tag in tags]
    return ", ".join(shown[:_WORDS]) + (f" and {len(shown) - _WORDS} more" if len(shown) > _WORDS else "")


def _drawn(found: list[TopicNow], now: datetime) -> RenderableType:
    parts: list[RenderableType] = []
    for topic in found:
        heading = Text(printable(f"#{topic.tag}"), style="bold")
        heading.append(f"  {printable(topic.label)}", style="not bold")
        age = span((now - topic.since).total_seconds())
        origin = "asked for by hand" if topic.by_hand else "trends"
        lines = [
            f"{origin} since {moment(topic.since)} UTC, {age}; {_about(topic)}",
            f"{topic.scored:,} documents scored, {topic.members:,} about it",
            _progress(topic.progress),
            f"words: {printable(', '.join(topic.words[:_WORDS])) or 'none'}",
            *(f"step: {printable(step)}" for step in topic.steps),
        ]
        parts += [heading, *(Text(f"  {line}") for line in lines), *map(_document, topic.best), Text("")]
    return Group(*parts[:-1])


def _about(topic: TopicNow) -> str:
    return f"described from {topic.posts:,} posts" if topic.posts else "described without posts"


def _progress(progress: Progress | None) -> str:
    if progress is None:
        return "re-reading has not begun"
    seconds = (progress.at - progress.began).total_seconds()
    rate = f", {progress.examined / seconds:,.0f}/s" if seconds > 0 else ""
    left = f", {progress.left:,} left" if progress.left else ""
    return f"{printable(progress.phase)}: {progress.examined:,} candidates read{rate}{left}, {progress.judged:,} judged"


def _document(each: BestDocument) -> Text:
    sign = "#" if each.tagged else " "
    said = f"  {each.score:.3f} {sign} {moment(each.created_at)}  {printable(each.text)}"
    return Text(said, no_wrap=True, overflow="ellipsis")
