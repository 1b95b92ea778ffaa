"""``groundswell search``: the documents, whichever store holds them."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from cli import stores
from cli.moments import parse_moment
from cli.options import load
from cli.printing import moment, printable
from connectors.document_query import Query, QueryError
from connectors.document_store import DocumentStore, Hit
from dataflows import models
from dataflows.embed import left_to_do
from groundswell.errors import SettingsError
from groundswell.records import Document
from groundswell.settings import Settings
from groundswell.topics import field_of, is_field
from inference.rows import RowError
from inference.tasks import EMBEDDING


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "search",
        description='Search the documents. Every word and "phrase" must occur; word* is a prefix, #tag a hashtag. '
        "Without a query, the newest documents. With --like, those of them that mean nearly the same as a text.",
    )
    parser.add_argument("query", nargs="*", metavar="QUERY", help='words, "phrases", prefix*, #hashtags')
    parser.add_argument("--like", metavar="TEXT", help="search by meaning: the nearest to this text first")
    parser.add_argument("--documents", metavar="URL", help="document store: sqlite:///PATH or http(s)://HOST:PORT")
    parser.add_argument(
        "--sort", metavar="FIELD", help="such as created_at, sentiment.scores.negative or classification_TAG"
    )
    parser.add_argument("--order", choices=("asc", "desc"), default="desc", help="of --sort (default: desc)")
    parser.add_argument("--since", metavar="WHEN", help="from this time on: RFC 3339, a date, or an age such as 2h, 7d")
    parser.add_argument("--until", metavar="WHEN", help="before this time, likewise")
    parser.add_argument("--lang", metavar="CODE", help="only posts in this language")
    parser.add_argument("--source", metavar="NAME", help="only posts from this source")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="hits at most (default: 10)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with all fields")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the hits; none is no failure."""
    settings = load(args, *([f"documents.url={args.documents}"] if args.documents else []))
    query = _query(args, datetime.now(UTC))
    with stores.documents(settings) as store:
        try:
            hits = store.search(query) if args.like is None else _nearest(settings, store, args.like, query)
        except QueryError as error:
            raise SettingsError(str(error)) from None
    if not hits:
        print("nothing found", file=sys.stderr)
    for hit in hits:
        if args.json:
            print(
                msgspec.json.encode({"_id": hit.id, "_score": hit.score} | msgspec.to_builtins(hit.document)).decode()
            )
        else:
            print(_shown(hit, args.sort, by_meaning=args.like is not None))
    return 0


def _nearest(settings: Settings, store: DocumentStore, text: str, query: Query) -> list[Hit]:
    """The documents nearest to the text, of those that the query finds; says so where some cannot be found yet."""
    space = models.embedding_space(settings)
    model = models.open_model(settings, [EMBEDDING])
    assert model is not None  # noqa: S101 - models that are turned off have no space
    with model:
        (answer,) = model.embed([text])
    if isinstance(answer, RowError):
        raise SettingsError(f"--like {text!r}: the model cannot read it: {answer.detail}")
    hits = store.nearest(answer.embedding or b"", answer.embedding_space or space, query)
    left = left_to_do(store.count_spaces(), space)
    if left:
        print(
            f"{left:,} documents have no vector of the space in use and cannot be found: groundswell embed",
            file=sys.stderr,
        )
    return hits


def _query(args: argparse.Namespace, now: datetime) -> Query:
    return Query(
        text=" ".join(args.query),
        since=parse_moment(args.since, now, "--since") if args.since else None,
        until=parse_moment(args.until, now, "--until") if args.until else None,
        lang=args.lang,
        source=args.source,
        sort=args.sort,
        descending=args.order == "desc",
        limit=args.limit,
    )


def _shown(hit: Hit, sort: str | None, *, by_meaning: bool) -> str:
    """``time  author  sentiment  text``, with the value that was sorted by or the cosine."""
    document = hit.document
    sentiment = f"{document.sentiment.label} {document.sentiment.score:.2f}" if document.sentiment else "-"
    value = _sorted_by(document, sort) if sort else None
    sorted_by = f"  {sort}={value:.3f}" if isinstance(value, float) else ""
    author = printable(document.author or "-")
    if by_meaning:
        sorted_by = f"  {hit.score:.3f}"
    return f"{moment(document.created_at)}  {author}  {sentiment}{sorted_by}  {printable(document.text)}"


def _sorted_by(document: Document, field: str) -> object:
    if is_field(field):
        return next((each.score for tag, each in document.classification.items() if field_of(tag) == field), None)
    return _value(msgspec.to_builtins(document), field)


def _value(document: Any, path: str) -> object:
    for part in path.split("."):
        if not isinstance(document, dict):
            return None
        document = document.get(part)
    return document
