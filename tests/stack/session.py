"""One set of servers for one owner: started when first asked for, ended together."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import psutil

from tests.stack.elasticsearch import ElasticsearchServer
from tests.stack.kafka import KafkaServer
from tests.stack.process import Server
from tests.stack.redis import RedisServer

_PREFIX = "groundswell-stack-"

S = TypeVar("S", bound=Server)


class Stack:
    """Servers in a temporary folder that goes with them."""

    def __init__(self) -> None:
        _sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        # Elasticsearch's user passes through here.
        self._folder.chmod(0o711)
        self._started: list[Server] = []

    @cached_property
    def kafka(self) -> KafkaServer:
        return self._start(KafkaServer(self._folder / "kafka"))

    @cached_property
    def elasticsearch(self) -> ElasticsearchServer:
        return self._start(ElasticsearchServer(self._folder / "elasticsearch"))

    @cached_property
    def redis(self) -> RedisServer:
        return self._start(RedisServer(self._folder / "redis"))

    def close(self) -> None:
        """End all servers (by force: their data goes too) and remove the folder."""
        for server in self._started:
            server.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, server: S) -> S:
        self._started.append(server)
        server.start()
        return server


def _sweep() -> None:
    """Remove the folders of owners that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
