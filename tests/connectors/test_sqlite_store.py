"""What only the embedded store can run into: its file."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from connectors import sqlite_schema
from connectors.document_query import Query
from connectors.documents import open_document_store
from connectors.sqlite_schema import open_database, path_of
from connectors.sqlite_store import SqliteStore
from connectors.sqlite_writer import apply
from groundswell.errors import StopJob, Unavailable
from groundswell.waits import Waits
from tests.connectors.documents import Tally, envelope
from tests.connectors.trends import trend_doc
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]

#: Writes posts FIRST to LAST in steps of 50, and says after each how many are durable.
WRITER = """
import sys
from pathlib import Path
from connectors.sqlite_store import SqliteStore
from groundswell.waits import Waits
from tests.connectors.documents import Tally, envelope

path, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = SqliteStore(path, Waits(), transaction_documents=20)
store.prepare()
tally = Tally()
writer = store.writer(tally, lambda: True)
for start in range(first, last, 50):
    writer.add([envelope(number, f"river {number}", hashtags=("flood",)) for number in range(start, start + 50)])
    writer.flush()
    print(start + 50 - first, tally.total.created, flush=True)
"""

#: Puts one trend again and again, and says after each time which minute is durable.
TREND_WRITER = """
import sys
from pathlib import Path
from connectors.sqlite_store import SqliteStore
from groundswell.waits import Waits
from tests.connectors.trends import trend_doc

store = SqliteStore(Path(sys.argv[1]), Waits())
store.prepare()
for minute in range(1_000_000):
    store.put_trends([trend_doc(minute=minute)])
    print(minute, flush=True)
