"""One process of the job, as the supervisor starts it: ``python -m cli.job_process REPORT_FD PARENT_PID``."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

import msgspec

from cli.processes import die_with_parent
from connectors.kafka_offsets import InputChanged
from connectors.logs import configure_logging
from dataflows.job import Job
from dataflows.order import Order
from groundswell import metrics
from groundswell.errors import Draining, GroundswellError, SettingsError, StopJob
from groundswell.reports import CRASHED, DRAINED, FINISHED, REFUSED, STOPPED, Ended, Report, Totals

_LOG = logging.getLogger("groundswell.job")
_STATUS_SECONDS = 0.5


def main() -> int:
    """Run the job to its end.

    The exit code is 0 for finished or drained, 1 for crashed, 2 for refused settings, 3 for stopped.
    """
    # Should a library crash, its last words say where.
    faulthandler.enable()
    report_fd, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent()
    if os.getppid() != parent:
        return 1
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    configure_logging(order.settings.observability.log_format, order.settings.observability.log_level)
    with os.fdopen(report_fd, "wb", buffering=0) as pipe:

        def report(message: Report) -> None:
            with contextlib.suppress(BrokenPipeError):
                pipe.write(msgspec.json.encode(message) + b"\n")

        return _run(order, report)


def _run(order: Order, report: Callable[[Report], None]) -> int:
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        if job is not None:
            job.drain()

    job: Job | None = None
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    done = threading.Event()
    try:
        job = Job(order, stop)

        def report_status() -> None:
            while not done.wait(_STATUS_SECONDS):
                report(job.status())

        threading.Thread(target=report_status, name="status", daemon=True).start()
        job.run()
        how, reason = (DRAINED if stop.is_set() else FINISHED), ""
    except BaseException as error:  # noqa: BLE001 - the boundary: every end is reported, with its cause
        how, reason = _explain(error)
        if how == CRASHED:
            _LOG.exception("the job process crashed")
    done.set()
    if job is not None:
        report(job.status())
        report(Ended(how, reason, job.status().totals))
        job.close()
    else:
        report(Ended(how, reason, Totals()))
    return {FINISHED: 0, DRAINED: 0, REFUSED: 2, STOPPED: 3}.get(how, 1)


def _explain(error: BaseException) -> tuple[str, str]:
    """How the job ended, from the whole chain of causes: Bytewax wraps what its steps raise."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for link in chain:
        if isinstance(link, StopJob):
            return STOPPED, str(link)
        if isinstance(link, SettingsError):
            return REFUSED, str(link)
    for link in chain:
        if isinstance(link, Draining):
            if not metrics.anything_read():
                return DRAINED, ""  # told to stop while it waited to begin
            return CRASHED, f"gave up waiting to drain: {link}; it resumes from the last snapshot"
        if isinstance(link, InputChanged):
            return CRASHED, str(link)  # a restart is what helps
    for link in chain:
        if isinstance(link, GroundswellError):
            return STOPPED, str(link)
    root = chain[-1]
    return CRASHED, f"{type(root).__name__}: {root}"


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
