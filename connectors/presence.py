"""Each process of a job reports itself in Redis, for people who ask from elsewhere.

The report is written whole each time and expires by itself, so it says what is, not
what was. Redis is no part of the flow here: when it does not answer, the wait is
named and reporting goes on once it does.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

import msgspec
import redis

from connectors.redis_client import REDIS, translated
from groundswell import __version__
from groundswell.errors import StopJob, Unavailable
from groundswell.redis_keys import PROCESS, PROCESSES, process_member
from groundswell.reports import Status, Totals
from groundswell.waits import Waits

_LOG = logging.getLogger("groundswell.presence")
_HOLDER = "presence"
_LONGEST_PAUSE_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
_FORGET_SECONDS = 3600.0

RUNNING = "running"
WAITING = "waiting"
DRAINING = "draining"
ENDED = "ended"


class ProcessReport(msgspec.Struct, kw_only=True):
    """What one process says of itself.

    ``rate`` is posts read a second since the report before; ``models``, ``provider`` and
    ``embedding_space`` are those in use, as in :class:`~groundswell.reports.Status`.
    """

    job: str
    process: int
    host: str
    pid: int
    version: str
    started: datetime
    seen: datetime
    state: str
    rate: float = 0.0
    totals: Totals = msgspec.field(default_factory=Totals)
    lag: int = 0
    waits: dict[str, str] = {}
    models: tuple[str, ...] = ()
    provider: str = ""
    embedding_space: str | None = None
    restarts: int = 0


class Presence:
    """Reports from :meth:`start` to :meth:`close`, on a thread of its own, every ``interval`` seconds.

    ``status`` is asked for each report; a report lives for ``lifetime`` seconds.
    """

    def __init__(
        self,
        client: redis.Redis,
        waits: Waits,
        status: Callable[[], Status],
        *,
        job: str,
        process: int,
        prefix: str = "",
        restarts: int = 0,
        interval: float = 2.0,
        lifetime: float = 15.0,
    ) -> None:
        self._client = client
        self._waits = waits
        self._status = status
        self._member = process_member(job, process)
        self._key = prefix + PROCESS + self._member
        self._index = prefix + PROCESSES
        self._interval = interval
        self._lifetime = lifetime
        now = datetime.now(UTC)
        self._report = ProcessReport(
            job=job,
            process=process,
            host=platform.node(),
            pid=os.getpid(),
            version=__version__,
            started=now,
            seen=now,
            state=RUNNING,
            restarts=restarts,
        )
        self._measured = time.monotonic()
        self._draining = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def draining(self) -> None:
        """Report from now on that the process drains."""
        self._draining = True

    def close(self) -> None:
        """Report the end, if Redis takes it at once, and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)
        self._waits.end(REDIS, _HOLDER)

    def _run(self) -> None:
        failures = 0
        pause = 0.0
        while not self._stop.wait(pause):
            try:
                self._write(self._next_report())
            except (Unavailable, StopJob) as error:
                reason = error.reason if isinstance(error, Unavailable) else str(error)
                if failures == 0:
                    _LOG.warning("cannot report to Redis: %s", reason)
                failures += 1
                self._waits.begin(REDIS, reason, _HOLDER, blocking=False)
                pause = min(_LONGEST_PAUSE_SECONDS, self._interval * 2.0 ** min(failures - 1, 10))
            else:
                failures = 0
                self._waits.end(REDIS, _HOLDER)
                pause = self._interval
        if failures == 0:
            try:
                self._write(self._next_report(ENDED))
            except (Unavailable, StopJob) as error:
                _LOG.info("the last report did not reach Redis: %s", error)

    def _next_report(self, state: str | None = None) -> ProcessReport:
        status = self._status()
        now = time.monotonic()
        read = max(0, status.totals.read - self._report.totals.read)
        elapsed = max(now - self._measured, 1e-3)
        # A dependency that only this thread waits for is no wait of the job.
        waits = self._waits.blocking()
        self._measured = now
        self._report = msgspec.structs.replace(
            self._report,
            seen=datetime.now(UTC),
            state=state or (DRAINING if self._draining else WAITING if waits else RUNNING),
            rate=read / elapsed,
            totals=status.totals,
            lag=status.lag,
            waits=waits,
            models=status.models,
            provider=status.provider,
            embedding_space=status.embedding_space,
        )
        return self._report

    def _write(self, report: ProcessReport) -> None:
        expires = time.time() + self._lifetime
        with translated():
            transaction = self._client.pipeline(transaction=True)
            transaction.set(self._key, msgspec.json.encode(report), px=int(self._lifetime * 1000))
            transaction.zadd(self._index, {self._member: expires})
            transaction.zremrangebyscore(self._index, "-inf", expires - _FORGET_SECONDS)
            transaction.execute()


def read_presence(client: redis.Redis, prefix: str = "") -> list[ProcessReport]:
    """The reports that have not expired, by job and process. Raises ``Unavailable`` or ``StopJob``."""
    with translated():
        members = cast("list[str]", client.zrange(prefix + PROCESSES, 0, -1))
        keys = [prefix + PROCESS + member for member in members]
        values = client.mget(keys) if keys else []
    reports = []
    for key, value in zip(keys, values, strict=True):
        if value is None:
            continue
        try:
            reports.append(msgspec.json.decode(value, type=ProcessReport))
        except msgspec.DecodeError as error:
            _LOG.warning("%s: written by another version of groundswell: %s", key, error)
    return sorted(reports, key=lambda report: (report.job, report.process))
