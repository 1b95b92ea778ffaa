"""Child processes that never outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import msgspec

from groundswell.reports import Ended, Report, Status

_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """A TCP port on the loopback address that nobody uses at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, however that ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class JobProcess:
    """One process of the job: started, listened to, and ended."""

    def __init__(self, order: bytes, on_report: Callable[[int], None], index: int) -> None:
        read_end, write_end = os.pipe()
        self.index = index
        self.status: Status | None = None
        self.ended: Ended | None = None
        self._on_report = on_report
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cli.job_process", str(write_end), str(os.getpid())],
            stdin=subprocess.PIPE,
            pass_fds=(write_end,),
            process_group=0,
        )
        os.close(write_end)
        assert self._process.stdin is not None  # noqa: S101 - requested above
        try:
            self._process.stdin.write(order)
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it is gone already; its exit code says the rest
        self._listener = threading.Thread(target=self._listen, args=(read_end,), daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal, or ``None`` while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to drain."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the process and of its reports; ``False`` on a time-out."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._listener.join()
        return True

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def _listen(self, read_end: int) -> None:
        decoder = msgspec.json.Decoder(Report)
        with os.fdopen(read_end, "rb") as lines:
            for line in lines:
                try:
                    report = decoder.decode(line)
                except msgspec.DecodeError:
                    continue  # cut off by a kill
                if isinstance(report, Status):
                    self.status = report
                else:
                    self.ended = report
                self._on_report(self.index)
        self._on_report(self.index)
