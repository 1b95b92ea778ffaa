"""The champion of one reference: which versions are in memory, who reads which text, and what is learnt of it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from groundswell.metrics import MODEL_DRIFT, MODEL_INFO, MODEL_ROLLBACKS, MODEL_SWAPS
from groundswell.records import Analysis
from inference.canary import Canary
from inference.comparison import Fault
from inference.drift import CLASSES, CONFIDENCE, DriftWindow
from inference.loaded import Loaded
from inference.manifest import Reference
from inference.meeting import MetShare
from inference.routing import Share
from inference.rows import RowError, Text
from inference.trial import Trial


class Rules(NamedTuple):
    """How versions are judged.

    ``canary`` is the candidate's share of the texts, ``drift_rows`` the texts behind each
    measurement, ``drift_limit`` a population stability index, and ``roll_back`` says that
    a new champion is tried against the one before, and leaves when it is to blame.
    """

    canary: float = 0.0
    drift_rows: int = 2_000
    drift_limit: float = 0.25
    roll_back: bool = False


class Fall(NamedTuple):
    """A version that must not serve any more; ``back`` is the champion that serves again, if it was one."""

    fallen: Loaded
    fault: Fault
    back: Loaded | None = None


class OnFall(Protocol):
    """Hears of a version that falls, before its place is empty."""

    def __call__(self, fall: Fall) -> None: ...


class _Reign:
    """A version's time as champion: its newest answers, against its reference or else its predecessor's last ones."""

    def __init__(self, loaded: Loaded, rows: int, inherited: Mapping[str, Reference]) -> None:
        self.loaded: Final = loaded
        self.references: Final = {**inherited, **loaded.references}
        self.drift: Final = {
            task: DriftWindow(coding, rows, self.references.get(task)) for task, coding in loaded.codings.items()
        }

    def last(self) -> dict[str, Reference]:
        """Task → what the full windows hold."""
        found = {task: window.distribution() for task, window in self.drift.items()}
        return {task: distribution for task, distribution in found.items() if distribution is not None}


class _Now(NamedTuple):
    """Who serves; replaced as a whole, so that every submit sees one state."""

    reign: _Reign
    previous: _Reign | None = None
    canary: Canary | None = None
    trial: Trial | None = None


class Champion:
    """The versions behind one reference. Thread-safe; no I/O.

    A version serves a whole submit or none of it, canary apart: what a submit was routed
    to stays with it, whatever takes over meanwhile. One previous champion stays in memory.
    """

    def __init__(self, first: Loaded, rules: Rules, on_fall: OnFall) -> None:
        self._rules = rules
        self._on_fall = on_fall
        self._lock = threading.Lock()
        self._closed = False
        self._now = _Now(_Reign(first, rules.drift_rows, {}))
        _show(first)

    @property
    def loaded(self) -> Loaded:
        """The version that serves."""
        return self._now.reign.loaded

    @property
    def previous(self) -> Loaded | None:
        """The champion before, ready to serve again."""
        previous = self._now.previous
        return previous.loaded if previous is not None else None

    @property
    def candidate(self) -> Loaded | None:
        """The version that serves its share beside the champion."""
        canary = self._now.canary
        return canary.candidate if canary is not None else None

    def in_memory(self, version: str) -> Loaded | None:
        """The version, where it is loaded."""
        ready = (self.loaded, self.previous, self.candidate)
        return next((loaded for loaded in ready if loaded and loaded.ref.version == version), None)

    def route(self, texts: Sequence[Text]) -> list[Share]:
        """Shares that serve each text once, and shadows."""
        if not texts:
            return []
        now = self._now
        left: Sequence[int] = range(len(texts))
        shares: list[Share] = []
        if now.canary is not None:
            shares, left = now.canary.part(texts, left)
        if now.trial is not None:
            return shares + now.trial.part(texts, left)
        return [*shares, Share(now.reign.loaded.reader, left)] if left else shares

    def observe(self, share: Share, tasks: Collection[str], answers: Sequence[Analysis | RowError]) -> None:
        """Learn from the answers to a share: drift, canary, trial."""
        fall = None
        reign = self._now.reign
        codes = {}
        if share.reader is reign.loaded.reader:
            codes = {task: window.coding.codes(answers) for task, window in reign.drift.items() if task in tasks}
        with self._lock:
            for task, found in codes.items():
                if reign.drift[task].add(found) and reign is self._now.reign:
                    _show_drift(reign.loaded, task, reign.drift[task])
            if isinstance(share, MetShare):
                fall = self._meet(share, tasks, answers)
        if fall is not None:
            self._on_fall(fall)
            self._leave(fall)

    def take_over(self, loaded: Loaded) -> None:
        """``loaded`` serves from the next submit on; the champion before stays in memory.

        The previous champion that comes back stands no trial: someone wants it back.
        """
        with self._lock:
            if self._closed:
                return
            old, before = self._now.reign, self._now.previous
            if before is not None and loaded is before.loaded:
                self._enthrone(_Reign(loaded, self._rules.drift_rows, before.references), old, None)
                MODEL_ROLLBACKS.labels(loaded.ref.name).inc()
            else:
                rules = self._rules
                trial = (
                    Trial(loaded, old.loaded, rows=rules.drift_rows, limit=rules.drift_limit)
                    if rules.roll_back
                    else None
                )
                self._enthrone(_Reign(loaded, rules.drift_rows, old.last()), old, trial)
                MODEL_SWAPS.labels(loaded.ref.name).inc()

    def set_candidate(self, candidate: Loaded | None) -> None:
        """``candidate`` serves its share from the next submit on; ``None`` where there is none any more."""
        with self._lock:
            if self.candidate is not candidate and not self._closed:
                self._beside(candidate)

    def close(self) -> None:
        """Nothing is in use any more; closing twice is harmless."""
        with self._lock:
            self._closed = True
            self._beside(None)
            _hide(self.loaded)
            _hide_drift(self.loaded)

    def _meet(self, share: MetShare, tasks: Collection[str], answers: Sequence[Analysis | RowError]) -> Fall | None:
        canary, trial = self._now.canary, self._now.trial
        met = share.meeting.bring(share, answers)
        if met is None:
            return None
        comparison = share.meeting.comparison
        if canary is not None and comparison is canary.comparison:
            fault = canary.add(tasks, met)
            return Fall(canary.candidate, fault) if fault else None
        if trial is not None and comparison is trial.comparison:
            fault = trial.add(tasks, met)
            if fault:
                return Fall(trial.new, fault, trial.old)
            if trial.over:
                self._now = self._now._replace(trial=None)
        return None

    def _leave(self, fall: Fall) -> None:
        with self._lock:
            now = self._now
            if fall.back is None:
                if self.candidate is fall.fallen:
                    self._beside(None)
            elif self.loaded is fall.fallen and now.previous is not None and now.previous.loaded is fall.back:
                self._enthrone(_Reign(fall.back, self._rules.drift_rows, now.previous.references), None, None)
                MODEL_ROLLBACKS.labels(fall.back.ref.name).inc()

    def _enthrone(self, reign: _Reign, previous: _Reign | None, trial: Trial | None) -> None:
        candidate = self.candidate
        self._beside(None)
        _hide(self.loaded)
        _hide_drift(self.loaded)
        self._now = _Now(reign, previous, None, trial)
        _show(reign.loaded)
        if candidate is not reign.loaded:
            self._beside(candidate)

    def _beside(self, candidate: Loaded | None) -> None:
        canary = self._now.canary
        if canary is not None:
            canary.hide()
            _hide(canary.candidate)
            canary = None
        if candidate is not None:
            canary = Canary(candidate, self.loaded, self._rules.canary, self._rules.drift_rows)
            _show(candidate)
        self._now = self._now._replace(canary=canary)


def _show(loaded: Loaded) -> None:
    MODEL_INFO.labels(loaded.ref.name, loaded.ref.version, loaded.reader.provider).set(1)


def _hide(loaded: Loaded) -> None:
    MODEL_INFO.remove(loaded.ref.name, loaded.ref.version, loaded.reader.provider)


def _show_drift(loaded: Loaded, task: str, window: DriftWindow) -> None:
    for of, index in (window.drift() or {}).items():
        MODEL_DRIFT.labels(loaded.ref.name, task, of).set(index)


def _hide_drift(loaded: Loaded) -> None:
    for task in loaded.codings:
        for of in (CLASSES, CONFIDENCE):
            MODEL_DRIFT.remove(loaded.ref.name, task, of)
