"""What the trends engine is told: windows, time, and what a burst is."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, gcd

from groundswell.errors import StopJob


@dataclass(frozen=True)
class DetectionOptions:
    """What begins to trend and when it has ended; see the settings of the same names. Times are in seconds."""

    recent: int = 300
    half_life: int = 21_600
    tolerated_growth: float = 2.0
    start_score: float = 6.0
    stop_score: float = 2.0
    hold: int = 300
    min_count: int = 15
    min_authors: int = 8
    min_author_share: float = 0.1
    ring: int = 60
    max_active: int = 50
    samples: int = 300
    max_samples: int = 6_000
    refresh: int = 60


@dataclass(frozen=True)
class TrendOptions:
    """Windows of ``window`` seconds every ``slide`` seconds, each with its ``top`` tags (0: all of them).

    ``detection`` is ``None`` where tags are counted and nothing else. Raises
    ``ValueError`` for windows that cannot be.
    """

    window: int = 1_800
    slide: int = 10
    top: int = 20
    disorder: float = 10.0
    lateness: int = 60
    idle_timeout: float = 30.0
    advance_when_idle: bool = True
    count_original: bool = True
    dedupe_horizon: int = 300
    max_live_tags: int = 250_000
    detection: DetectionOptions | None = field(default_factory=DetectionOptions)

    def __post_init__(self) -> None:
        if not 0 < self.slide <= self.window:
            raise ValueError(
                f"a slide of {self.slide} s and a window of {self.window} s: 0 < slide <= window must hold"
            )
        if min(self.disorder, self.lateness, self.dedupe_horizon, self.top) < 0:
            raise ValueError("disorder, lateness, the horizon of duplicates and the top must not be negative")

    @cached_property
    def pane(self) -> int:
        """Seconds of event time that are counted together; windows and slides are whole numbers of panes.

        >>> TrendOptions(window=25, slide=10).pane
        5
        """
        return gcd(self.window, self.slide)

    @cached_property
    def window_panes(self) -> int:
        return self.window // self.pane

    @cached_property
    def recent_panes(self) -> int:
        """Panes of the recent past; it lies within the window."""
        recent = 0 if self.detection is None else max(1, self.detection.recent // self.pane)
        return min(recent, self.window_panes)

    @cached_property
    def slide_panes(self) -> int:
        return self.slide // self.pane

    @cached_property
    def horizon_panes(self) -> int:
        """Panes before its own in which a post's earlier delivery is looked for."""
        return ceil(self.dedupe_horizon / self.pane)

    @cached_property
    def retained(self) -> int:
        """For how many seconds behind the watermark closed panes are needed, for corrections included."""
        return self.window + self.lateness + (self.horizon_panes + self.slide_panes) * self.pane

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """What kept panes depend on: window, slide and pane, and for how long panes are kept."""
        return self.window, self.slide, self.pane, self.retained

    def check(self, stored: tuple[int, int, int, int]) -> None:
        """Raise :class:`~groundswell.errors.StopJob` when panes that were kept with another shape cannot go on."""
        if stored[:3] != self.shape[:3] or stored[3] < self.retained:
            raise StopJob(
                f"the recovery store holds windows of {stored[0]} s every {stored[1]} s, kept for {stored[3]} s; with "
                f"trends.window = {self.window}, trends.slide = {self.slide}, trends.lateness = {self.lateness} and "
                f"trends.dedupe_horizon = {self.dedupe_horizon} their counts could not be right: go back to the former "
                "settings, or name another job.recovery_dir and read from the start; what is stored already is not "
                "stored twice"
            )
