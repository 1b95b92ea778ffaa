"""Kafka: one node in KRaft mode, run from its jars."""

from __future__ import annotations

import subprocess
import uuid
from itertools import count
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.stack import download
from tests.stack.errors import StackError
from tests.stack.java import find_java
from tests.stack.ports import free_port
from tests.stack.process import Server

_SETTINGS = Path(__file__).parent / "settings"


class KafkaServer(Server):
    """A broker on 127.0.0.1; ``bootstrap_servers`` stays the same over restarts."""

    name = "kafka"

    def __init__(self, folder: Path, *, port: int | None = None, leashed: bool = True) -> None:
        super().__init__(folder, leashed=leashed)
        self._java = find_java(17) / "bin" / "java"
        self._jars = download.kafka_jars()
        self.port = free_port(port)
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self._properties = folder / "server.properties"
        self._topics = count(1)
        self._format()

    def command(self) -> list[str]:
        return [*self._run("-Xms256m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError"), "kafka.Kafka", str(self._properties)]

    def is_ready(self) -> bool:
        try:
            return bool(self._admin().list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def topic(self, partitions: int = 1, **config: str | int) -> str:
        """Create a topic with a name of its own and return the name.

        ``config`` takes topic settings with underscores for dots: ``retention_ms=1000``.
        """
        name = f"topic-{uuid.uuid4().hex[:8]}-{next(self._topics)}"
        self.create_topic(name, partitions, **config)
        return name

    def create_topic(self, name: str, partitions: int = 1, **config: str | int) -> None:
        """Create the topic ``name`` and return once it has leaders."""
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        admin = self._admin()
        admin.create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result(30)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})

    def _run(self, *options: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={_SETTINGS / 'log4j2.properties'}"
        return [str(self._java), *options, logging, "-cp", f"{self._jars}/*"]

    def _format(self) -> None:
        controller = free_port()
        lines = [
            (_SETTINGS / "server.properties").read_text(),
            f"listeners=PLAINTEXT://{self.bootstrap_servers},CONTROLLER://127.0.0.1:{controller}",
            f"controller.quorum.voters=1@127.0.0.1:{controller}",
            f"log.dirs={self.folder / 'data'}",
        ]
        self._properties.write_text("\n".join(lines) + "\n")
        cluster = str(uuid.uuid4())
        done = subprocess.run(
            [*self._run(), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"kafka could not format its folder: {(done.stderr or done.stdout).strip()}")
