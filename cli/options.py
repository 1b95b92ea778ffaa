"""What every command takes: settings, and how to log."""

from __future__ import annotations

import argparse
from pathlib import Path

from groundswell.settings import Settings


def add_common(parser: argparse.ArgumentParser) -> None:
    """Declare the common options, on the innermost parser of a command with parts of its own."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to look down
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for inner in action.choices.values():
                add_common(inner)
            return
    group = parser.add_argument_group("settings")
    group.add_argument("-c", "--config", type=Path, metavar="FILE", help="settings file (TOML)")
    group.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change one setting; may be repeated"
    )
    group.add_argument("--log-format", choices=("text", "json"), help="short for --set observability.log_format=...")


def settle_common(args: argparse.Namespace) -> None:
    """Turn the short forms into settings."""
    if args.log_format is not None:
        args.set = [*args.set, f"observability.log_format={args.log_format}"]


def load(args: argparse.Namespace, *overrides: str) -> Settings:
    """The effective settings of a command, with logging set up from them.

    ``overrides`` come before what the caller gave with ``--set``. Raises ``SettingsError``.
    """
    from connectors.configuration import load_settings
    from connectors.logs import configure_logging

    settings = load_settings(args.config, overrides=[*overrides, *args.set])
    configure_logging(settings.observability.log_format, settings.observability.log_level)
    return settings
