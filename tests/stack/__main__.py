"""``python -m tests.stack up|down|status|check``: the servers to try things with.

``up`` leaves Kafka, Redis and Elasticsearch running on their usual ports (on free ones when
those are taken) with their data in ``build/stack``, and writes ``build/stack/settings.toml``
for ``groundswell run -c``. ``down`` ends them and removes the data. ``check`` fetches and
finds whatever the servers need and starts nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import psutil

from tests.stack import download
from tests.stack.elasticsearch import ElasticsearchServer
from tests.stack.errors import StackError
from tests.stack.java import find_java
from tests.stack.kafka import KafkaServer
from tests.stack.process import Server, kill_group, unprivileged
from tests.stack.redis import RedisServer

_FOLDER = Path(__file__).resolve().parents[2] / "build" / "stack"
_STATE = _FOLDER / "state.json"
_SETTINGS = _FOLDER / "settings.toml"


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    commands = {"up": up, "down": down, "status": status, "check": check}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(f"usage: python -m tests.stack {'|'.join(commands)}", file=sys.stderr)
        return 2
    try:
        return commands[arguments[0]]()
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


def check() -> int:
    """Make sure that everything the servers need is there."""
    find_java(17)
    find_java(21, variable="ES_JAVA_HOME", for_everyone=unprivileged() is not None)
    download.kafka_jars()
    download.elasticsearch_zip()
    return 0


def up() -> int:
    """Start the servers that do not run yet, all of them or none."""
    if any(_running(entry) for entry in _state().values()):
        print("already up; `make stack-down` ends it")
        return status()
    down()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    # Elasticsearch's user may not pass through the folders above this one.
    apart = Path(tempfile.mkdtemp(prefix="groundswell-elasticsearch-"))
    started: list[tuple[Server, str]] = []
    try:
        kafka = KafkaServer(_FOLDER / "kafka", port=9092, leashed=False)
        _start(kafka, kafka.bootstrap_servers, started)
        redis = RedisServer(_FOLDER / "redis", port=6379, leashed=False)
        _start(redis, f"redis://127.0.0.1:{redis.port}/0", started)
        elasticsearch = ElasticsearchServer(apart, port=9200, leashed=False)
        _start(elasticsearch, elasticsearch.url, started)
        kafka.create_topic("posts", partitions=4)
        kafka.create_topic("posts.dead")
    except BaseException:
        down()
        shutil.rmtree(apart, ignore_errors=True)
        raise
    _SETTINGS.write_text(_settings(kafka, redis, elasticsearch))
    for server, _ in started:
        server.release()
    print(f"settings: {_SETTINGS.relative_to(Path.cwd()) if _SETTINGS.is_relative_to(Path.cwd()) else _SETTINGS}")
    return 0


def down() -> int:
    """End the servers and remove their data."""
    for name, entry in _state().items():
        if _running(entry):
            kill_group(int(entry["pid"]))
            print(f"{name} ended")
        shutil.rmtree(entry["folder"], ignore_errors=True)
    shutil.rmtree(_FOLDER, ignore_errors=True)
    return 0


def status() -> int:
    """One line for each server; exit code 1 unless all of them run."""
    state = _state()
    for name, entry in state.items():
        print(f"{name:14} {'up  ' if _running(entry) else 'down'}  {entry['address']}")
    if not state:
        print("down")
    return 0 if state and all(map(_running, state.values())) else 1


def _start(server: Server, address: str, started: list[tuple[Server, str]]) -> None:
    server.start()
    started.append((server, address))
    entries = {
        running.name: {
            "pid": str(running.pid),
            "born": str(psutil.Process(running.pid).create_time()),
            "address": where,
            "folder": str(running.folder),
        }
        for running, where in started
    }
    _STATE.write_text(json.dumps(entries, indent=1))
    print(f"{server.name:14} up    {address}")


def _state() -> dict[str, dict[str, str]]:
    if not _STATE.is_file():
        return {}
    entries: dict[str, dict[str, str]] = json.loads(_STATE.read_text())
    return entries


def _running(entry: dict[str, str]) -> bool:
    """Whether this very process lives: the number alone may be someone else's by now."""
    try:
        return str(psutil.Process(int(entry["pid"])).create_time()) == entry["born"]
    except psutil.NoSuchProcess:
        return False


def _settings(kafka: KafkaServer, redis: RedisServer, elasticsearch: ElasticsearchServer) -> str:
    return f"""# Made by `make stack`: groundswell run -c build/stack/settings.toml
[job]
data_dir = {json.dumps(os.fspath(_FOLDER / "groundswell-data"))}

[sources]
use = ["kafka"]

[kafka]
bootstrap_servers = "{kafka.bootstrap_servers}"

[documents]
url = "{elasticsearch.url}"
replicas = 0

[redis]
url = "redis://127.0.0.1:{redis.port}/0"
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