"""


def start_writer(path: Path, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), str(first), str(last)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def check(path: Path) -> None:
    """The file is sound, and the words and the hashtags agree with the documents."""
    connection = open_database(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    counts = {
        connection.execute(statement).fetchone()[0]
        for statement in (
            "SELECT count(*) FROM documents",
            "SELECT count(*) FROM words WHERE words MATCH 'river'",
            "SELECT count(*) FROM hashtags",
        )
    }
    assert len(counts) == 1
    connection.close()


@pytest.mark.faults
def test_kill_9_loses_nothing_that_was_flushed(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    durable = 0
    for attempt in range(5):
        process = start_writer(path, 0, 1_000_000)
        assert process.stdout is not None
        for _ in range(3 + 7 * attempt):
            durable = max(durable, int(process.stdout.readline().split()[0]))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        store = SqliteStore(path, Waits())
        assert store.count() >= durable
        store.close()
        check(path)


def test_two_processes_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    writers = [start_writer(path, 0, 2000), start_writer(path, 1000, 3000)]
    created = [int(writer.communicate(timeout=120)[0].splitlines()[-1].split()[1]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sum(created) == 3000
    check(path)


def test_readers_see_what_is_committed_while_others_write(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "documents.db", Waits(), transaction_documents=10)
    store.prepare()
    tally = Tally()
    writer = store.writer(tally, lambda: True)
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(store.count())
            assert all(hit.document.text == "the river rises" for hit in store.search(Query(text="river", limit=50)))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2000):
        writer.add([envelope(number)])
    writer.flush()
    done.set()
    reader.join(30)
    assert seen == sorted(seen)
    assert store.count() == 2000
    writer.close()
    store.close()


def test_a_full_disk_is_waited_out(tmp_path: Path) -> None:
    waits = Waits()
    store = SqliteStore(tmp_path / "documents.db", waits, transaction_documents=100)
    store.prepare()
    tally = Tally()
    writer = store.writer(tally, lambda: True)
    writer.add([envelope(number) for number in range(100)])
    connection = writer._connection
    assert connection is not None
    connection.execute("PRAGMA max_page_count = 1")

    def fill() -> None:
        writer.add([envelope(number, "x" * 1000) for number in range(100, 1000)])
        writer.flush()

    thread = threading.Thread(target=fill)
    thread.start()
    (reason,) = wait_until(lambda: list(waits.current().values()), 30, "the wait to be named")
    assert "full" in reason
    assert thread.is_alive()
    connection.execute("PRAGMA max_page_count = 1000000")
    thread.join(60)
    assert tally.counts == (1000, 0, 0, 0)
    assert waits.current() == {}
    assert store.count() == 1000
    writer.close()
    store.close()


def test_another_programs_lock_is_waited_out(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    store = SqliteStore(path, Waits())
    store.prepare()
    tally = Tally()
    writer = store.writer(tally, lambda: True)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer.add([envelope(1)])
    thread = threading.Thread(target=writer.flush)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    other.execute("ROLLBACK")
    thread.join(30)
    assert tally.counts == (1, 0, 0, 0)
    other.close()
    writer.close()
    store.close()


def test_addresses(tmp_path: Path) -> None:
    assert path_of("sqlite:///here.db") == Path("here.db")
    assert path_of("sqlite:////var/there.db") == Path("/var/there.db")
    with pytest.raises(StopJob, match="sqlite:///relative"):
        path_of("sqlite://")
    with pytest.raises(StopJob, match="names no document store"):
        open_document_store("mysql://localhost", Waits())
    deep = open_document_store(f"sqlite:///{tmp_path}/a/b/c.db", Waits())
    deep.prepare()
    assert deep.count() == 0
    deep.close()


def test_a_file_that_is_no_database_is_left_alone_and_said(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(StopJob, match=r"notes\.txt is no SQLite database"):
        SqliteStore(path, Waits()).prepare()
    assert path.read_bytes() == b"not a database, " * 100


def test_another_programs_database_is_left_alone_and_said(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE birds (name TEXT)")
    other.close()
    with pytest.raises(StopJob, match="another program's SQLite database"):
        SqliteStore(path, Waits()).prepare()


def test_a_file_that_another_makes_meanwhile_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "documents.db"
    attempts: list[str] = []

    def looked(statement: str) -> None:
        if "user_version" in statement and not attempts:
            attempts.append("begun")
            with suppress(Unavailable):  # it may have to wait for the one that looks
                open_database(path).close()

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = sqlite3.Connection(*args, **options)
        connection.set_trace_callback(looked)
        return connection

    monkeypatch.setattr(sqlite_schema, "_BUSY_SECONDS", 0.0)
    monkeypatch.setattr(sqlite3, "connect", connect)
    open_database(path).close()
    assert attempts == ["begun"]


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(StopJob, match="cannot be"):
        SqliteStore(tmp_path, Waits()).prepare()
    (tmp_path / "file").touch()
    with pytest.raises(StopJob, match="cannot be"):
        SqliteStore(tmp_path / "file" / "documents.db", Waits()).prepare()


def test_a_file_of_the_first_format_is_brought_up_to_date_with_all_that_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    old = sqlite3.connect(path)
    old.executescript(sqlite_schema._FORMATS[0])
    old.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    with old:
        apply(old, [envelope(1, "the river rises", hashtags=("flood",))])
    old.close()
    # Several at once, as the processes of a job would.
    stores = [SqliteStore(path, Waits()) for _ in range(4)]
    threads = [threading.Thread(target=store.prepare) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [hit.document.id for hit in stores[0].search(Query(text="river #flood"))] == ["1"]
    stores[1].put_trends([trend_doc()])
    assert stores[2].trends() == [trend_doc()]
    check(path)
    for store in stores:
        store.close()


def test_a_file_of_a_later_format_is_left_alone_and_said(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    SqliteStore(path, Waits()).prepare()
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(StopJob, match="another version of groundswell \\(format 99, needed 4\\)"):
        SqliteStore(path, Waits()).prepare()


@pytest.mark.faults
def test_kill_9_loses_no_trend_that_was_put(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    process = subprocess.Popen(
        [sys.executable, "-c", TREND_WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    durable = [int(process.stdout.readline()) for _ in range(30)][-1]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = SqliteStore(path, Waits())
    (trend,) = store.trends()
    assert trend.count >= 100 + durable
    store.close()


def test_searching_before_the_first_run_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    with pytest.raises(StopJob, match="run the job first"):
        SqliteStore(path, Waits()).search(Query(text="flood"))
    assert not path.exists()
