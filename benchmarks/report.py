"""What all benchmarks share: their options, their rows and how those are printed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True)
class Row:
    """One figure of ours beside the peer's, measured in the same run; more is better unless the unit is a time."""

    name: str
    ours: float
    peer: float | None
    unit: str

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's; ``None`` without a peer."""
        return self.ours / self.peer if self.peer else None


def options(description: str | None, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of every benchmark: ``quick`` (under a minute) and ``json``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a smaller run, under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object a row instead of a table")
    return parser.parse_args(argv)


def print_rows(rows: Sequence[Row], as_json: bool) -> None:
    """Print rows as JSON lines or as a Markdown table."""
    if as_json:
        for row in rows:
            ratio = None if row.ratio is None else round(row.ratio, 3)
            print(json.dumps({**asdict(row), "ratio": ratio}, ensure_ascii=False))
        return
    print(table(rows))


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | ours | peer | unit | ratio |", "| --- | ---: | ---: | --- | ---: |"]
    for row in rows:
        figures = [_figure(row.ours), _figure(row.peer), row.unit, "" if row.ratio is None else f"{row.ratio:.2f}"]
        lines.append(f"| {row.name} | {' | '.join(figures)} |")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def alternate(ours: Callable[[], float], peer: Callable[[], float], rounds: int) -> tuple[float, float]:
    """Run both in turn, so that both see the same machine, and return each one's median; the first turn warms up."""
    turns = [(ours(), peer()) for _ in range(rounds + 1)][1:]
    return median(turn[0] for turn in turns), median(turn[1] for turn in turns)
