"""``groundswell models``: train and publish."""

from __future__ import annotations

import argparse

from groundswell.errors import SettingsError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command. Raises ``SettingsError`` where the packages that train are missing."""
    parser = commands.add_parser("models", description="Train and publish models.")
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    baseline = parts.add_parser(
        "baseline",
        help="train and publish the sentiment baseline",
        description="Train, calibrate, judge, export and publish the sentiment baseline.",
    )
    try:
        from model_export import baseline as trainer
    except ImportError as error:
        raise SettingsError(f"training needs more packages ({error.name}): pip install 'groundswell[train]'") from None
    trainer.add_arguments(baseline)
    baseline.set_defaults(run=trainer.run)
