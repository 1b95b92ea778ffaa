"""``groundswell models baseline``: what makes a version to publish."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.models_parts import Part, needs
from cli.options import load


def _baseline_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public data")
    parser.add_argument("--out", type=Path, default=Path("models"), help="model repository to publish in")


def run_baseline(args: argparse.Namespace) -> int:
    """Train and publish the baseline."""
    load(args)
    with needs("export", "training the baseline"):
        from model_export import baseline
    return baseline.run(args)


PARTS = {
    "baseline": Part(
        "train and publish the sentiment baseline",
        "Train, calibrate, judge, export and publish the sentiment baseline.",
        _baseline_arguments,
        run_baseline,
    ),
}
