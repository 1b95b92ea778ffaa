"""Other ways in which people run Redis: replicated under a sentinel, as a cluster, encrypted."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.stack import debian
from tests.stack.errors import StackError
from tests.stack.ports import free_port
from tests.stack.process import Server
from tests.stack.redis import RedisServer
from tests.waiting import wait_until

_SLOTS = 16_384


class RedisReplica(RedisServer):
    """A copy of another server."""

    def __init__(self, folder: Path, master: RedisServer) -> None:
        super().__init__(folder)
        self._master = master

    def command(self) -> list[str]:
        return [*super().command(), "--replicaof", "127.0.0.1", str(self._master.port)]

    def is_ready(self) -> bool:
        return super().is_ready() and self._info("replication")["master_link_status"] == "up"

    def _info(self, section: str) -> dict[str, object]:
        with redis.Redis(port=self.port, socket_timeout=1) as client:
            return dict(client.info(section))


class RedisSentinel(Server):
    """One sentinel that watches a master under the name ``main``, and replaces it within a few seconds."""

    name = "sentinel"

    def __init__(self, folder: Path, master: RedisServer) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._executable = master.executable
        (folder / "sentinel.conf").write_text(
            f"port {self.port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds main 2000\nsentinel failover-timeout main 2000\n"
        )

    def command(self) -> list[str]:
        return [self._executable, str(self.folder / "sentinel.conf"), "--sentinel"]

    def is_ready(self) -> bool:
        return self.replicas() is not None

    def replicas(self) -> int | None:
        """How many replicas of the master it knows; ``None`` while it does not answer."""
        try:
            with redis.Redis(port=self.port, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
                return len(client.sentinel_slaves("main"))
        except redis.RedisError:
            return None


class RedisClusterNode(RedisServer):
    """A cluster of one node that has all slots."""

    def command(self) -> list[str]:
        return [*super().command(), "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]

    def start(self) -> None:
        super().start()
        with redis.Redis(port=self.port, decode_responses=True) as client:
            if client.execute_command("CLUSTER INFO")["cluster_slots_assigned"] == "0":
                client.execute_command("CLUSTER", "ADDSLOTS", *range(_SLOTS))

            def is_whole() -> bool:
                return str(client.execute_command("CLUSTER INFO")["cluster_state"]) == "ok"

            wait_until(is_whole, 30, "the cluster to be whole")


class TlsRedisServer(RedisServer):
    """A server that speaks TLS only and asks for no certificate of the client; ``certificate`` is its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.executable = _with_tls()
        self.certificate = folder / "server.crt"
        self._key = folder / "server.key"
        _make_certificate(self.certificate, self._key)

    def command(self) -> list[str]:
        executable, settings, *rest = super().command()
        rest[rest.index("--port")] = "--tls-port"
        own = ["--tls-cert-file", str(self.certificate), "--tls-key-file", str(self._key), "--tls-auth-clients", "no"]
        return [executable, settings, "--port", "0", *rest, *own]

    def is_ready(self) -> bool:
        once, trusted = Retry(NoBackoff(), 0), str(self.certificate)
        try:
            with redis.Redis(port=self.port, socket_timeout=1, retry=once, ssl=True, ssl_ca_certs=trusted) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@cache
def _with_tls() -> str:
    """A server that was built with TLS; the one in the wheel was not."""
    for attempt in range(2):
        found = shutil.which("redis-server")
        if found is not None and _knows_tls(found):
            return found
        if attempt or not debian.install("redis-server"):
            break
    raise StackError("no redis-server with TLS on PATH: install Debian's package redis-server")


def _knows_tls(executable: str) -> bool:
    # Either complaint ends it: the one about the setting comes first.
    command = [executable, "--port", "0", "--tls-port", "0", "--dir", "/nonexistent"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return "Bad directive" not in said.stdout + said.stderr


def _make_certificate(certificate: Path, key: Path) -> None:
    if shutil.which("openssl") is None:
        raise StackError("openssl is missing: install it to make certificates")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, capture_output=True, check=True)
