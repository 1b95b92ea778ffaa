"""Scores written to documents of Elasticsearch by partial updates.

An update holds only for the very version of the document that was read (sequence number
and primary term). So of two writers none undoes what the other has written, a document that
was deleted stays deleted, and the list of its topics, which is replaced as a whole, is
always made from the one that is there. A document that has changed is read again, and is
written to unless it is another by now, or was scored against a newer topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import msgspec

from connectors.bulk_answer import STATES_PATH, UNDECLARED, ItemError, Outcome, decode_updates
from connectors.classification_json import TOPICS, classification_fields, read_classifications, source_fields
from connectors.document_topics import Found, NewScore, PutScores, RefusedScore, check_score
from connectors.elasticsearch_client import ELASTICSEARCH, ElasticsearchClient, Rejected, TooLarge
from connectors.new_scores import Writing, gathered
from groundswell.errors import StopJob, Unavailable

#: Documents in one bulk.
_MOST = 1_000
#: How often a document is read again that somebody else changes.
_ROUNDS = 5
_GONE = frozenset({"index_not_found_exception", "index_closed_exception"})


class _Now(msgspec.Struct, frozen=True):
    text: str = ""
    topics: tuple[str, ...] = ()


class _Document(msgspec.Struct, frozen=True):
    found: bool = False
    seq_no: int = msgspec.field(name="_seq_no", default=-1)
    primary_term: int = msgspec.field(name="_primary_term", default=0)
    source: msgspec.Raw = msgspec.field(name="_source", default=msgspec.Raw(b"{}"))
    error: ItemError | None = None


class _Documents(msgspec.Struct, frozen=True):
    docs: list[_Document]


class ElasticsearchScores:
    """Writes the scores of an :class:`~connectors.elasticsearch_store.ElasticsearchStore`, and raises like one."""

    def __init__(self, client: ElasticsearchClient) -> None:
        self._client = client

    def put(self, scores: Sequence[NewScore], *, refresh: bool = False) -> PutScores:
        """Like :meth:`connectors.document_store.DocumentStore.put_scores`."""
        for new in scores:
            check_score(new)
        if not scores:
            return PutScores()
        put = _Put(self._client, refresh=refresh)
        left = gathered(scores)
        put.passed += len(scores) - sum(len(writing.scores) for writing in left)
        for _ in range(_ROUNDS):
            if not left:
                break
            left = put.round(left)
        put.again += [new for writing in left for new in writing.scores]
        if put.again and len(put.again) == len(scores):
            raise Unavailable(ELASTICSEARCH, put.reason or "somebody else goes on changing the documents")
        return PutScores(put.written, put.passed, put.again, put.refused, list(put.documents.values()))


class _Put:
    """One call's work and what came of it."""

    def __init__(self, client: ElasticsearchClient, *, refresh: bool) -> None:
        self._client = client
        self._refresh = refresh
        self.written = 0
        self.passed = 0
        self.again: list[NewScore] = []
        self.refused: list[RefusedScore] = []
        self.documents: dict[tuple[str, str], Found] = {}
        self.reason = ""

    def round(self, writings: Iterable[Writing]) -> list[Writing]:
        """Write what can be; the rest, to be read again."""
        left: list[Writing] = []
        remaining = iter(writings)
        while some := list(islice(remaining, _MOST)):
            self._read([writing for writing in some if not writing.known])
            ready = []
            for writing in some:
                self.passed += writing.pass_over()
                self.written += writing.leave_as_they_are()
                if writing.scores:
                    ready.append(writing)
            left += self._write(ready)
        return left

    def _read(self, writings: Sequence[Writing]) -> None:
        """Read documents as they are now, searchable or not; of those that are gone the scores go too."""
        if not writings:
            return
        wanted = [
            {
                "_index": writing.document.place,
                "_id": writing.document.id,
                "_source": ["text", *source_fields(writing.tags)],
            }
            for writing in writings
        ]
        try:
            answer = self._client.request("POST", "/_mget", msgspec.json.encode({"docs": wanted}))
            documents = msgspec.json.decode(answer, type=_Documents).docs
        except TooLarge as error:
            if len(writings) == 1:
                raise StopJob(f"Elasticsearch does not let a single document be read: {error}") from None
            middle = len(writings) // 2
            self._read(writings[:middle])
            self._read(writings[middle:])
            return
        except Rejected as error:
            raise StopJob(f"Elasticsearch refuses to read documents: {error}") from None
        except msgspec.DecodeError as error:
            raise Unavailable(ELASTICSEARCH, f"unreadable answer: {error}") from None
        for writing, document in zip(writings, documents, strict=True):
            if document.error is not None and document.error.type not in _GONE:
                raise Unavailable(ELASTICSEARCH, f"a document cannot be read: {document.error}")
            now = msgspec.json.decode(document.source, type=_Now)
            if document.found and now.text == writing.document.text:
                state = (document.seq_no, document.primary_term)
                writing.know(state, now.topics, read_classifications(document.source, now.topics))
            else:
                self.passed += len(writing.scores)
                writing.scores.clear()

    def _write(self, writings: Sequence[Writing]) -> list[Writing]:
        """One bulk; those whose document somebody else has changed."""
        if not writings:
            return []
        try:
            body = b"".join(map(_update, writings))
            answer = self._client.bulk(body, STATES_PATH, gzipped=False, refresh=self._refresh)
            outcomes = decode_updates(answer, len(writings))
        except TooLarge as error:
            if len(writings) == 1:
                raise StopJob(f"Elasticsearch does not take a single score: {error}") from None
            middle = len(writings) // 2
            return self._write(writings[:middle]) + self._write(writings[middle:])
        except Rejected as error:
            raise StopJob(f"Elasticsearch does not take scores: {error}") from None
        except ValueError as error:
            raise Unavailable(ELASTICSEARCH, str(error)) from None
        left: list[Writing] = []
        for writing, outcome in zip(writings, outcomes, strict=True):
            left += self._settle(writing, *outcome)
        return left

    def _settle(
        self, writing: Writing, outcome: Outcome, fault: ItemError | None, state: tuple[int, int]
    ) -> Sequence[Writing]:
        """Count what became of one document; what is left to be done about it."""
        if outcome is Outcome.CHANGED:
            return [writing.unknown()]
        if outcome is Outcome.UPDATED:
            self.written += len(writing.scores)
            self.documents[writing.document.place, writing.document.id] = writing.done(state)
        elif outcome is Outcome.ABSENT:
            self.passed += len(writing.scores)
        elif fault is not None and fault.type == UNDECLARED and len(writing.scores) > 1:
            # The others may well be declared.
            return writing.apart()
        elif fault is not None and (fault.type == UNDECLARED or _takes_no_writes(fault)):
            self.refused += [RefusedScore(new, str(fault)) for new in writing.scores]
        elif outcome is Outcome.RETRY:
            self.again += writing.scores
            self.reason = self.reason or str(fault)
        else:
            place = writing.document.place
            raise StopJob(f"Elasticsearch does not take a score in the index {place!r}: {fault}")
        return []


def _update(writing: Writing) -> bytes:
    found = writing.document
    place = {"_index": found.place, "_id": found.id, "if_seq_no": found.state[0], "if_primary_term": found.state[1]}
    fields: dict[str, Any] = classification_fields({new.tag: new.classification for new in writing.scores})
    topics = writing.topics()
    if topics != found.topics:
        fields[TOPICS] = topics
    return msgspec.json.encode({"update": place}) + b"\n" + msgspec.json.encode({"doc": fields}) + b"\n"


def _takes_no_writes(fault: ItemError) -> bool:
    """Whether somebody has closed the index or made it read-only; a full disk passes."""
    blocked = fault.type == "cluster_block_exception" and "FORBIDDEN" in (fault.reason or "")
    return blocked or fault.type == "index_closed_exception"
