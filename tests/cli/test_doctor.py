"""``groundswell doctor``: one line for everything that is needed, and what to do about what is broken."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from cli import doctor
from cli.main import main
from connectors.configuration import load_settings
from connectors.embedded_redis import EmbeddedRedis
from groundswell.settings import Settings
from tests.conftest import RedisDatabase
from tests.stack.elasticsearch import ElasticsearchServer
from tests.stack.kafka import KafkaServer


def examine(*overrides: str) -> dict[str, tuple[bool, str]]:
    settings = load_settings(overrides=overrides, environment={})
    return {finding.name: (finding.good, finding.text) for finding in doctor.examine(settings, 60)}


def test_the_embedded_default_is_well_and_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--set", f"job.data_dir={tmp_path}/data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:4].strip() for line in lines] == ["ok"] * 5
    assert [line[6:22].strip() for line in lines] == ["data directory", "documents", "dead letters", "redis", "models"]
    assert "embedded Redis 6.2" in lines[3]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.stack
def test_servers_answer_with_version_and_latency(
    kafka: KafkaServer, elasticsearch: ElasticsearchServer, redis: RedisDatabase, tmp_path: Path
) -> None:
    topic = kafka.topic(partitions=3)
    found = examine(
        f"job.data_dir={tmp_path}",
        "sources.use=['kafka']",
        f"kafka.bootstrap_servers={kafka.bootstrap_servers}",
        f"kafka.topic={topic}",
        f"kafka.dead_topic={topic}.dead",
        f"kafka.trends_topic={topic}.trends",
        f"documents.url={elasticsearch.url}",
        f"redis.url={redis.url}",
    )
    assert all(good for good, _ in found.values()), found
    assert "1 broker" in found["kafka"][1]
    assert found["kafka"][1].endswith(f"topic {topic} has 3 partitions")
    assert found["dead letters"][1] == f"topic {topic}.dead will be made"
    assert found["trends topic"][1] == f"topic {topic}.trends will be made, compacted"
    assert "Elasticsearch 9." in found["documents"][1]
    assert "Redis " in found["redis"][1]
    assert all(found[name][1].endswith(" ms)") for name in ("documents", "redis"))


@pytest.mark.stack
def test_a_missing_topic_is_not_made_by_asking(kafka: KafkaServer, tmp_path: Path) -> None:
    overrides = [
        f"job.data_dir={tmp_path}",
        "sources.use=['kafka']",
        f"kafka.bootstrap_servers={kafka.bootstrap_servers}",
        "kafka.topic=no-such-topic",
    ]
    for _ in range(2):
        good, text = examine(*overrides)["kafka"]
        assert not good
        assert text.endswith("has no topic 'no-such-topic': create it, or set kafka.topic")


@pytest.mark.stack
def test_a_topic_of_trends_that_forgets_comes_with_what_to_do(kafka: KafkaServer, tmp_path: Path) -> None:
    def look(topic: str, *more: str) -> tuple[bool, str] | None:
        return examine(
            f"job.data_dir={tmp_path}",
            "sources.use=['kafka']",
            f"kafka.bootstrap_servers={kafka.bootstrap_servers}",
            f"kafka.topic={topic}",
            f"kafka.trends_topic={topic}",
            "models.posts=",
            *more,
        ).get("trends topic")

    compacted = kafka.topic(2, cleanup_policy="compact")
    assert look(compacted) == (True, f"topic {compacted} has 2 partitions, compacted")
    assert look(compacted, "trends.enabled=false") is None
    assert look(compacted, "kafka.trends_topic=") is None
    found = look(kafka.topic(cleanup_policy="delete"))
    assert found is not None
    assert not found[0]
    assert "is not compacted (cleanup.policy=delete)" in found[1]
    assert "--add-config cleanup.policy=compact" in found[1]


def test_what_does_not_answer_comes_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
        overrides = [
            f"job.data_dir={tmp_path}/file/data",
            "sources.use=['kafka','files']",
            f"files.paths=['{tmp_path}/none.jsonl']",
            f"kafka.bootstrap_servers=127.0.0.1:{closed}",
            f"documents.url=http://127.0.0.1:{closed}",
            f"redis.url=redis://127.0.0.1:{closed}",
            "models.posts=no-such-model@champion",
        ]
        (tmp_path / "file").write_text("")
        words = [word for override in overrides for word in ("--set", override)]
        assert main(["doctor", "--json", *words]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(not line["ok"] for line in lines), lines
    assert {line["name"] for line in lines} == {
        "data directory",
        "kafka",
        "trends topic",
        "files",
        "documents",
        "dead letters",
        "redis",
        "models",
    }
    advice = {line["name"]: line["text"] for line in lines}
    for name, setting in {
        "data directory": "job.data_dir",
        "kafka": "kafka.bootstrap_servers",
        "files": "files.paths",
        "documents": "documents.url",
        "dead letters": "dead_letters.store",
        "trends topic": "kafka.trends_topic",
        "redis": "redis.url",
    }.items():
        assert setting in advice[name]
    assert "no-such-model" in advice["models"]


def test_the_server_of_a_running_job_is_asked_itself(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path):
        good, text = examine(f"job.data_dir={tmp_path}")["redis"]
    assert good
    assert text.startswith("the embedded server of the running job answers: Redis 6.2")


def test_what_is_turned_off_is_well() -> None:
    found = examine("redis.url=", "models.posts=")
    assert (found["redis"], found["models"]) == ((True, "turned off"), (True, "turned off"))


def test_a_check_that_hangs_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = load_settings(
            overrides=[f"documents.url=http://127.0.0.1:{silent.getsockname()[1]}", "redis.url=", "models.posts="],
            environment={},
        )
        found = {finding.name: finding for finding in doctor.examine(settings, 1.0)}
    assert not found["documents"].good
    assert found["documents"].text == "no answer within 1 s"
    assert found["redis"].good


def test_an_unforeseen_error_is_a_finding_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Settings) -> str:
        raise RuntimeError("redis://job:hunter2@cache broke")

    monkeypatch.setattr(doctor, "_redis", broken)
    good, text = examine("models.posts=")["redis"]
    assert (good, text) == (False, "RuntimeError: redis://job:***@cache broke")
