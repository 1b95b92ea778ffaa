"""Scores written to documents of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from connectors.document_topics import Found, NewScore, PutScores, RefusedScore
from connectors.new_scores import Writing, gathered
from connectors.sqlite_labels import classifications_of, label_numbers, put_classifications

_FIND = "SELECT row, document FROM documents WHERE id = ?"


class _Text(msgspec.Struct):
    text: str


_TEXT = msgspec.json.Decoder(_Text)


def put_scores(connection: sqlite3.Connection, scores: Sequence[NewScore]) -> PutScores:
    """Like :meth:`connectors.document_store.DocumentStore.put_scores`, inside the open transaction."""
    numbers = label_numbers(connection)
    refused = [
        RefusedScore(new, f"there is no field for the tag {new.tag!r}: declare it")
        for new in scores
        if new.tag not in numbers
    ]
    written = 0
    documents: list[Found] = []
    for writing in gathered(new for new in scores if new.tag in numbers):
        if not _read(connection, writing):
            continue
        writing.pass_over()
        written += writing.leave_as_they_are()
        if writing.scores:
            state = writing.document.state
            put_classifications(connection, [(state[0], {new.tag: new.classification for new in writing.scores})])
            written += len(writing.scores)
            documents.append(writing.done(state))
    return PutScores(written, len(scores) - written - len(refused), (), refused, documents)


def _read(connection: sqlite3.Connection, writing: Writing) -> bool:
    """Read the document as it is now; whether it is still there."""
    found = connection.execute(_FIND, (bytes.fromhex(writing.document.id),)).fetchone()
    if found is None:
        return False
    row, encoded = found
    state = (row, hash(encoded))
    if state != writing.document.state and _TEXT.decode(encoded).text != writing.document.text:
        return False
    there = classifications_of(connection, [row]).get(row, {})
    writing.know(state, tuple(tag for tag, each in there.items() if each.member), there)
    return True
