"""Pictures of a judgement: the confusion matrix and the reliability diagram, as PNG.

Drawn by matplotlib, the extra ``[plot]``: only who draws imports this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from model_export.judgement import Judgement

_INK: Final = "#1f2933"
_SOFT: Final = "#66727f"
_GRID: Final = "#e9ecf0"
_BLUE: Final = "#2563c9"
#: Above this share of a line the number is drawn light on dark.
_DARK: Final = 0.55
_DPI: Final = 150


def draw(judgement: Judgement, folder: Path) -> list[Path]:
    """Write ``confusion-<task>.png`` and ``reliability-<task>.png`` into ``folder``; their paths.

    Raises :class:`OSError` when they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    # Labels may hold signs that would otherwise be read as formulas.
    with mpl.rc_context({"text.parse_math": False}):
        for name, figure in (("confusion", _confusion(judgement)), ("reliability", _reliability(judgement))):
            path = folder / f"{name}-{judgement.task}.png"
            figure.savefig(path, dpi=_DPI)
            found.append(path)
    return found


def _confusion(judgement: Judgement) -> Figure:
    labels = list(judgement.labels)
    size = max(4.5, 1.8 + 0.75 * len(labels))
    figure, axes = _axes(size + 0.6, size, judgement)
    counts = np.array(judgement.confusion, dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for line, column in np.ndindex(*counts.shape):
        axes.text(
            column,
            line,
            f"{shares[line, column]:.2f}\n{int(counts[line, column]):,}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if shares[line, column] > _DARK else _INK,
        )
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("given")
    axes.set_ylabel("true: share of the line, and rows")
    return figure


def _reliability(judgement: Judgement) -> Figure:
    figure, axes = _axes(5.1, 4.8, judgement)
    confidence = [each.confidence for each in judgement.reliability]
    accuracy = [each.accuracy for each in judgement.reliability]
    axes.plot([0, 1], [0, 1], color=_SOFT, linewidth=1, linestyle=(0, (4, 3)), label="calibrated")
    axes.plot(confidence, accuracy, color=_BLUE, marker="o", markersize=4, linewidth=1.5, label="model")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_aspect("equal")
    axes.grid(color=_GRID)
    axes.set_xlabel(f"mean probability of the best label, {len(confidence)} bins of equal count")
    axes.set_ylabel("share that is right")
    axes.legend(loc="upper left", frameon=False, title=f"calibration error {judgement.calibration_error:.3f}")
    return figure


def _axes(width: float, height: float, judgement: Judgement) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    axes.set_title(
        f"{judgement.task}: {judgement.model}\nn {judgement.n:,}, macro-recall {judgement.macro_recall:.3f}",
        fontsize=9,
        color=_INK,
    )
    for spine in axes.spines.values():
        spine.set_color(_GRID)
    return figure, axes
