"""``groundswell run`` as a process that a test starts, watches, kills and asks; and what it left behind.

The kill tests are black-box: they know the command line, the servers and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, TopicPartition

from groundswell.records import document_id
from tests.dataflows.planting import SOURCE, Planter
from tests.stack.elasticsearch import ElasticsearchServer
from tests.stack.kafka import KafkaServer
from tests.stack.ports import free_port
from tests.stack.process import spawn
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
Tables = Mapping[str, Mapping[str, object]]

_START_SECONDS = 60.0
_PAGE = 10_000


def write_settings(path: Path, *layers: Tables) -> Path:
    """Write a settings file; a later layer's keys replace an earlier one's."""
    tables: dict[str, dict[str, object]] = {}
    for layer in layers:
        for name, table in layer.items():
            tables.setdefault(name, {}).update(table)
    lines = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


class Run:
    """One ``groundswell run`` and its processes; as a context it ends them all and prints the log of a failure."""

    def __init__(
        self,
        settings: Path | None,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        folder = folder or (settings or Path()).parent
        number = len(list(folder.glob("run-*.log")))
        self.log = folder / f"run-{number}.log"
        self._answer = folder / f"run-{number}.out"
        given = ["-c", str(settings)] if settings else []
        command = [sys.executable, "-m", "cli.main", "run", *given, "--summary", "json", *arguments]
        with self.log.open("wb") as log, self._answer.open("wb") as answer:
            self._process = spawn(
                command, stdout=answer, stderr=log, cwd=ROOT, env={**os.environ, **(environment or {})}, process_group=0
            )

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.kill_everything()
        if kind is not None or os.environ.get("GROUNDSWELL_TEST_LOGS"):
            print(f"--- {self.log.name} of pid {self.pid}, exit code {self._process.poll()}")
            print("\n".join(self.log.read_text(errors="replace").splitlines()[-60:]))

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def reason(self) -> str:
        """The last line of the log: why it ended."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def job_processes(self) -> list[psutil.Process]:
        """The living processes of the job, without the supervisor."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children()
            return [child for child in children if _is_job(child)]
        return []

    def wait_for_job(self, processes: int = 1) -> None:
        """Return when all processes of the job live, after a start or a restart."""
        wait_until(lambda: len(self.job_processes()) == processes, 30, f"{processes} job processes", interval=0.005)

    def resident_bytes(self) -> int:
        """Memory of all processes of the job."""
        total = 0
        for process in self.job_processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def kill_job_process(self, number: int = 0) -> None:
        """SIGKILL to one process of the job."""
        self.job_processes()[number].kill()

    def kill_supervisor(self) -> None:
        """SIGKILL to the supervisor; returns when the job is gone too, which it must be by itself."""
        job = self.job_processes()
        self._process.kill()
        self._process.wait()
        gone, alive = psutil.wait_procs(job, timeout=10)
        assert not alive, f"{alive} outlived the supervisor; {gone} did not"

    def kill_everything(self) -> None:
        """SIGKILL to all at once."""
        with contextlib.suppress(psutil.NoSuchProcess):
            everything = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
            for process in everything:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.wait()
            psutil.wait_procs(everything, timeout=10)

    def terminate(self) -> None:
        """Ask for a drain (SIGTERM)."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 120.0) -> int:
        """The exit code."""
        wait_until(lambda: not self.running, timeout, f"the job to end (pid {self.pid})")
        return self._process.returncode

    def summary(self) -> dict[str, Any]:
        """The JSON object that it printed last."""
        parsed: dict[str, Any] = json.loads(self._answer.read_text().splitlines()[-1])
        return parsed


