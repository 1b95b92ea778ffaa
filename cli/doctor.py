"""``groundswell doctor``: what answers, and what to do about what does not."""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cli.options import load
from connectors.embedded_redis import EmbeddedRedis, running_address
from connectors.kafka_probe import KafkaProbe
from connectors.kafka_topic import KafkaTopic
from connectors.kafka_trends import compaction_advice
from connectors.logs import mask
from connectors.redis_client import ping
from dataflows import assembly, models
from groundswell.errors import GroundswellError, ModelError, Unavailable
from groundswell.settings import Settings
from groundswell.waits import Waits
from inference.rows import RowError

#: Longest time for all checks, which run side by side, in seconds.
_DEADLINE = 20.0


class Trouble(GroundswellError):
    """What is wrong, and what to do about it."""


class Finding(NamedTuple):
    """One line of the answer."""

    name: str
    good: bool
    text: str


Check = Callable[[Settings], str]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "doctor", description="Connect to every dependency: one line each for what answers, or what to do."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check everything; the exit code is 1 when anything is broken."""
    findings = examine(load(args))
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        if args.json:
            print(json.dumps({"name": finding.name, "ok": finding.good, "text": finding.text}))
        else:
            print(f"{'ok  ' if finding.good else 'FAIL'}  {finding.name:<{width}}  {finding.text}")
    return 0 if all(finding.good for finding in findings) else 1


def examine(settings: Settings, deadline: float = _DEADLINE) -> list[Finding]:
    """Run the checks that these settings call for, side by side, ``deadline`` seconds at most."""
    examinations = [_Examination(name, check, settings) for name, check in _checks(settings).items()]
    end = time.monotonic() + deadline
    return [examination.finding(end, deadline) for examination in examinations]


def _checks(settings: Settings) -> dict[str, Check]:
    checks: dict[str, Check] = {"data directory": _data_directory}
    if "kafka" in settings.sources.use:
        checks["kafka"] = _kafka
    if "files" in settings.sources.use:
        checks["files"] = _files
    if assembly.trends_in_kafka(settings):
        checks["trends topic"] = _trends_topic
    checks |= {"documents": _documents, "dead letters": _dead_letters, "redis": _redis, "models": _models}
    return checks


class _Examination:
    """One check on a thread of its own, so that one that hangs hides no other."""

    def __init__(self, name: str, check: Check, settings: Settings) -> None:
        self._name = name
        self._finding: Finding | None = None
        self._thread = threading.Thread(target=self._run, args=(check, settings), name=name, daemon=True)
        self._thread.start()

    def finding(self, end: float, deadline: float) -> Finding:
        self._thread.join(max(0.0, end - time.monotonic()))
        return self._finding or Finding(self._name, False, f"no answer within {deadline:g} s")

    def _run(self, check: Check, settings: Settings) -> None:
        try:
            self._finding = Finding(self._name, True, check(settings))
        except GroundswellError as error:
            self._finding = Finding(self._name, False, mask(str(error)))
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a check meets is its finding
            self._finding = Finding(self._name, False, mask(f"{type(error).__name__}: {error}"))


def _answered(what: str, version: str, latency: float) -> str:
    return f"{mask(what)} answers: {version} ({latency * 1000:.1f} ms)"


def _data_directory(settings: Settings) -> str:
    folder = Path(settings.job.data_dir)
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        raise Trouble(
            f"{existing} cannot be written: {error.strerror}: set job.data_dir to a folder that can"
        ) from None
    return f"{folder} can be written" if folder.exists() else f"{folder} will be made"


def _kafka(settings: Settings) -> str:
    kafka = settings.kafka
    probe = KafkaProbe(kafka.bootstrap_servers, kafka.topic, client=assembly.kafka_client(settings))
    try:
        found = probe.ask()
    except Unavailable as error:
        raise Trouble(f"{error.reason}: start it, or set kafka.bootstrap_servers") from None
    if found.partitions is None:
        raise Trouble(
            f"{kafka.bootstrap_servers} answers, but has no topic {kafka.topic!r}: create it, or set kafka.topic"
        )
    answer = _answered(kafka.bootstrap_servers, _plural(found.brokers, "broker"), found.latency_s)
    return f"{answer}, topic {kafka.topic} has {_plural(found.partitions, 'partition')}"


def _files(settings: Settings) -> str:
    missing = [path for path in settings.files.paths if not any(c in path for c in "*?[") and not Path(path).exists()]
    if missing:
        raise Trouble(f"{', '.join(missing)}: not there: set files.paths to files, globs or folders that exist")
    return f"{_plural(len(settings.files.paths), 'path')} to read"


def _documents(settings: Settings) -> str:
    path = assembly.documents_path(settings)
    if path is not None and not path.exists():
        return f"{path} will be made"
    url = assembly.documents_url(settings)
    store = assembly.open_documents(settings, Waits())
    try:
        answer = store.ping()
    except Unavailable as error:
        raise Trouble(f"{url} does not answer: {error.reason}: start it, or set documents.url") from None
    finally:
        store.close()
    return _answered(url, f"{'SQLite' if path else 'Elasticsearch'} {answer.version}", answer.latency_s)


def _dead_letters(settings: Settings) -> str:
    kafka = settings.kafka
    if not assembly.dead_letters_in_kafka(settings):
        path = assembly.dead_letters_path(settings)
        if not path.exists():
            return f"{path} will be made"
        store = assembly.open_sqlite_dead_letters(settings, Waits())
        try:
            answer = store.ping()
        finally:
            store.close()
        return _answered(str(path), f"SQLite {answer.version}", answer.latency_s)
    probe = KafkaProbe(kafka.bootstrap_servers, kafka.dead_topic, client=assembly.kafka_client(settings))
    try:
        found = probe.ask()
    except Unavailable as error:
        raise Trouble(f"{error.reason}: start it, or set dead_letters.store = 'sqlite'") from None
    state = "will be made" if found.partitions is None else f"has {_plural(found.partitions, 'partition')}"
    return f"topic {kafka.dead_topic} {state}"


def _trends_topic(settings: Settings) -> str:
    kafka = settings.kafka
    topic = KafkaTopic(kafka.bootstrap_servers, kafka.trends_topic, client=assembly.kafka_client(settings))
    try:
        partitions = len(topic.partitions())
        config = topic.config() if partitions else None
    except Unavailable as error:
        raise Trouble(f"{error.reason}: start it, or set kafka.trends_topic to an empty text") from None
    if config is None:
        return f"topic {topic.name} will be made, compacted"
    if advice := compaction_advice(topic.name, config):
        raise Trouble(advice)
    compacted = "compacted" if config else "this user may not ask whether it is compacted"
    return f"topic {topic.name} has {_plural(partitions, 'partition')}, {compacted}"


def _redis(settings: Settings) -> str:
    if not settings.redis.url:
        return "turned off"
    if settings.redis.url == "embedded":
        return _embedded_redis(settings)
    with assembly.open_redis(settings, settings.redis.url) as client:
        try:
            answer = ping(client)
        except Unavailable as error:
            raise Trouble(f"{settings.redis.url} does not answer: {error.reason}: start it, or set redis.url") from None
    return _answered(settings.redis.url, f"Redis {answer.version}", answer.latency_s)


def _embedded_redis(settings: Settings) -> str:
    """Of a running job, its server; otherwise whether one can run at all."""
    try:
        url = running_address(Path(settings.job.data_dir))
    except Unavailable:
        with (
            tempfile.TemporaryDirectory(prefix="groundswell-doctor-") as folder,
            EmbeddedRedis(Path(folder)) as server,
            assembly.open_redis(settings, server.url) as client,
        ):
            return f"embedded Redis {ping(client).version} can run here"
    with assembly.open_redis(settings, url) as client:
        answer = ping(client)
    return _answered("the embedded server of the running job", f"Redis {answer.version}", answer.latency_s)


def _models(settings: Settings) -> str:
    began = time.perf_counter()
    model = models.open_model(settings)
    if model is None:
        return "turned off"
    with model:
        (answer,) = model.read(["It works."])
    if isinstance(answer, RowError):
        raise ModelError(f"the model cannot read a text: {answer.detail}")
    space = f", space {answer.embedding_space}" if answer.embedding_space else ""
    return (
        f"{answer.model.name}@{answer.model.version} is whole and answers {', '.join(model.tasks)}{space} "
        f"on {settings.models.provider} ({time.perf_counter() - began:.1f} s)"
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
