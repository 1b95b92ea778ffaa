"""``groundswell generate``: the invented stream in a file and in Kafka."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from cli.main import main
from tests.stack.kafka import KafkaServer
from tests.waiting import wait_until

START = ["--start", "2026-01-31T12:00:00Z"]


@pytest.fixture(autouse=True)
def _restore_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def posts(path: Path) -> list[dict[str, Any]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.splitlines()]


def test_a_file_holds_as_many_posts_as_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "posts.jsonl.gz"
    assert main(["generate", "-o", str(path), "--count", "1200", "--span", "3600", *START]) == 0
    assert capsys.readouterr().err == f"1,200 records to {path}\n"
    written = posts(path)
    assert len(written) == 1200
    times = [post["created_at"] for post in written]
    assert times == sorted(times)
    assert times[0].startswith("2026-01-31T12:00:00")
    assert times[-1].startswith("2026-01-31T12:59:5")
    assert [path.name for path in tmp_path.iterdir()] == ["posts.jsonl.gz"]


def test_the_same_seed_gives_the_same_posts(tmp_path: Path) -> None:
    made = []
    for name, seed in (("one", "7"), ("two", "7"), ("three", "8")):
        assert main(["generate", "-o", str(tmp_path / name), "--count", "600", "--seed", seed, *START]) == 0
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1] != made[2]


def test_a_planted_burst_is_there_while_it_lasts(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    words = ["--count", "1000", "--span", "1000", "--burst", "#Sunset:200:100:1", *START]
    assert main(["generate", "-o", str(path), *words]) == 0
    carrying = [number for number, post in enumerate(posts(path)) if "sunset" in post["hashtags"]]
    assert set(carrying) >= set(range(201, 299))
    assert len(carrying) < 150


@pytest.mark.parametrize("burst", ["sunset", "sunset:1", "sunset:a:b", "sunset:1:2:3:4", "sunset:1:0"])
def test_a_burst_that_is_none_exits_2(burst: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "-o", str(tmp_path / "x"), "--count", "1", "--burst", burst]) == 2
    assert "burst" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "-o", str(tmp_path / "none" / "x"), "--count", "1"]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_a_stream_without_end_is_whole_when_it_is_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "generate", "-o", str(path), "--rate", "20000"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        unfinished = tmp_path / "posts.jsonl.part"
        wait_until(lambda: unfinished.exists() and unfinished.stat().st_size > 100_000, 60, "posts")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err == f"{len(posts(path)):,} records to {path}\n"


@pytest.mark.stack
def test_kafka_gets_every_record(kafka: KafkaServer, capsys: pytest.CaptureFixture[str]) -> None:
    topic = kafka.topic(partitions=1)
    where = ["--set", f"kafka.bootstrap_servers={kafka.bootstrap_servers}", "--set", f"kafka.topic={topic}"]
    assert main(["generate", "--kafka", "--count", "500", "--malformed", "0.1", *START, *where]) == 0
    # A broker that has only just started makes the client complain before it succeeds.
    assert capsys.readouterr().err.endswith(f"500 records to topic {topic} of {kafka.bootstrap_servers}\n")
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "test"})
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (0, 500)
    consumer.close()
