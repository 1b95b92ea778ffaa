"""``groundswell dead``: list, show and replay, on both stores."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.main import main
from connectors.configuration import load_settings
from dataflows import assembly
from groundswell.errors import Unavailable
from groundswell.records import DeadLetter, Origin
from groundswell.waits import Waits
from tests.waiting import wait_until

TIME = datetime(2026, 11, 16, 12, tzinfo=UTC)
GOOD = b'{"id": "7", "source": "test", "text": "fixed", "created_at": "2026-11-16T12:00:00Z"}'
Dead = Callable[..., tuple[int, str, str]]


def letters() -> list[DeadLetter]:
    return [
        DeadLetter(Origin("posts", 0, 1), "decode", "not_json", "line 1 \x1b[31m", TIME, b"{\xff\n"),
        DeadLetter(Origin("posts", 0, 2), "decode", "not_json", "line 1", TIME, b"{"),
        DeadLetter(Origin("posts", 0, 3, 2), "documents", "mapping", "too long", TIME, GOOD),
        DeadLetter(Origin("posts", 0, 2), "decode", "not_json", "again", TIME, b"{"),
    ]


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.stack)])
def overrides(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    if request.param == "sqlite":
        return [f"job.data_dir={tmp_path}", "models.posts="]
    server = request.getfixturevalue("kafka")
    topic = server.topic()
    return [
        "sources.use=['kafka']",
        f"kafka.bootstrap_servers={server.bootstrap_servers}",
        f"kafka.topic={topic}",
        f"kafka.dead_topic={topic}.dead",
    ]


@pytest.fixture
def dead(overrides: list[str], capfd: pytest.CaptureFixture[str]) -> Dead:
    store = assembly.open_dead_letters(load_settings(overrides=overrides, environment={}), Waits())

    def is_prepared() -> bool:
        try:
            store.prepare()
        except Unavailable:  # a new topic is known to one part of the broker before another
            return False
        return True

    wait_until(is_prepared, 20, "the store to be made")
    store.put(letters(), lambda: True)
    store.close()

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["dead", *words, *(word for override in overrides for word in ("--set", override))])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def test_list_counts_distinct_letters_by_cause(dead: Dead) -> None:
    code, out, _ = dead("list")
    assert code == 0
    lines = out.splitlines()
    assert lines[:3] == ["3 dead letters", "  not_json: 2", "  mapping: 1"]
    assert sorted(lines[3:]) == [
        "2026-11-16 12:00:00  posts/0/1  decode  not_json: line 1 \ufffd[31m",
        "2026-11-16 12:00:00  posts/0/2  decode  not_json: again",
        "2026-11-16 12:00:00  posts/0/3#2  documents  mapping: too long",
    ]


def test_list_narrows_by_cause_and_says_what_it_leaves_out(dead: Dead) -> None:
    code, out, _ = dead("list", "--cause", "not_json", "--limit", "1")
    lines = out.splitlines()
    assert (code, lines[:2], lines[-1]) == (
        0,
        ["2 dead letters", "  not_json: 2"],
        "only 1 are listed; --limit N lists more",
    )
    assert len(lines) == 4
    assert dead("list", "--limit", "0")[1].splitlines() == ["3 dead letters", "  not_json: 2", "  mapping: 1"]


def test_list_as_json(dead: Dead) -> None:
    answer = json.loads(dead("list", "--json")[1])
    assert (answer["total"], answer["causes"]) == (3, {"not_json": 2, "mapping": 1})
    assert {letter["key"] for letter in answer["letters"]} == {"posts/0/1", "posts/0/2", "posts/0/3#2"}
    assert set(answer["letters"][0]) == {"key", "time", "step", "cause", "detail", "bytes"}


def test_show_prints_the_letter_with_its_bytes(dead: Dead) -> None:
    code, out, _ = dead("show", "posts/0/3#2")
    assert code == 0
    assert "cause  mapping: too long" in out
    assert GOOD.decode() in out
    assert json.loads(dead("show", "posts/0/3#2", "--json")[1])["value"] == GOOD.decode()
    assert json.loads(dead("show", "posts/0/1", "--json")[1])["value_base64"] == "e/8K"


def test_show_raw_writes_the_bytes_unchanged(dead: Dead, overrides: list[str]) -> None:
    options = [word for override in overrides for word in ("--set", override)]
    command = [sys.executable, "-m", "cli.main", "dead", "show", "posts/0/1", "--raw", *options]
    assert subprocess.run(command, capture_output=True, timeout=60, check=True).stdout == b"{\xff\n"


def test_a_key_that_nothing_has_exits_1(dead: Dead) -> None:
    for words in (["show", "posts/9/9"], ["replay", "posts/9/9"]):
        code, _, err = dead(*words)
        assert code == 1
        assert "no dead letter has the key 'posts/9/9'" in err


def test_replay_must_be_told_which(dead: Dead) -> None:
    code, _, err = dead("replay")
    assert code == 2
    assert "--cause, --step or --all" in err


@pytest.mark.parametrize("words", [["posts/0/3#2"], ["--cause", "mapping"], ["--step", "documents"]])
def test_letters_that_were_replayed_are_gone(dead: Dead, words: list[str]) -> None:
    code, _, err = dead("replay", *words)
    assert code == 0, err
    assert json.loads(dead("list", "--json")[1])["causes"] == {"not_json": 2}


def test_an_embedded_replay_makes_documents_and_keeps_what_fails_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--set", f"job.data_dir={tmp_path}", "--set", "models.posts="]
    store = assembly.open_dead_letters(load_settings(overrides=options[1::2], environment={}), Waits())
    store.prepare()
    store.put(letters(), lambda: True)
    store.close()
    for documents in (1, 0):
        assert main(["dead", "replay", "--all", *options]) == 0
        captured = capfd.readouterr()
        assert f"{documents} documents" in captured.out
        assert "2 dead letters" in captured.out
    assert main(["dead", "list", "--json", *options]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert {letter["key"] for letter in answer["letters"]} == {"posts/0/1", "posts/0/2"}
    assert main(["search", "fixed", "--json", *options]) == 0
    assert json.loads(capfd.readouterr().out)["id"] == "7"


def test_a_store_that_no_job_has_made_is_not_made_by_looking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dead", "list", "--set", f"job.data_dir={tmp_path}/none"]) == 1
    assert "run the job first" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
