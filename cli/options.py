"""What every command takes: settings, and how to log."""

from __future__ import annotations

import argparse
from pathlib import Path

from groundswell.settings import Settings


def add_common(parser: argparse.ArgumentParser) -> None:
    """Declare the common options, on the innermost parser of a command with parts of its own.

    Where the parts may be left out the command takes them as well, before the part's name.
    """
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to look down
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for inner in action.choices.values():
                add_common(inner)
            if not action.required:
                _add(parser, "outer_")
            return
    _add(parser)


def _add(parser: argparse.ArgumentParser, place: str = "") -> None:
    group = parser.add_argument_group("settings")
    group.add_argument("-c", "--config", type=Path, metavar="FILE", dest=f"{place}config", help="settings file (TOML)")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        dest=f"{place}set",
        help="change one setting; may be repeated",
    )
    group.add_argument(
        "--log-format",
        choices=("text", "json"),
        dest=f"{place}log_format",
        help="short for --set observability.log_format=...",
    )


def settle_common(args: argparse.Namespace) -> None:
    """Turn the short forms into settings, and join what was given before the name of a part and after it."""
    args.config = getattr(args, "config", None) or getattr(args, "outer_config", None)
    args.set = [*getattr(args, "outer_set", ()), *getattr(args, "set", ())]
    log_format = getattr(args, "log_format", None) or getattr(args, "outer_log_format", None)
    if log_format is not None:
        args.set = [*args.set, f"observability.log_format={log_format}"]


def load(args: argparse.Namespace, *overrides: str) -> Settings:
    """The effective settings of a command, with logging set up from them.

    ``overrides`` come before what the caller gave with ``--set``. Raises ``SettingsError``.
    """
    from connectors.configuration import load_settings
    from connectors.logs import configure_logging

    settings = load_settings(args.config, overrides=[*overrides, *args.set])
    configure_logging(settings.observability.log_format, settings.observability.log_level)
    return settings
