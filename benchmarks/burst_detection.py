"""What begins to trend in real streams, against what was found by reading them (`benchmarks/burst_expectations.py`).

Two simpler detectors see the same counts: a threshold on the window's count, and the ratio of the window to
the one before it. Figures are for all streams together, first for those on which the defaults were chosen,
then for the others: misses, false starts, starts of tags that were named as traps among them, and the median
delay from a burst's first post in seconds. The streams are not part of the repository; without them there are no rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.burst_expectations import EXPECTED, Burst, Expected
from benchmarks.burst_streams import load
from benchmarks.naive_counts import Series, TagSeries, count, decisions
from benchmarks.report import Row, options, print_rows
from operators.trend_options import TrendOptions

Tags = dict[str, TagSeries]
Detector = Callable[[Tags, Series, TrendOptions], list["Start"]]

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
#: Posts in the window from which on the threshold speaks: the best (F1) on the tuned streams of 25, 50, 100 and 200.
THRESHOLD = 25
#: Growth over the window before from which on the ratio speaks: the best (F1) on the tuned streams of 3, 5, 10 and 20.
RATIO = 20.0


class Start(NamedTuple):
    """A detector says that a tag begins to trend, at a Unix time."""

    tag: str
    at: float


class Verdict(NamedTuple):
    """What came of one stream."""

    found: list[tuple[Burst, float]]
    missed: list[Burst]
    false: list[Start]
    traps: list[Start]


def streams() -> Path | None:
    """The folder with the streams, when there is one."""
    root = Path(os.environ.get("GROUNDSWELL_SHARED_DATA") or _SHARED) / "tweets_trend"
    return root if root.is_dir() else None


def ours(tags: Tags, stream: Series, how: TrendOptions) -> list[Start]:
    """The job's burst score and board."""
    return [
        Start(event.trend.tag, event.at.timestamp()) for event in decisions(tags, stream, how) if event.event == "began"
    ]


def threshold(tags: Tags, stream: Series, how: TrendOptions) -> list[Start]:
    """A tag trends while the window holds at least :data:`THRESHOLD` of its posts."""
    del stream
    return _while(tags, how, lambda now, _: now >= THRESHOLD)


def ratio(tags: Tags, stream: Series, how: TrendOptions) -> list[Start]:
    """A tag trends while the window holds :data:`RATIO` times the posts of the window before, and enough of them."""
    del stream
    assert how.detection is not None
    least = how.detection.min_count
    return _while(tags, how, lambda now, before: (now >= least) & (now >= RATIO * np.maximum(before, 1.0)))


