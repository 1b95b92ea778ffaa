"""The counts of tags over a whole replay, coarse enough to draw and small whatever the replay's length."""

from __future__ import annotations

from collections.abc import Iterable

from groundswell.trends import TrendEvent, Window, newest_events

#: Tags of a window that are looked at; one that is not among them is drawn at zero.
DEPTH = 100
#: Points in time that are told apart; more become half as many, each with the highest count of two.
POINTS = 1_200


class TagHistory:
    """Takes windows and events; gives the highest count of a tag for each point in time.

    A point is ``step`` seconds, a power of two times the slide; point *n* holds the windows
    with ``n * step <= end < (n + 1) * step``.
    """

    def __init__(self, slide: int, *, depth: int = DEPTH, points: int = POINTS) -> None:
        self.step = slide
        self._depth = depth
        self._points = points
        self._first = self._last = 0
        #: The ends of the first and of the last window that holds a tag.
        self.ends = (0, 0)
        self._counts: dict[str, dict[int, int]] = {}
        self._events: list[TrendEvent] = []

    def add(self, emission: Window | TrendEvent) -> None:
        """Take what a replay gives."""
        if isinstance(emission, TrendEvent):
            self._events.append(emission)
            return
        if not emission.top:
            return
        point = emission.end // self.step
        if not self._counts:
            self._first = self._last = point
            self.ends = emission.end, emission.end
        self.ends = min(self.ends[0], emission.end), max(self.ends[1], emission.end)
        self._first, self._last = min(self._first, point), max(self._last, point)
        while self._last - self._first >= self._points:
            self._halve()
        point = emission.end // self.step
        for tag, count in ((entry.tag, entry.count) for entry in emission.top[: self._depth]):
            known = self._counts.setdefault(tag, {})
            known[point] = max(known.get(point, 0), count)

    def trends(self) -> dict[str, list[TrendEvent]]:
        """The last event of every trend by tag, the earliest trend first; what was corrected is left out."""
        found: dict[str, list[TrendEvent]] = {}
        for event in sorted(newest_events(self._events).values(), key=lambda event: event.trend.since):
            found.setdefault(event.trend.tag, []).append(event)
        return found

    def prominent(self, most: int) -> list[str]:
        """The tags to show, the highest first: those that trended, and others with at least as many posts.

        A third of the places is kept for the others, where there are such.
        """
        peaks = {tag: max(counts.values()) for tag, counts in self._counts.items()}
        trended = self.trends()
        ranked = sorted(peaks, key=lambda tag: (-peaks[tag], tag))
        first = [tag for tag in ranked if tag in trended]
        least = peaks[first[:most][-1]] if first else 0
        others = [tag for tag in ranked if tag not in trended and peaks[tag] >= least]
        chosen = first[: most - min(len(others), most // 3)]
        chosen += others[: most - len(chosen)]
        return sorted(chosen, key=lambda tag: (-peaks[tag], tag))

    def series(self, tag: str) -> list[int]:
        """The counts of a tag at every point from the first to the last."""
        counts = self._counts.get(tag, {})
        return [counts.get(point, 0) for point in range(self._first, self._last + 1)]

    def times(self) -> Iterable[int]:
        """The points that go with :meth:`series`, in seconds since 1970."""
        return range(self._first * self.step, self._last * self.step + 1, self.step)

    def _halve(self) -> None:
        self.step *= 2
        self._first, self._last = self._first // 2, self._last // 2
        for tag, counts in self._counts.items():
            coarse: dict[int, int] = {}
            for point, count in counts.items():
                coarse[point // 2] = max(coarse.get(point // 2, 0), count)
            self._counts[tag] = coarse
