"""``groundswell evaluate``: how good the documents' order is, by what people judged."""

from __future__ import annotations

import argparse

from cli import evaluate_relevance


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser("evaluate", description="How good the documents' order is, by what people judged.")
    evaluate_relevance.add_parser(parser.add_subparsers(dest="part", metavar="PART", required=True))
