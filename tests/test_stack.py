"""The servers that the other tests stand on."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis as redis_client
from confluent_kafka import Consumer, Producer

from tests.conftest import RedisDatabase
from tests.stack import download
from tests.stack.elasticsearch import ElasticsearchServer
from tests.stack.errors import StackError
from tests.stack.java import find_java
from tests.stack.kafka import KafkaServer
from tests.stack.process import group_members
from tests.stack.redis import RedisServer
from tests.stack.session import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.stack

ROOT = Path(__file__).resolve().parent.parent


def _read(kafka: KafkaServer, topic: str, expected: int) -> list[bytes | None]:
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    seen: list[bytes | None] = []

    def enough() -> bool:
        seen.extend(message.value() for message in consumer.consume(100, timeout=0.5) if not message.error())
        return len(seen) >= expected

    wait_until(enough, 30, f"{expected} messages")
    consumer.close()
    return seen


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_kafka_keeps_its_messages_over_a_restart(kafka: KafkaServer, end: str) -> None:
    topic = kafka.topic(partitions=1, retention_ms=86_400_000)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "acks": "all"})
    producer.produce(topic, b"before")
    assert producer.flush(30) == 0
    address = kafka.bootstrap_servers
    getattr(kafka, end)()
    assert not kafka.running
    kafka.start()
    producer.produce(topic, b"after")
    assert producer.flush(30) == 0
    assert kafka.bootstrap_servers == address
    assert _read(kafka, topic, 2) == [b"before", b"after"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_elasticsearch_keeps_its_documents_over_a_restart(elasticsearch: ElasticsearchServer, end: str) -> None:
    index = f"{elasticsearch.prefix()}kept"
    elasticsearch.request("PUT", f"/{index}/_doc/1", {"text": "before"})
    pid = elasticsearch.pid
    assert pid is not None
    getattr(elasticsearch, end)()
    assert not group_members(pid)
    elasticsearch.start()
    elasticsearch.request("PUT", f"/{index}/_doc/2?refresh=true", {"text": "after"})
    wait_until(lambda: elasticsearch.request("GET", f"/{index}/_count")["count"] == 2, 30, "both documents")


def test_redis_keeps_its_keys_over_a_restart(redis: RedisDatabase) -> None:
    with redis_client.Redis.from_url(redis.url) as client:
        client.set("key", "kept")
        redis.stop()
        assert not redis.running
        redis.start()
        assert client.get("key") == b"kept"


def test_each_redis_address_is_an_empty_database(stack: Stack) -> None:
    first, second = stack.redis.database(), stack.redis.database()
    with redis_client.Redis.from_url(first) as one, redis_client.Redis.from_url(second) as two:
        one.set("key", "mine")
        assert two.dbsize() == 0


def test_elasticsearch_cleans_only_the_prefixes_that_it_gave_out(elasticsearch: ElasticsearchServer) -> None:
    prefix = elasticsearch.prefix()
    body = {"index_patterns": [f"{prefix}*"], "priority": 900}
    elasticsearch.request("PUT", f"/_index_template/{prefix}template", body)
    elasticsearch.request("PUT", f"/{prefix}index")
    elasticsearch.request("PUT", "/kept-index")
    elasticsearch.clean()
    indices = elasticsearch.request("GET", "/_cluster/state/metadata")["metadata"]["indices"]
    assert [name for name in indices if name.startswith(prefix)] == []
    assert "kept-index" in indices
    elasticsearch.request("DELETE", "/kept-index")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_owner_leaves_no_process_behind(end: signal.Signals) -> None:
    # SIGKILL also with Elasticsearch, whose first process starts a second one.
    servers = "s.redis, s.elasticsearch" if end is signal.SIGKILL else "s.redis,"
    script = f"""
from tests.stack.session import Stack
s = Stack()
print(*(server.pid for server in ({servers})), flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        leaders = [int(word) for word in owner.stdout.readline().split()]
        owner.send_signal(end)
        owner.wait()
    assert leaders
    wait_until(lambda: not any(map(group_members, leaders)), 30, "the servers to end")


def test_a_server_restarted_from_a_short_lived_thread_stays_up(redis: RedisDatabase) -> None:
    redis.kill()
    restart = threading.Thread(target=redis.start)
    restart.start()
    restart.join()
    with redis_client.Redis.from_url(redis.url) as client:
        assert client.ping()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    class Broken(RedisServer):
        def command(self) -> list[str]:
            return [self.executable, "--no-such-setting", "1"]

    with pytest.raises(StackError, match="redis ended while it started"):
        Broken(tmp_path).start()


def test_the_cache_fetches_once_and_again_only_what_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDSWELL_CACHE", str(tmp_path))
    calls: list[Path] = []

    def fetch(folder: Path) -> None:
        calls.append(folder)
        (folder / "file").write_text("whole")

    first = download.cached("part", fetch)
    assert download.cached("part", fetch) == first
    assert len(calls) == 1
    (first / "file").write_text("damaged")
    assert (download.cached("part", fetch) / "file").read_text() == "whole"
    assert len(calls) == 2


def test_a_fetch_that_fails_leaves_nothing_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDSWELL_CACHE", str(tmp_path))

    def fetch(folder: Path) -> None:
        (folder / "half").write_text("...")
        raise StackError("no network")

    with pytest.raises(StackError):
        download.cached("part", fetch)
    assert [path.name for path in tmp_path.iterdir()] == ["part.lock"]


def test_what_is_cached_needs_neither_mvn_nor_a_network(
    elasticsearch: ElasticsearchServer, kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert download.elasticsearch_zip().is_file()
    assert list(download.kafka_jars().glob("kafka-server-*.jar"))


def test_a_missing_java_is_one_line_that_says_what_to_install() -> None:
    with pytest.raises(StackError, match=r"^Java 99 or later is missing: install a JDK and set JAVA_HOME [^\n]*$"):
        find_java(99)


def test_a_job_on_the_leash_ends_with_its_owner() -> None:
    script = """
import sys
from tests.stack.process import spawn
print(spawn([sys.executable, "-c", "input()"], start_new_session=True, stdin=-1).pid, flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        leader = int(owner.stdout.readline())
        owner.kill()
    wait_until(lambda: not group_members(leader), 30, "the job to end")
