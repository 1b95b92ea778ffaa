"""``groundswell docs``: the reference pages, made from the code."""

from __future__ import annotations

import argparse
import sys

from cli.metrics_reference import metrics_page
from cli.recipe_reference import recipe_page
from cli.settings_reference import example_file, settings_page

#: What can be printed, and the file of the tree that holds it.
PAGES = {
    "metrics": (metrics_page, "docs/metrics.md"),
    "settings": (settings_page, "docs/settings.md"),
    "recipe": (recipe_page, "docs/recipe.md"),
    "example": (example_file, "groundswell.example.toml"),
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser("docs", description="Print a reference page, made from the code.")
    parser.add_argument("page", choices=PAGES, help="the page: " + ", ".join(f"{k} ({v[1]})" for k, v in PAGES.items()))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the page."""
    make, _ = PAGES[args.page]
    sys.stdout.write(make())
    return 0
