"""What people may ask a document store, the same for every store.

The text of a query is words and phrases that must all occur::

    flood "power outage" evacuat* #Harvey

A word matches whole words whatever their case, ``"..."`` a phrase, ``word*`` a prefix,
``#tag`` the hashtags (normalised as they are when indexed). Nothing else has a
meaning, so any text gives a result or a :class:`QueryError`; never a syntax error.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Literal

import msgspec

from groundswell.errors import GroundswellError
from groundswell.topics import is_field

#: Most words and phrases in one query, and most characters.
MAX_CLAUSES = 64
MAX_LENGTH = 4096

_CLAUSE = re.compile(r'"(?P<phrase>[^"]*)"?|(?P<tag>[#＃][^\s"]+)|(?P<word>[^\s"]+)')
#: Letters, digits, ideographs and the symbols that hold most emoji.
_SEARCHABLE = re.compile(r"[^\W_]|[\u2600-\u27bf\U0001f000-\U0001faff]")
_FIELD = re.compile(r"[A-Za-z_][\w.-]*")


class QueryError(GroundswellError):
    """A query that cannot be answered, and why."""


class Clause(msgspec.Struct, frozen=True):
    """One thing that must occur; ``text`` is not empty and holds something to search for."""

    kind: Literal["phrase", "prefix", "tag"]
    text: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A search; everything given must hold.

    ``since`` and ``until`` bound ``created_at``: from ``since`` on, before ``until``.
    Without ``sort``, hits come by relevance when there is text to be relevant to, else
    newest first. Documents that lack the sort field come last, in either direction;
    ties are broken newest first.
    """

    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    lang: str | None = None
    source: str | None = None
    hashtag: str | None = None
    sort: str | None = None
    descending: bool = True
    limit: int = 10

    def clauses(self) -> list[Clause]:
        """The text taken apart, the ``hashtag`` among it. Raises :class:`QueryError`."""
        clauses = parse_text(self.text)
        if self.hashtag is not None:
            clauses.append(Clause("tag", _tag(self.hashtag)))
        return clauses


def parse_text(text: str) -> list[Clause]:
    """Take the text of a query apart.

    >>> [(clause.kind, clause.text) for clause in parse_text('flood "power outage" evac* #Harvey')]
    [('phrase', 'flood'), ('phrase', 'power outage'), ('prefix', 'evac'), ('tag', 'harvey')]

    Raises :class:`QueryError` when there is text but nothing in it to search for.
    """
    text = text.encode("utf-8", "replace").decode().replace("\x00", " ")
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the query has {len(text)} characters; at most {MAX_LENGTH} are taken")
    clauses = [clause for match in _CLAUSE.finditer(text) if (clause := _clause(match))]
    if not clauses and text.strip():
        raise QueryError(f"nothing to search for in {text.strip()!r}: it has no letter, digit or emoji")
    if len(clauses) > MAX_CLAUSES:
        raise QueryError(f"the query has {len(clauses)} words and phrases; at most {MAX_CLAUSES} are taken")
    return clauses


def check_limit(limit: int) -> int:
    """A limit that every store takes: 1 to 10,000. Raises :class:`QueryError`."""
    if not 1 <= limit <= 10_000:
        raise QueryError(f"limit {limit} is not between 1 and 10000")
    return limit


def check_sort(field: str) -> str:
    """A field that documents can be sorted by. Raises :class:`QueryError` naming those that exist."""
    known = ("created_at", "indexed_at", "sentiment.score", "emotion.score")
    families = ("sentiment.scores.", "emotion.scores.")
    member = any(field.startswith(family) and _FIELD.fullmatch(field) for family in families)
    if field in known or member or is_field(field):
        return field
    raise QueryError(
        f"cannot sort by {field!r}; sort by {', '.join(known)}, sentiment.scores.<label>, emotion.scores.<label> "
        "or classification_<tag>"
    )


def _clause(match: re.Match[str]) -> Clause | None:
    kind = match.lastgroup
    text = match.group(kind) if kind else ""
    if not _SEARCHABLE.search(text):
        return None
    if kind == "tag" and _SEARCHABLE.search(text[1:]):
        return Clause("tag", _tag(text))
    if kind == "word" and text.endswith("*"):
        return Clause("prefix", text.rstrip("*"))
    return Clause("phrase", text)


def _tag(text: str) -> str:
    tag = unicodedata.normalize("NFKC", text.lstrip("#＃")).casefold()
    if not tag:
        raise QueryError(f"{text!r} is no hashtag")
    return tag
