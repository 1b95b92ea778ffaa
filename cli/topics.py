"""``groundswell topics``: what tags are about, and the documents that are about them."""

from __future__ import annotations

import argparse

from cli import topics_replay, topics_show


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "topics",
        description="Show each topic that documents are scored by now: its label and words, how far re-reading is, and "
        "the best documents (those that carry the tag are marked #); or, with replay, re-read files offline.",
    )
    topics_show.add_arguments(parser)
    topics_replay.add_parser(parser.add_subparsers(dest="part", metavar="PART"))
