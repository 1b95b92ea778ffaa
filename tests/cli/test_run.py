"""``groundswell run`` as a person or a script calls it, without a settings file."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from tests.waiting import wait_until

_ROOT = Path(__file__).parents[2]


def post(number: int, **changes: Any) -> bytes:
    fields = {
        "id": str(number),
        "source": "test",
        "text": f"post number {number} #tag{number % 7}",
        "created_at": "2026-01-05T10:00:00Z",
    }
    return json.dumps(fields | changes).encode()


def groundswell(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(_ROOT)} | (env or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def summary_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_files(tmp_path: Path, *files: Path) -> dict[str, Any]:
    url = f"sqlite:///{tmp_path}/posts.db"
    return summary_of(
        groundswell(
            "run", "--posts", *map(str, files), "--documents", url, "--until-end", "--summary", "json", cwd=tmp_path
        )
    )


def test_every_record_is_a_document_a_duplicate_or_dead(tmp_path: Path) -> None:
    lines = tmp_path / "posts.jsonl"
    lines.write_bytes(b"\n".join([*map(post, range(500)), post(3), b"{broken", b'{"id": 1}', post(9, created_at="x")]))
    packed = tmp_path / "more.json.gz"
    packed.write_bytes(gzip.compress(b"[" + b",".join(map(post, range(490, 600))) + b"]"))

    summary = run_files(tmp_path, lines, packed)

    assert summary["documents"] == 600
    assert summary["duplicates"] == 11
    assert sum(summary["dead"].values()) == 3
    assert summary["read"] == 614
    assert summary["seconds"] > 0
    with sqlite3.connect(tmp_path / "posts.db") as database:
        assert database.execute("SELECT count(*) FROM documents").fetchone() == (600,)
        assert database.execute("SELECT count(*) FROM dead_letters").fetchone() == (3,)


def test_a_second_run_makes_no_second_document(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(b"\n".join(map(post, range(50))))
    first, second = run_files(tmp_path, file), run_files(tmp_path, file)
    assert (first["documents"], first["duplicates"]) == (50, 0)
    assert (second["documents"], second["duplicates"]) == (0, 50)


def test_nothing_but_bad_records_still_ends_well(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(b"\n".join([b"{broken"] * 20_000))
    summary = run_files(tmp_path, file)
    assert (summary["read"], summary["documents"], sum(summary["dead"].values())) == (20_000, 0, 20_000)


def test_the_rest_of_a_damaged_archive_is_one_dead_letter_that_says_why(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl.gz"
    whole = gzip.compress(b"\n".join(map(post, range(2_000))), 1)
    file.write_bytes(whole[: len(whole) // 2])
    summary = run_files(tmp_path, file)
    assert summary["dead"] == {"unreadable": 1}
    assert 0 < summary["documents"] < 2_000


def test_leaves_nothing_in_the_working_folder_but_the_documents(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(post(1))
    run_files(tmp_path, file)
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"posts.jsonl", "posts.db"}


def test_settings_that_cannot_be_used_exit_with_two_and_one_line(tmp_path: Path) -> None:
    for arguments in (
        ("run", "--set", "job.wokers=2"),
        ("run", "--posts", "missing.jsonl", "--until-end"),
        ("run", "--posts", str(tmp_path), "--documents", "postgres://x", "--until-end"),
    ):
        done = groundswell(*arguments, cwd=tmp_path)
        assert done.returncode == 2, (arguments, done.stderr)
        assert done.stderr.count("\n") == 1, done.stderr
        assert "Traceback" not in done.stderr


def test_a_name_that_names_no_file_is_refused_before_a_store_is_made(tmp_path: Path) -> None:
    for given in ("missing.jsonl", "missing*.jsonl", ""):
        done = groundswell("run", "--posts", given, "--documents", "sqlite:///posts.db", "--until-end", cwd=tmp_path)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert repr(given) in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_recovery_store_of_other_sources_is_named_and_not_tried_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_bytes(b"\n".join(map(post, range(3))))
    arguments = ["run", "--until-end", "--set", "sources.use=['files']", "--set", "files.paths=['posts.jsonl']"]
    arguments += ["--set", "redis.url=", "--set", "observability.port=0"]
    assert groundswell(*arguments, cwd=tmp_path).returncode == 0
    done = groundswell(*arguments, "--set", "files.lanes=1", cwd=tmp_path)
    assert done.returncode == 1
    assert "holds a position of 'files/0" in done.stderr.splitlines()[-1]
    assert "restart" not in done.stderr


def test_sigterm_drains_and_leaves_no_process_behind(tmp_path: Path) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "one.jsonl").write_bytes(b"\n".join(map(post, range(100))))
    url = f"sqlite:///{tmp_path}/posts.db"
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "run", "--posts", str(folder), "--summary", "json", "--documents", url],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: _documents(tmp_path / "posts.db") == 100, 60, "the first file to be indexed")
        (folder / "two.jsonl").write_bytes(b"\n".join(map(post, range(100, 150))))
        wait_until(lambda: _documents(tmp_path / "posts.db") == 150, 60, "a file that arrived to be indexed")
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert json.loads(output.splitlines()[-1])["ended"] == "drained"
    assert not any(child.is_running() for child in children)


def _documents(path: Path) -> int:
    if not path.exists():
        return 0
    with sqlite3.connect(path) as database:
        try:
            count: int = database.execute("SELECT count(*) FROM documents").fetchone()[0]
        except sqlite3.OperationalError:
            return 0
        return count
