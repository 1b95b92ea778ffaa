"""What the items of an Elasticsearch bulk answer mean."""

from __future__ import annotations

from enum import Enum

import msgspec


class Outcome(Enum):
    """What to do about one item."""

    CREATED = "created"
    DUPLICATE = "duplicate"
    UPDATED = "updated"
    CHANGED = "changed"
    DELETED = "deleted"
    ABSENT = "absent"
    REFUSED = "refused"
    RETRY = "retry"
    STOP = "stop"


class Cause(msgspec.Struct, gc=False):
    """A reason inside another."""

    type: str = ""
    reason: str | None = None


class ItemError(msgspec.Struct, gc=False):
    """Why an item failed."""

    type: str = ""
    reason: str | None = None
    caused_by: Cause | None = None

    def __str__(self) -> str:
        said = f"{self.type}: {self.reason}"
        return f"{said} ({self.caused_by.reason})" if self.caused_by and self.caused_by.reason else said


class ItemResult(msgspec.Struct, gc=False):
    """What became of one operation."""

    status: int
    error: ItemError | None = None
    seq_no: int = msgspec.field(name="_seq_no", default=-1)
    primary_term: int = msgspec.field(name="_primary_term", default=0)


class Item(msgspec.Struct, gc=False):
    """One item; exactly one of the four is set."""

    create: ItemResult | None = None
    index: ItemResult | None = None
    update: ItemResult | None = None
    delete: ItemResult | None = None


class BulkAnswer(msgspec.Struct, gc=False):
    """A bulk answer as far as it is asked for."""

    errors: bool
    items: list[Item]


#: Keeps an answer at some 25 bytes an item.
FILTER_PATH = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"

#: The same and in which state each document is now.
STATES_PATH = f"{FILTER_PATH},items.*._seq_no,items.*._primary_term"

_DECODER = msgspec.json.Decoder(BulkAnswer)

#: The error of a document with a field that its index does not have.
UNDECLARED = "strict_dynamic_mapping_exception"
#: Refusals (status 400 or 403) that somebody running the server can lift; the document is not at fault.
_OPERATIONAL = frozenset({"index_closed_exception", "validation_exception", "cluster_block_exception"})


def decode_answer(body: bytes, expected: int) -> list[tuple[Outcome, ItemError | None]]:
    """The outcome of every item, in order.

    Raises ``ValueError`` for an answer that is cut, no JSON, or about another number of
    items: nothing is known then, and the whole bulk has to be sent again.
    """
    return [_judge(item) for item in _decode(body, expected)]


def decode_updates(body: bytes, expected: int) -> list[tuple[Outcome, ItemError | None, tuple[int, int]]]:
    """The outcome of every partial update, in order, and the document's state after it; raises like the above."""
    results = [item.update for item in _decode(body, expected)]
    if any(result is None for result in results):
        raise ValueError("the bulk answer has an item that is no update")
    return [
        (classify_update(result.status, result.error), result.error, (result.seq_no, result.primary_term))
        for result in results
        if result is not None
    ]


def _decode(body: bytes, expected: int) -> list[Item]:
    try:
        answer = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(f"unreadable bulk answer of {len(body)} bytes: {error}") from None
    if len(answer.items) != expected:
        raise ValueError(f"the bulk answer has {len(answer.items)} items for {expected} operations")
    return answer.items


def _judge(item: Item) -> tuple[Outcome, ItemError | None]:
    if item.create is not None:
        return classify_create(item.create.status, item.create.error), item.create.error
    if item.index is not None:
        return classify_index(item.index.status, item.index.error), item.index.error
    if item.update is not None:
        return classify_update(item.update.status, item.update.error), item.update.error
    if item.delete is not None:
        return classify_delete(item.delete.status, item.delete.error), item.delete.error
    raise ValueError("the bulk answer has an item that is no create, index, update or delete")


def classify_create(status: int, error: ItemError | None) -> Outcome:
    """What a create's status means."""
    if status in (200, 201):
        return Outcome.CREATED
    if status == 409:
        return Outcome.DUPLICATE
    return _classify_failure(status, error)


def classify_index(status: int, error: ItemError | None) -> Outcome:
    """What the status of an overwrite means that holds for one version of the document only."""
    if status in (200, 201):
        return Outcome.CREATED
    # Somebody else has changed the document since it was read.
    if status == 409:
        return Outcome.RETRY
    return _classify_failure(status, error)


def classify_update(status: int, error: ItemError | None) -> Outcome:
    """What the status of a partial update means that holds for one version of the document only."""
    if status == 200:
        return Outcome.UPDATED
    if status == 404:
        return Outcome.ABSENT
    if status == 409:
        return Outcome.CHANGED
    return _classify_failure(status, error)


def classify_delete(status: int, error: ItemError | None) -> Outcome:
    """What a delete's status means; a missing index is as good as a missing document."""
    if status == 200:
        return Outcome.DELETED
    if status == 404:
        return Outcome.ABSENT
    # Somebody else changes the document right now.
    if status == 409:
        return Outcome.RETRY
    return _classify_failure(status, error)


def _classify_failure(status: int, error: ItemError | None) -> Outcome:
    if status == 429 or status == 408 or status >= 500 or (error and error.type in _OPERATIONAL):
        return Outcome.RETRY
    if status == 400:
        return Outcome.REFUSED
    return Outcome.STOP
