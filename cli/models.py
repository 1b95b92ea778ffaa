"""``groundswell models``: from labelled data to a model that serves, and back again."""

from __future__ import annotations

import argparse

from cli import (
    models_data,
    models_evaluate,
    models_evidence,
    models_export,
    models_publish,
    models_repository,
    models_train,
)

#: Each part with its one line of help, in the order in which a model meets them.
PARTS = (
    models_data.PARTS
    | models_train.PARTS
    | models_evaluate.PARTS
    | models_export.PARTS
    | models_evidence.PARTS
    | models_publish.PARTS
    | models_repository.PARTS
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "models",
        description="The life of a model: look at data, train, tune, judge, export, publish, promote, roll back. "
        "docs/models.md goes through it with examples.",
    )
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    for name, part in PARTS.items():
        inner = parts.add_parser(name, help=part.summary, description=part.description)
        part.arguments(inner)
        inner.set_defaults(run=part.run)
