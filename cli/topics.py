"""``groundswell topics``: what tags are about, and the documents that are about them."""

from __future__ import annotations

import argparse

from cli import topics_replay


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser("topics", description="What tags are about, and the documents that are about them.")
    topics_replay.add_parser(parser.add_subparsers(dest="part", metavar="PART", required=True))
