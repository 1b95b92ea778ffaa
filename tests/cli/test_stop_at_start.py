"""SIGTERM while a server is not there yet: nothing is in hand, so the job ends well."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from cli.processes import free_port
from tests.waiting import wait_until

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("away", ["kafka", "elasticsearch"])
def test_a_job_told_to_stop_before_it_began_ends_well(away: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens: connections are refused
        port = taken.getsockname()[1]
        settings = {
            "kafka": ["sources.use=['kafka']", f"kafka.bootstrap_servers=127.0.0.1:{port}"],
            "elasticsearch": [f"documents.url=http://127.0.0.1:{port}"],
        }[away]
        health = free_port()
        overrides = [
            *settings,
            "job.drain_timeout=1",
            "redis.url=",
            f"observability.port={health}",
            "dead_letters.store=sqlite",
            "models.posts=",
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "run", *(word for key in overrides for word in ("--set", key))],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(_ROOT)},
        )
        try:
            wait_until(lambda: away in reason(health), 60, f"the job to wait for {away}")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()


def reason(port: int) -> str:
    """Why the job says that it is alive; empty while it says nothing."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            found: str = json.load(answer)["reason"]
            return found
    except OSError:
        return ""
