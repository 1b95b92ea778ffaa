"""A server as a child process: started, awaited, stopped, killed, and never left behind.

Each server is the leader of its own process group, so that a kill takes its children with
it. A leashed server dies with the process that started it, however that one ends: the
kernel sends SIGKILL (Linux; elsewhere only an orderly end is covered). The kernel watches the
*thread* that started the child, so one thread that lives as long as the process starts them all.
"""

from __future__ import annotations

import abc
import atexit
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.stack.errors import StackError
from tests.waiting import wait_until

_starter = ThreadPoolExecutor(1, thread_name_prefix="stack-starter")


class Account(NamedTuple):
    """A user that a server runs as."""

    uid: int
    gid: int


def unprivileged() -> Account | None:
    """The account for a server that refuses to run as root; ``None`` when this is not root."""
    if os.geteuid() != 0:
        return None
    for name in ("nobody", "daemon"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise StackError("Elasticsearch does not run as root and there is no account 'nobody': run as another user")


def spawn(
    command: list[str], *, leashed: bool = True, account: Account | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start ``command``, by default on a leash; ``options`` are those of :class:`subprocess.Popen`."""
    prefix = []
    if leashed and sys.platform == "linux":
        prefix += ["--pdeathsig", "KILL"]
    if account:
        prefix += [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    if prefix and shutil.which("setpriv") is None:
        raise StackError("setpriv is missing: install util-linux")
    whole = ["setpriv", *prefix, "--", *command] if prefix else command

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(whole, **options)

    return _starter.submit(start).result()


class Server(abc.ABC):
    """One server with its own folder, address and log, on the same port and data for life."""

    name: str
    start_timeout = 60.0
    account: Account | None = None

    def __init__(self, folder: Path, *, leashed: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log = folder / f"{self.name}.log"
        self._leashed = leashed
        self._process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def command(self) -> list[str]:
        """The command that runs the server in the foreground."""

    @abc.abstractmethod
    def is_ready(self) -> bool:
        """Whether the server answers requests; called while it starts."""

    def environment(self) -> dict[str, str]:
        """The environment of the server."""
        return dict(os.environ)

    @property
    def pid(self) -> int | None:
        """The process id of the group's leader while it runs."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start on the same port and data and return when the server answers; nothing if it runs."""
        if self.running:
            return
        with self.log.open("ab") as log:
            self._process = spawn(
                self.command(),
                leashed=self._leashed,
                account=self.account,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,
            )
        atexit.register(self.kill)
        try:
            wait_until(self._ready_or_dead, self.start_timeout, f"{self.name} to answer")
        except TimeoutError as error:
            self.kill()
            raise StackError(f"{error}; the end of its log: {self._log_end()}") from None
        if not self.running:
            raise StackError(f"{self.name} ended while it started; the end of its log: {self._log_end()}")

    def stop(self, timeout: float = 60.0) -> None:
        """Stop in an orderly way (SIGTERM), after ``timeout`` seconds by force; nothing if it does not run."""
        if self._process is None:
            return
        if self.running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole group; returns when all of it is gone."""
        if self._process is None:
            return
        kill_group(self._process.pid)
        self._process.wait()
        self._process = None
        atexit.unregister(self.kill)

    def release(self) -> None:
        """Let the server live on when this process ends; only for one that is not leashed."""
        atexit.unregister(self.kill)

    def _ready_or_dead(self) -> bool:
        return not self.running or self.is_ready()

    def _log_end(self) -> str:
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-5:])


def group_members(leader: int) -> list[psutil.Process]:
    """The living processes of the group that ``leader`` leads or led."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def kill_group(leader: int) -> None:
    """SIGKILL to the group and wait until none of it lives."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    wait_until(lambda: not group_members(leader), 30, f"process group {leader} to end")
