"""Tables of the embedded document store, and how its files are opened."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from groundswell.errors import StopJob, Unavailable

#: The name of the dependency in metrics, health and waits.
SQLITE = "sqlite"
#: Written into the file, so that no other program's database is taken for ours ("grsw").
APPLICATION_ID = 0x67727377
_STATE = """
SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
FROM pragma_application_id, pragma_user_version
"""
#: When a document was indexed, as a Julian day.
INDEXED_AT = "julianday(substr(json_extract(document, '$.indexed_at'), 1, 23))"
#: Seconds to wait for another process's transaction before saying so.
_BUSY_SECONDS = 5.0

# Symbols are tokens, for emoji; diacritics and underscores stay, as in Elasticsearch's standard analyser.
_DOCUMENTS = """
CREATE TABLE documents (
    row INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX documents_created_at ON documents (created_at);
CREATE VIRTUAL TABLE words USING fts5 (
    text, content = '', tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* Co So Sk' tokenchars '_'"
);
CREATE TABLE hashtags (tag TEXT NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (tag, row)) WITHOUT ROWID;
CREATE TABLE dead_letters (
    key BLOB PRIMARY KEY,
    stream BLOB NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    item INTEGER NOT NULL,
    step TEXT NOT NULL,
    cause TEXT NOT NULL,
    detail BLOB NOT NULL,
    time TEXT NOT NULL,
    value BLOB NOT NULL,
    replaying INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX dead_letters_cause ON dead_letters (cause, step);
"""

# Times are microseconds since 1970; generation, updated_at and revision fence each trend.
_TRENDS = """
CREATE TABLE trends (
    trend_id TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    since INTEGER NOT NULL,
    active INTEGER NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX trends_since ON trends (since);
CREATE INDEX trends_active ON trends (since) WHERE active;
"""

# One signed byte a dimension; no vector where a text has none in its space. Apart from the documents, so that
# a search by meaning reads nothing else.
_EMBEDDINGS = """
CREATE TABLE embeddings (row INTEGER PRIMARY KEY, space TEXT, vector BLOB);
"""

# The tags that documents are scored by, and the scores. A document's text holds neither: it never changes.
# ``indexed_at`` is in the text alone; cut to milliseconds, it is found by the one expression that is indexed.
_LABELS = f"""
CREATE TABLE labels (
    label INTEGER PRIMARY KEY, tag TEXT NOT NULL UNIQUE, field TEXT NOT NULL UNIQUE, live INTEGER NOT NULL
);
CREATE TABLE classifications (
    label INTEGER NOT NULL,
    row INTEGER NOT NULL,
    score REAL NOT NULL,
    member INTEGER NOT NULL,
    trend_id TEXT NOT NULL,
    topic_at INTEGER NOT NULL,
    model TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (label, row)
) WITHOUT ROWID;
CREATE INDEX classifications_row ON classifications (row);
CREATE INDEX documents_indexed_at ON documents ({INDEXED_AT});
"""

#: Each format of the file and what makes it of the one before; a file of an older one is brought up to date.
_FORMATS = (_DOCUMENTS, _TRENDS, _EMBEDDINGS, _LABELS)

# Ideographs, kana and emoji are written without spaces: each is a token of its own.
_UNSPACED = re.compile(
    "[\u2600-\u27bf\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U0001f000-\U0001faff\U00020000-\U0003134f]"
)


def path_of(url: str) -> Path:
    """The file that ``sqlite:///relative`` or ``sqlite:////absolute`` names.

    >>> path_of("sqlite:///posts.db"), path_of("sqlite:////var/posts.db")
    (PosixPath('posts.db'), PosixPath('/var/posts.db'))

    Raises :class:`~groundswell.errors.StopJob` for another address.
    """
    if not url.startswith("sqlite:///") or not url.removeprefix("sqlite:///"):
        raise StopJob(f"{url!r} names no file; write sqlite:///relative/path or sqlite:////absolute/path")
    return Path(url.removeprefix("sqlite:///"))


def spaced(text: str) -> str:
    """The text with characters that are words on their own set apart.

    >>> spaced("東京 rocks")
    ' 東  京  rocks'
    """
    return text if text.isascii() else _UNSPACED.sub(r" \g<0> ", text)


def open_database(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode to a file with our tables; missing ones are made, also in a file of an older format.

    Commits reach the disk (``synchronous=FULL``): a killed process loses nothing that was
    committed, nor does a power cut as far as the disk keeps what it acknowledged.

    Raises:
        StopJob: a path that cannot be written, or a file that is no database of ours.
        Unavailable: the disk is full or another process keeps the file locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except OSError as error:
        raise StopJob(f"{path} cannot be opened: {error}") from None
    except sqlite3.Error as error:
        raise translate(error, path) from None
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise translate(error, path) from None
    except StopJob:
        connection.close()
        raise
    return connection


def translate(error: sqlite3.Error, path: Path) -> StopJob | Unavailable:
    """What an error of SQLite means for the job."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR):
        return Unavailable(SQLITE, f"{path}: {error}")
    if code == sqlite3.SQLITE_NOTADB:
        return StopJob(f"{path} is no SQLite database; name another file or remove this one")
    if code == sqlite3.SQLITE_CORRUPT:
        return StopJob(f"{path} is damaged ({error}); restore it, or remove it and run the posts again")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StopJob(f"{path} cannot be written: {error}; check that the folder exists and its permissions")
    return StopJob(f"{path}: {error}")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA temp_store = MEMORY")
    if version == len(_FORMATS):
        return
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have been here meanwhile.
    for addition in _FORMATS[_version(connection, path) :]:
        for statement in addition.split(";\n"):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(_FORMATS)}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The format of the file, 0 when it is empty; ``StopJob`` when it is somebody else's or newer."""
    # One statement sees one state, whoever makes the tables meanwhile.
    application, version, tables = connection.execute(_STATE).fetchone()
    if application == APPLICATION_ID and 1 <= version <= len(_FORMATS):
        return int(version)
    if application == APPLICATION_ID:
        raise StopJob(
            f"{path} was written by another version of groundswell (format {version}, needed {len(_FORMATS)})"
        )
    if tables:
        raise StopJob(f"{path} is another program's SQLite database; name another file")
    return 0
