"""``groundswell check``: are these settings usable? Connects to nothing."""

from __future__ import annotations

import argparse
import json

import msgspec

from cli.options import load
from connectors.logs import mask
from dataflows.models import model_repository, posts_manifest
from groundswell.errors import ModelError
from groundswell.settings import SECRETS, Settings


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "check",
        description="Validate the settings file, the environment and the command line, and say which model reads "
        "posts; connect to nothing.",
    )
    parser.add_argument("--show", action="store_true", help="print the effective settings, without secrets")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Say that the settings are valid; raises ``SettingsError`` or ``ModelError`` where they or their model are not."""
    settings = load(args)
    if args.show:
        print("\n".join(effective(settings)))
        return 0
    model = _model(settings)
    print(f"{args.config or 'settings'}: valid")
    print(model)
    return 0


def _model(settings: Settings) -> str:
    """Which model reads posts, and where; a repository on this machine says what it is."""
    models = settings.models
    if not models.posts:
        return "models: turned off"
    named = f"models: {models.posts} on {models.provider}"
    if "://" in models.repository:
        return f"{named}, from {mask(models.repository)}"
    try:
        found = posts_manifest(settings)
    except ModelError as error:
        return f"{named}, which is not on this machine: {error}"
    assert found is not None  # noqa: S101 - models are not turned off
    # What the folder alone tells is told now and not when the job starts.
    version = model_repository(settings).open(f"{found.name}@{found.version}")
    version.graph(models.precision, models.provider)
    space = f", space {found.embedding_space}" if found.embedding_space else ""
    return f"{named}: version {found.version} answers {', '.join(head.task for head in found.heads)}{space}"


def effective(settings: Settings) -> list[str]:
    """Every setting as ``section.key = value``; a secret shows only that it is set."""
    lines = []
    for section, values in msgspec.to_builtins(settings).items():
        for name, value in values.items():
            key = f"{section}.{name}"
            shown = "***" if key in SECRETS and value else json.dumps(value, ensure_ascii=False)
            # An address or a librdkafka setting may hold a secret too.
            lines.append(f"{key} = {shown}" if key in SECRETS else mask(f"{key} = {shown}"))
    return lines
