"""``groundswell generate``: the invented stream, written to Kafka or to a file."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from cli.options import load
from connectors.generator import paced_posts
from connectors.kafka_producer import write_to_kafka
from connectors.post_files import write_to_file
from dataflows import assembly
from dataflows.sources import generator_spec
from groundswell.errors import SettingsError, StopJob


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "generate",
        description="Write an invented stream of posts. The same seed and start give the same posts; Ctrl-C ends a "
        "stream without end, and what is written stays whole.",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-o", "--out", type=Path, metavar="FILE", help="JSON lines; .gz and .zst are packed")
    where.add_argument("--kafka", action="store_true", help="the topic kafka.topic")
    parser.add_argument("--count", metavar="N", help="posts in all (generator.count)")
    parser.add_argument("--rate", metavar="N", help="posts per second; by default as fast as they are taken")
    parser.add_argument("--seed", metavar="N", help="generator.seed")
    parser.add_argument("--start", metavar="TIME", help="time of the first post, RFC 3339 (generator.start)")
    parser.add_argument("--span", metavar="SECONDS", help="event time over which the posts are spread (generator.span)")
    parser.add_argument("--malformed", metavar="SHARE", help="share of broken records (generator.malformed)")
    parser.add_argument(
        "--burst",
        action="append",
        default=[],
        metavar="TAG:START:DURATION[:SHARE]",
        help="plant a burst of a hashtag, times in seconds after the start; may be repeated",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the stream to its end, or until SIGINT or SIGTERM, and say how much it was."""
    settings = load(args, *_overrides(args))
    spec = generator_spec(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    posts = paced_posts(spec, stop)
    if args.kafka:
        kafka = settings.kafka
        written = write_to_kafka(posts, kafka.bootstrap_servers, kafka.topic, assembly.kafka_client(settings))
        where = f"topic {kafka.topic} of {kafka.bootstrap_servers}"
    else:
        try:
            written = write_to_file(posts, args.out)
        except OSError as error:
            raise StopJob(f"{args.out}: {error.strerror}") from None
        where = str(args.out)
    print(f"{written:,} records to {where}", file=sys.stderr)
    return 0


def _overrides(args: argparse.Namespace) -> list[str]:
    """The options as settings; without ``--rate`` a stream that ends is written as fast as it goes."""
    given = {name: getattr(args, name) for name in ("count", "rate", "seed", "start", "span", "malformed")}
    if given["rate"] is None and given["count"] is not None:
        given["rate"] = "0"
    overrides = [f"generator.{name}={value}" for name, value in given.items() if value is not None]
    if args.burst:
        overrides.append(f"generator.bursts=[{', '.join(_burst(text) for text in args.burst)}]")
    return overrides


def _burst(text: str) -> str:
    """A burst as a TOML table."""
    tag, *numbers = text.split(":")
    try:
        start, duration, *share = map(float, numbers)
        (part,) = share or [0.3]
    except ValueError:
        raise SettingsError(
            f"--burst {text!r}: expected TAG:START:DURATION[:SHARE], such as sunset:60:30:0.5"
        ) from None
    return f"{{tag={json.dumps(tag.lstrip('#'))}, start={start}, duration={duration}, share={part}}}"