def _while(
    tags: Tags,
    how: TrendOptions,
    trends: Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], npt.NDArray[np.bool_]],
) -> list[Start]:
    """The starts of a rule on the counts of this window and of the one before, with the job's hold."""
    assert how.detection is not None
    size, slide = how.window_panes, how.slide_panes
    starts = []
    for tag, series in tags.items():
        posts = series.posts
        # Counts change only where a pane enters or leaves one of the two windows.
        ends = np.unique(np.concatenate([posts.panes + 1 + shift * size for shift in (0, 1, 2)]))
        ends = np.unique(-(-ends // slide) * slide)
        now = posts.between(ends - size, ends)
        on = trends(now, posts.between(ends - 2 * size, ends - size))
        off_since = -np.inf
        active = False
        for end, is_on in zip((ends * how.pane).tolist(), on.tolist(), strict=True):
            if active and off_since + how.detection.hold <= end:
                active = False
            if is_on:
                if not active:
                    starts.append(Start(tag, end))
                active, off_since = True, np.inf
            else:
                off_since = min(off_since, end)
    return starts


def judge(expected: Expected, starts: Sequence[Start]) -> Verdict:
    """Set what a detector says against what was found by reading."""
    found, missed = [], []
    for burst in expected.bursts:
        moments = [start.at for start in starts if burst.holds(*start)]
        if moments:
            found.append((burst, min(moments) - burst.start))
        else:
            missed.append(burst)
    traps = [start for start in starts if start.tag in expected.never]
    false = [
        start
        for start in starts
        if start.tag not in expected.tolerable and not any(burst.holds(*start) for burst in expected.bursts)
    ]
    return Verdict(found, missed, false, traps)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures; without ``--json`` also each stream's own, and what ours said wrongly."""
    chosen = options(__doc__, argv)
    root = streams()
    if root is None:
        print("the streams are not here; set GROUNDSWELL_SHARED_DATA")
        return
    detectors: dict[str, Detector] = {"ours": ours, "threshold": threshold, "ratio": ratio}
    verdicts: dict[bool, dict[str, list[Verdict]]] = {
        tuned: {name: [] for name in detectors} for tuned in (True, False)
    }
    if not chosen.json:
        print("| stream | bursts |" + "".join(f" {name}: missed, false (traps), delay |" for name in detectors))
        print("| --- | ---: |" + " --- |" * len(detectors))
    notes = []
    for expected in EXPECTED:
        if chosen.quick and expected.stream in ("elections", "ggplot2"):
            continue
        tags, whole = count(load(expected.stream, root), expected.options.pane)
        cells = []
        for name, detector in detectors.items():
            verdict = judge(expected, detector(tags, whole, expected.options))
            verdicts[expected.tuned][name].append(verdict)
            cells.append(_cell([verdict]))
            if name == "ours":
                notes += [f"{expected.stream}: missed {burst.tag}, {burst.why}" for burst in verdict.missed]
                notes += [f"{expected.stream}: {_false(expected, start)}" for start in verdict.false]
        if not chosen.json:
            mark = "" if expected.options.window == 1_800 else f" ({expected.options.window // 3_600} h window)"
            mark += " *" if expected.tuned else ""
            print(f"| {expected.stream}{mark} | {len(expected.bursts)} | {' | '.join(cells)} |", flush=True)
    if chosen.json:
        print_rows([row for tuned, kept in verdicts.items() for row in _rows(tuned, kept)], as_json=True)
        return
    for tuned, kept in verdicts.items():
        cells = [_cell(kept[name]) for name in detectors]
        bursts = sum(len(each.found) + len(each.missed) for each in kept["ours"])
        print(f"| **{'tuned (*)' if tuned else 'others'}** | {bursts} | {' | '.join(cells)} |")
    print(*("", *notes), sep="\n")


def _cell(verdicts: Sequence[Verdict]) -> str:
    missed, false, traps = (sum(len(getattr(each, name)) for each in verdicts) for name in ("missed", "false", "traps"))
    delays = [delay for each in verdicts for _, delay in each.found]
    return f"{missed}, {false} ({traps}), {f'{median(delays):.0f} s' if delays else '-'}"


def _false(expected: Expected, start: Start) -> str:
    when = datetime.fromtimestamp(start.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"false start of {start.tag} at {when}, {expected.never.get(start.tag, 'not named')}"


def _rows(tuned: bool, verdicts: dict[str, list[Verdict]]) -> list[Row]:
    rows = []
    part = "tuned streams" if tuned else "other streams"
    for peer in ("threshold", "ratio"):
        for field, unit in (("missed", "bursts"), ("false", "starts"), ("traps", "starts")):
            figures = [sum(len(getattr(each, field)) for each in verdicts[name]) for name in ("ours", peer)]
            rows.append(Row(f"{part}: {field}, peer: {peer}", figures[0], figures[1], unit))
        delays = [[delay for each in verdicts[name] for _, delay in each.found] for name in ("ours", peer)]
        rows.append(
            Row(
                f"{part}: median delay, peer: {peer}",
                median(delays[0]) if delays[0] else 0.0,
                median(delays[1]) if delays[1] else None,
                "s",
            )
        )
    return rows


if __name__ == "__main__":
    main()
