"""The picture of a replay: the top tags over time, and when they trended.

Drawn by matplotlib, the extra ``[plot]``: only who draws imports this module.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import dates, patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Bbox

from cli.printing import printable
from cli.spans import span
from cli.trends_history import TagHistory

#: Most tags that are drawn, each in a colour of its own.
_COLOURS = (
    "#2563c9",
    "#e4572e",
    "#159a80",
    "#8e44ad",
    "#c98a00",
    "#c2185b",
    "#5b8c2a",
    "#0e8fb0",
    "#7d5a45",
    "#5f6b7a",
)
_INK, _SOFT, _GRID = "#1f2933", "#66727f", "#e9ecf0"
_LEAST_MARGIN = 0.06
_LONGEST_NAME = 28
#: A font that has a box for every letter.
_LAST_RESORT = "Last Resort"
#: A highest count that is so many times the lowest of the drawn tags would flatten the others.
_STEEP = 12


def draw(history: TagHistory, path: Path, *, window: int, slide: int) -> None:
    """Draw the history to a PNG, SVG or PDF of 1600 by 900 pixels.

    A line is the posts per window; it is strong, and a row below it coloured, while the
    tag trended. ``window`` and ``slide`` are in seconds. Raises :class:`OSError` when the
    file cannot be written.
    """
    names, families = _names(history.prominent(len(_COLOURS)))
    # Whoever draws with other settings elsewhere in this process keeps them.
    with mpl.rc_context({"font.family": families, "svg.fonttype": "path"}):
        _figure(history, names, window, slide).savefig(path, format=path.suffix.lstrip(".").lower())


def _figure(history: TagHistory, names: dict[str, str], window: int, slide: int) -> Figure:
    figure = Figure(figsize=(16, 9), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    trended = {tag: name for tag, name in names.items() if tag in history.trends()}
    colours = dict(zip(names, _COLOURS, strict=False))
    strip = 0.27 * len(trended) + 0.05
    lines, rows = figure.subplots(2, 1, sharex=True, height_ratios=[7.4 - strip, strip])
    figure.subplots_adjust(hspace=0.03, right=0.985, top=0.885, bottom=0.06)
    _draw_lines(lines, history, colours)
    lines.set_ylabel(f"posts in {span(window)}", color=_SOFT, fontsize=11.5, labelpad=10)
    _draw_rows(rows, history, trended, colours)
    widest = max((text.get_window_extent().width for text in rows.texts), default=0.0)
    left = max(_LEAST_MARGIN, (widest + 40) / figure.bbox.width)
    figure.subplots_adjust(left=left)
    _write_heading(figure, left, history, window, slide)
    _label_peaks(lines, history, names, colours)
    return figure


def _write_heading(figure: Figure, left: float, history: TagHistory, window: int, slide: int) -> None:
    first, last = (datetime.fromtimestamp(end, UTC) for end in history.ends)
    figure.text(left, 0.945, "Top hashtags, and when they trended", fontsize=20, fontweight="bold", color=_INK)
    counted = f"posts in {span(window)}, counted every {span(slide)}"
    if history.step > slide:
        counted += f" (shown: the most in {span(history.step)})"
    when = f"{first:%d %b %Y %H:%M} to {last:%d %b %Y %H:%M} UTC"
    figure.text(left, 0.91, f"{when}  ·  {counted}  ·  strong lines and bars: trending", fontsize=12, color=_SOFT)


def _draw_lines(axes: Axes, history: TagHistory, colours: dict[str, str]) -> None:
    seconds = np.array(history.times())
    times = _days(seconds)
    trends = history.trends()
    counts = {tag: np.array(history.series(tag)) for tag in colours}
    peaks = [series.max() for series in counts.values()]
    if peaks and max(peaks) > _STEEP * min(peaks):
        axes.set_yscale("function", functions=(_root, np.square))
    for tag, colour in reversed(colours.items()):
        series = counts[tag]
        trending = np.zeros(len(seconds), dtype=bool)
        for event in trends.get(tag, []):
            since, until = event.trend.since.timestamp(), event.trend.until
            trending |= (seconds > since - history.step) & (seconds <= (until.timestamp() if until else np.inf))
        axes.plot(times, series, color=colour, linewidth=1.3, alpha=0.6, solid_joinstyle="round")
        axes.plot(times, np.where(trending, series, np.nan), color=colour, linewidth=2.8, solid_joinstyle="round")
        axes.fill_between(times, series, where=trending.tolist(), color=colour, alpha=0.07, linewidth=0)
    axes.set_ylim(0, max(peaks, default=1) * 1.15)
    if len(times) > 1:
        axes.set_xlim(times[0], times[-1])
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.tick_params(axis="y", length=0, labelcolor=_SOFT, labelsize=11.5)
    axes.tick_params(axis="x", length=0, labelbottom=False)
    _clear(axes, "both")


def _draw_rows(axes: Axes, history: TagHistory, names: dict[str, str], colours: dict[str, str]) -> None:
    """One row for each tag that trended, with a bar from each time it began to when it ended."""
    first, last = history.ends
    trends = history.trends()
    for row, (tag, name) in enumerate(names.items()):
        for event in trends[tag]:
            since = event.trend.since.timestamp()
            until = event.trend.until.timestamp() if event.trend.until else last
            shown = max(until - since, (last - first) / 500)
            axes.broken_barh([(_days(since), shown / 86_400)], (row + 0.2, 0.6), color=colours[tag], linewidth=0)
        axes.annotate(
            name,
            (0, row + 0.5),
            xycoords=("axes fraction", "data"),
            xytext=(-10, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=11.5,
            color=colours[tag],
        )
    locator = dates.AutoDateLocator(tz=UTC, minticks=6, maxticks=14)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=UTC))
    axes.tick_params(axis="x", length=0, labelcolor=_SOFT, labelsize=11.5, pad=6)
    axes.set_ylim(max(len(names), 0.1), 0)
    axes.set_yticks([])
    _clear(axes, "x")


def _clear(axes: Axes, grid: Any) -> None:
    axes.grid(axis=grid, color=_GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _label_peaks(axes: Axes, history: TagHistory, names: dict[str, str], colours: dict[str, str]) -> None:
    """Name each line above its peak, or near it where another name is in the way."""
    times = list(history.times())
    scale = axes.figure.dpi / 72
    room = axes.get_window_extent()
    room = Bbox.from_extents(room.x0, room.y0, room.x1, room.y1 + 10)
    offsets = sorted(product(range(-320, 321, 20), range(4, 240, 4)), key=lambda at: abs(at[0]) * 0.6 + at[1])
    placed: list[Bbox] = []
    for tag, name in names.items():
        counts = history.series(tag)
        peak = max(counts)
        point = (_days(times[counts.index(peak)]), peak)
        text = axes.annotate(
            f"{name}  {peak:,}",
            point,
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=12,
            fontweight="bold",
            color=colours[tag],
            path_effects=[patheffects.withStroke(linewidth=3.5, foreground="white")],
            zorder=5,
        )
        box = text.get_window_extent()
        for across, up in offsets:
            moved = box.translated(across * scale, (up - 4) * scale)
            if room.x0 <= moved.x0 and moved.x1 <= room.x1 and moved.y1 <= room.y1 and not moved.count_overlaps(placed):
                text.xyann = (across, up)
                placed.append(moved.padded(2))
                if across or up > 4:
                    axes.annotate(
                        "",
                        point,
                        xytext=(across, up),
                        textcoords="offset points",
                        arrowprops={"arrowstyle": "-", "color": colours[tag], "linewidth": 0.9, "shrinkA": 0},
                        zorder=4,
                    )
                break


def _names(tags: list[str]) -> tuple[dict[str, str], list[str]]:
    """How to write each tag, and the font families that have its letters.

    A letter that no font of this machine has is written as its code point, ``⟨6771⟩``.
    """
    families = [str(mpl.rcParamsDefault["font.sans-serif"][0])]
    covered = set(get_font(findfont(FontProperties(family=families[0]))).get_charmap())
    wanted = {ord(letter) for tag in tags for letter in tag} - covered
    for entry in fontManager.ttflist:
        if not wanted:
            break
        found = wanted & set(get_font(entry.fname).get_charmap())
        if found and entry.style == "normal" and not entry.name.startswith(_LAST_RESORT):
            families.append(entry.name)
            wanted -= found
    names = {}
    for tag in tags:
        letters = [f"⟨{ord(letter):04X}⟩" if ord(letter) in wanted else letter for letter in printable(tag)]
        shown = "#" + "".join(letters).replace("⟩⟨", " ")
        # Dollar signs would be taken for formulas.
        names[tag] = (shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…").replace("$", r"\$")
    return names, families


def _root(values: Any) -> Any:
    return np.sqrt(np.maximum(values, 0))


def _days(seconds: Any) -> Any:
    """Unix seconds on matplotlib's time axis, whose unit is days."""
    return seconds / 86_400
