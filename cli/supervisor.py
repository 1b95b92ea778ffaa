"""Starts the job's processes, restarts them when they crash, and gives up with a reason."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import msgspec

from cli.processes import JobProcess, free_port
from connectors.breadcrumbs import forget_breadcrumbs, read_breadcrumbs
from connectors.recovery import open_recovery
from dataflows.order import Flow, Order
from groundswell.reports import CRASHED, DRAINED, FINISHED, REFUSED, STOPPED, Ended, Status, Totals
from groundswell.settings import Settings
from operators.blame import Blame, Restarts
from operators.isolate import Isolation, Span

_LOG = logging.getLogger("groundswell.supervisor")
_GRACE_SECONDS = 10.0
#: A cluster that lost a process can close no epoch: the others may say why they end, and no more.
_CRASH_GRACE_SECONDS = 1.0


class Outcome(msgspec.Struct):
    """How the whole run ended."""

    ended: Ended
    restarts: int
    statuses: list[Status]

    @property
    def exit_code(self) -> int:
        return {FINISHED: 0, DRAINED: 0, REFUSED: 2}.get(self.ended.how, 1)


class Supervisor:
    """Runs the job to its end. ``run`` blocks; SIGTERM and SIGINT drain it."""

    def __init__(
        self,
        settings: Settings,
        *,
        flow: Flow = "posts",
        recovery_dir: Path,
        state_dir: Path,
        until_end: bool = False,
        replay: int = 0,
        redis_url: str = "",
        on_status: Callable[[list[Status]], None] | None = None,
    ) -> None:
        self._settings = settings
        self._flow = flow
        self._until_end = until_end
        self._replay = replay
        self._redis_url = redis_url
        self._recovery_dir = recovery_dir
        self._crumbs = state_dir / "breadcrumbs"
        self._quarantine = state_dir / "quarantine.json"
        self._on_status = on_status
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._children: list[JobProcess] = []
        self._killed: set[int] = set()
        self._restarts = Restarts(
            settings.job.max_restarts, settings.job.restart_backoff, settings.job.restart_backoff_max
        )
        self._blame = Blame(settings.job.crashes_to_blame, self._remembered())

    def run(self) -> Outcome:
        """Start, watch and restart until the job ends, is told to stop, or must give up."""
        open_recovery(self._recovery_dir, self._settings.job.recovery_partitions)
        handlers = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while True:
                self._start()
                self._watch()
                ended = self._conclude()
                if ended is not None:
                    return Outcome(ended, self._restarts.total, self._statuses())
        finally:
            for child in self._children:
                child.kill()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._stopping.is_set() and number == signal.SIGINT:
            for child in self._children:
                child.kill()
        self._stopping.set()
        for child in self._children:
            child.terminate()
        self._wake.set()

    def _start(self) -> None:
        job = self._settings.job
        addresses = job.addresses
        if not addresses and job.processes > 1:
            addresses = tuple(f"127.0.0.1:{free_port()}" for _ in range(job.processes))
        indices = [job.process_index] if job.addresses else list(range(job.processes))
        if self._flow == "reclassify":
            # One process re-reads, whatever the size of the posts job.
            addresses, indices = (), [0]
        forget_breadcrumbs(self._crumbs, indices)
        self._children = [self._spawn(index, max(1, len(addresses)), addresses) for index in indices]
        if self._stopping.is_set():
            for child in self._children:
                child.terminate()

    def _spawn(self, index: int, processes: int, addresses: tuple[str, ...]) -> JobProcess:
        order = Order(
            settings=self._settings,
            process=index,
            processes=processes,
            addresses=addresses,
            isolation=self._blame.isolation,
            until_end=self._until_end,
            replay=self._replay,
            restarts=self._restarts.total,
            recovery_dir=str(self._recovery_dir),
            breadcrumbs_dir=str(self._crumbs),
            redis_url=self._redis_url,
            flow=self._flow,
        )
        return JobProcess(msgspec.json.encode(order), lambda _index: self._wake.set(), index)

    def _statuses(self) -> list[Status]:
        return [child.status for child in self._children if child.status is not None]

    def _watch(self) -> None:
        """Return when every process has ended; one that crashed takes the others with it."""
        deadline: float | None = None
        while True:
            self._wake.wait(0.2)
            self._wake.clear()
            if self._on_status is not None:
                self._on_status(self._statuses())
            running = [child for child in self._children if child.exit_code is None]
            if not running:
                break
            if deadline is None and (self._stopping.is_set() or len(running) < len(self._children)):
                crashed = any(child.exit_code not in (None, 0) for child in self._children)
                grace = _CRASH_GRACE_SECONDS if crashed else _GRACE_SECONDS + self._settings.job.drain_timeout
                deadline = time.monotonic() + grace if crashed or self._stopping.is_set() else None
            if deadline is not None and time.monotonic() > deadline:
                for child in running:
                    self._killed.add(child.pid)
                    child.kill()
        for child in self._children:
            child.wait()

    def _conclude(self) -> Ended | None:
        """The end of the run, or ``None`` after the wait before a restart."""
        endings = [child.ended for child in self._children if child.ended is not None]
        totals = Totals()
        for child in self._children:
            totals = totals.plus(
                child.ended.totals if child.ended else child.status.totals if child.status else Totals()
            )
        for ended in endings:
            if ended.how in {REFUSED, STOPPED}:
                return Ended(ended.how, ended.reason, totals)
        if all(child.exit_code == 0 for child in self._children) and endings:
            how = FINISHED if all(ended.how == FINISHED for ended in endings) else DRAINED
            return Ended(how, "", totals)
        reason = self._crash_reason()
        if self._stopping.is_set():
            if all(child.exit_code in (0, -signal.SIGTERM) for child in self._children):
                # A process that was told before it could listen has begun nothing.
                return Ended(DRAINED, "", totals)
            return Ended(CRASHED, f"while it drained: {reason}", totals)
        return self._after_crash(reason, totals)

    def _crash_reason(self) -> str:
        """The first cause: a process with a reason of its own before one that lost its peers."""
        reasons = [child.ended.reason for child in self._children if child.ended and child.ended.how == CRASHED]
        killed = [
            child.exit_code
            for child in self._children
            if child.ended is None and child.exit_code and child.pid not in self._killed
        ]
        if killed:
            code = killed[0]
            by_signal = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            return f"a job process ended with {by_signal}"
        return next((reason for reason in reasons if reason), "a job process ended without a reason")

    def _after_crash(self, reason: str, totals: Totals) -> Ended | None:
        # What a process had in hand that was killed from here says nothing.
        ended = [child.index for child in self._children if child.pid not in self._killed]
        in_hand = [[Span(*place) for place in crumb.ranges] for crumb in read_breadcrumbs(self._crumbs, ended)]
        verdict = self._blame.crashed(in_hand)
        place = ", ".join(_named(span) for spans in in_hand for span in spans) or "no record in hand"
        _LOG.error("the job crashed: %s (%s)", reason, place)
        if verdict.guilty:
            guilty = ", ".join(_named(span) for span in verdict.guilty)
            if self._settings.job.on_crash == "stop":
                return Ended(
                    STOPPED,
                    f"{guilty} crashes the job again and again: {reason}; set job.on_crash = 'quarantine' to move such "
                    "records to the dead letters, or fix the cause",
                    totals,
                )
            _LOG.warning("%s goes to the dead letters: it crashes the job again and again", guilty)
            self._quarantine.parent.mkdir(parents=True, exist_ok=True)
            self._quarantine.write_bytes(msgspec.json.encode(self._blame.isolation.guilty))
        progressed = verdict.learned or (
            not verdict.repeated
            and any(status.epochs > 1 and (status.totals.read or status.totals.scores) for status in self._statuses())
        )
        delay = self._restarts.next_delay(progressed=progressed)
        if delay is None:
            return Ended(
                CRASHED, f"gave up after {self._restarts.total} restarts without progress: {reason} ({place})", totals
            )
        _LOG.warning("restart %d in %.1f s", self._restarts.total, delay)
        self._stopping.wait(delay)
        return Ended(DRAINED, "", totals) if self._stopping.is_set() else None

    def _remembered(self) -> Isolation:
        """Records found guilty by an earlier run."""
        if not self._quarantine.exists():
            return Isolation()
        return Isolation(guilty=tuple(msgspec.json.decode(self._quarantine.read_bytes(), type=list[Span])))


def _named(span: Span) -> str:
    last = "" if span.single else f"-{span.last}"
    return f"{span.stream}/{span.partition}/{span.first}{last}"
