"""The embedded Redis: a real server that lives and dies with the job."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import redis

from connectors.embedded_redis import EmbeddedRedis, running_address
from connectors.redis_client import connect, ping
from groundswell.errors import StopJob, Unavailable
from tests.waiting import wait_until


def answers(client: redis.Redis) -> bool:
    try:
        ping(client)
    except Unavailable:
        return False
    return True


def test_it_answers_on_a_private_socket_and_keeps_its_data(tmp_path: Path) -> None:
    data = tmp_path / "a folder with spaces"
    with EmbeddedRedis(data) as server:
        socket = Path(server.url.removeprefix("unix://"))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert len(str(socket)) < 107
        assert psutil.Process(server.pid).net_connections("tcp") == []
        client = connect(server.url)
        assert ping(client).version.startswith("6.2")
        client.set("hashtags", "kept")
    assert not socket.parent.exists()
    with EmbeddedRedis(data) as server:
        assert connect(server.url).get("hashtags") == "kept"


def test_others_find_the_server_of_a_running_job(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no job runs with job\.data_dir"):
        running_address(tmp_path)
    with EmbeddedRedis(tmp_path) as server:
        assert running_address(tmp_path) == server.url
    with pytest.raises(Unavailable, match=r"no job runs with job\.data_dir"):
        running_address(tmp_path)


def test_a_data_directory_belongs_to_one_job(tmp_path: Path) -> None:
    with (
        EmbeddedRedis(tmp_path) as first,
        pytest.raises(StopJob, match=rf"in use by another groundswell \(process {os.getpid()}\).*job\.data_dir"),
    ):
        EmbeddedRedis(tmp_path).start()
    assert first.pid is None
    with EmbeddedRedis(tmp_path):
        pass


def test_a_server_that_is_killed_comes_back_at_the_same_address(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        client = connect(server.url)
        client.set("kept", 1)
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: server.pid not in (None, first) and answers(client), 20, "the server to come back")
        assert client.get("kept") == "1"


def test_it_dies_with_a_job_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, connectors.embedded_redis as e\n"
        "server = e.EmbeddedRedis(pathlib.Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, server.url, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as job:
        assert job.stdout is not None
        pid, _, url = job.stdout.readline().partition(" ")
        socket = Path(url.strip().removeprefix("unix://"))
        server = psutil.Process(int(pid))
        assert server.is_running()
        job.kill()
    wait_until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, 10, "the server to end")
    with EmbeddedRedis(tmp_path) as again:  # the dead job's lock and socket are no obstacle
        assert ping(connect(again.url)).version
        assert not socket.parent.exists()


def test_it_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    pid = server.pid
    assert ping(connect(server.url)).version
    assert server.pid == pid
    server.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        ("#!/bin/sh\necho 'cannot run on this machine' >&2; exit 3\n", "cannot run on this machine"),
        ("#!/bin/sh\nexit 3\n", "exit code 3"),
    ],
)
def test_a_server_that_cannot_start_says_why_and_what_to_do(tmp_path: Path, content: str | None, reason: str) -> None:
    executable = tmp_path / "redis-server"
    if content is not None:
        executable.write_text(content)
        executable.chmod(0o755)
    with pytest.raises(StopJob, match=rf"cannot start: .*{reason}.*redis\.url"):
        EmbeddedRedis(tmp_path, executable=executable).start()


def test_a_log_of_writes_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_bytes(b"no log at all")
    with pytest.raises(StopJob, match="Bad file format reading the append only file"):
        EmbeddedRedis(tmp_path).start()


def test_a_data_directory_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StopJob, match=r"job\.data_dir"):
        EmbeddedRedis(tmp_path / "file").start()


def test_a_long_temporary_folder_still_gives_a_usable_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with EmbeddedRedis(tmp_path) as server:
        assert ping(connect(server.url)).version