def run_to_end(settings: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Process what is there; the summary of a run that must succeed."""
    with Run(settings, "--until-end", *arguments, environment=environment) as run:
        assert run.wait() == 0, run.reason
        return run.summary()


def _is_job(process: psutil.Process) -> bool:
    try:
        return "cli.job_process" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def probe(port: int, path: str) -> tuple[int, dict[str, Any]] | None:
    """Status and JSON body of a health page; ``None`` when nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return None


class Cluster:
    """A topic, an alias and a settings file of a test's own on the real servers."""

    def __init__(
        self,
        folder: Path,
        kafka: KafkaServer,
        elasticsearch: ElasticsearchServer,
        *,
        partitions: int = 4,
        seed: int = 1,
    ) -> None:
        self.kafka = kafka
        self.elasticsearch = elasticsearch
        self.topic = kafka.topic(partitions)
        self.dead_topic = kafka.topic()
        prefix = elasticsearch.prefix()
        self.alias, self.trends_index = f"{prefix}posts", f"{prefix}trends"
        self.trends_topic = f"{self.topic}.trends"
        self.port = _consecutive_ports()
        self.planter = Planter(kafka.bootstrap_servers, self.topic, partitions, seed)
        self._folder = folder

    def settings(self, *layers: Tables, name: str = "settings.toml") -> Path:
        """A settings file: no model, no Redis, snapshots five times a second, quick restarts."""
        basis: Tables = {
            "job": {
                "data_dir": str(self._folder / "data"),
                "epoch_interval": 0.2,
                "restart_backoff": 0.05,
                "restart_backoff_max": 0.2,
                "max_restarts": 50,
            },
            "sources": {"use": ["kafka"]},
            "kafka": {
                "bootstrap_servers": self.kafka.bootstrap_servers,
                "topic": self.topic,
                "dead_topic": self.dead_topic,
                "trends_topic": self.trends_topic,
            },
            "documents": {
                "url": self.elasticsearch.url,
                "alias": self.alias,
                "trends_index": self.trends_index,
                "replicas": 0,
            },
            "redis": {"url": ""},
            "models": {"posts": ""},
            "observability": {"port": self.port},
        }
        return write_settings(self._folder / name, basis, *layers)

    def written(self) -> int:
        """Documents created since Elasticsearch was started, whether a search sees them yet or not."""
        answer: Any = self.elasticsearch.request("GET", f"/{self.alias}*/_stats/indexing")
        primaries = answer["_all"]["primaries"]
        return int(primaries["indexing"]["index_total"]) if primaries else 0

    def count(self) -> int:
        """Documents that there are."""
        self.elasticsearch.request("POST", f"/{self.alias}*/_refresh")
        answer: Any = self.elasticsearch.request("GET", f"/{self.alias}*/_count")
        return int(answer["count"])

    def wait_for_documents(self, count: int, timeout: float = 120.0) -> None:
        """Return when there are at least ``count`` documents."""
        wait_until(lambda: self.count() >= count, timeout, f"{count} documents", interval=0.2)

    def assert_all_accounted_for(self) -> None:
        """Every planted post is exactly one document, every bad record one dead letter with its bytes unchanged."""
        found = self.documents()
        wanted = {document_id(SOURCE, post): post for post in self.planter.ids}
        assert found.keys() == wanted.keys(), _difference("documents", set(wanted.values()), set(found.values()))
        assert found == wanted
        letters = self.dead_letters()
        assert letters == self.planter.dead, _difference("dead letters", set(self.planter.dead), set(letters))

    def documents(self) -> dict[str, str]:
        """``_id`` and ``id`` of all documents of all indices; fails when an ``_id`` is there twice."""
        request = self.elasticsearch.request
        request("POST", f"/{self.alias}/_refresh")
        pit = request("POST", f"/{self.alias}/_pit?keep_alive=1m")["id"]
        found: dict[str, str] = {}
        hits = 0
        after: list[object] = []
        while True:
            body = {"size": _PAGE, "pit": {"id": pit, "keep_alive": "1m"}, "_source": ["id"], "sort": ["_shard_doc"]}
            answer: Any = request("POST", "/_search", body | ({"search_after": after} if after else {}))
            page = answer["hits"]["hits"]
            if not page:
                break
            hits += len(page)
            found.update((hit["_id"], hit["_source"]["id"]) for hit in page)
            after = page[-1]["sort"]
        request("DELETE", "/_pit", {"id": pit})
        assert hits == len(found), f"{hits - len(found)} documents are there twice"
        return found

    def dead_letters(self) -> dict[str, bytes]:
        """The dead letters by key; all letters of one key must be the same bytes."""
        letters: dict[str, bytes] = {}
        for key, value, _ in self.dead_records():
            assert letters.setdefault(key, value) == value, f"{key} has two different values"
        return letters

    def dead_records(self) -> list[tuple[str, bytes, dict[str, str]]]:
        """Key, value and headers of every record in the dead-letter topic, in order."""
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap_servers, "group.id": "test", "log_level": 0})
        try:
            begin, end = consumer.get_watermark_offsets(TopicPartition(self.dead_topic, 0), timeout=30)
            consumer.assign([TopicPartition(self.dead_topic, 0, begin)])
            records: list[tuple[str, bytes, dict[str, str]]] = []
            for message in consumer.consume(end - begin, timeout=30) if end > begin else []:
                key, value = message.key(), message.value()
                assert isinstance(key, bytes) and isinstance(value, bytes)
                headers: Any = message.headers() or []
                records.append((key.decode(), value, {name: text.decode() for name, text in headers}))
        finally:
            consumer.close()
        assert len(records) == end - begin
        return records


def _difference(what: str, wanted: set[str], found: set[str]) -> str:
    lost, extra = sorted(wanted - found), sorted(found - wanted)
    return f"{what}: {len(lost)} lost {lost[:10]}, {len(extra)} too many {extra[:10]}, of {len(wanted)}"


def _consecutive_ports(count: int = 2) -> int:
    """The first of some free ports in a row: process i listens on port + i."""
    while True:
        first = free_port()
        with contextlib.suppress(OSError):
            if all(free_port(first + step) == first + step for step in range(1, count)):
                return first


def sqlite_documents(path: Path) -> Counter[str]:
    """How often each post id is in an embedded store."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT document FROM documents")
        return Counter(json.loads(row[0])["id"] for row in rows)


def sqlite_dead_letters(path: Path) -> list[tuple[int, bytes]]:
    """The dead letters of an embedded store: the ordinal of the record in its file, and its bytes."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return list(connection.execute("SELECT position, value FROM dead_letters"))
