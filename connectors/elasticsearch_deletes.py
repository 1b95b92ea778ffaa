"""Where in the indices behind an alias a document lies: a deletion does not know its time."""

from __future__ import annotations

import msgspec

from connectors.elasticsearch_client import ELASTICSEARCH, ElasticsearchClient, Rejected
from groundswell.errors import Unavailable

#: Of the indices behind the alias those that are open; none at all is fine too.
READABLE = {"ignore_unavailable": "true", "allow_no_indices": "true"}
#: All shards answer, or the whole search fails.
COMPLETE = {"allow_partial_search_results": "false"}


class _Hit(msgspec.Struct, frozen=True):
    index: str = msgspec.field(name="_index")
    id: str = msgspec.field(name="_id")


class _Hits(msgspec.Struct, frozen=True):
    hits: list[_Hit] = []


class _Found(msgspec.Struct, frozen=True):
    hits: _Hits = _Hits()


class _Shards(msgspec.Struct, frozen=True):
    failed: int = 0


class _Refreshed(msgspec.Struct, frozen=True):
    shards: _Shards = msgspec.field(name="_shards", default=_Shards())


def refresh(client: ElasticsearchClient, alias: str) -> None:
    """Make what was written visible to searches; fine when there is no index yet.

    Raises:
        Unavailable: the server does not answer, or a shard could not refresh.
    """
    try:
        answer = client.request("POST", f"/{alias}/_refresh", None, {**READABLE, "filter_path": "_shards.failed"})
    except Rejected as error:
        if error.status == 404:
            return
        raise
    failed = msgspec.json.decode(answer, type=_Refreshed).shards.failed
    if failed:
        raise Unavailable(ELASTICSEARCH, f"{failed} shards could not be refreshed")


def locate(client: ElasticsearchClient, alias: str, ids: list[str]) -> list[tuple[str, str]]:
    """Each ``(index, id)`` under which one of the ids lies now; at most 5,000 ids.

    Refreshes first, so that nothing that was acknowledged is missed. Raises
    :class:`~groundswell.errors.Unavailable` when any shard cannot answer.
    """
    refresh(client, alias)
    query = {"size": 2 * len(ids), "query": {"ids": {"values": ids}}, "_source": False, "track_total_hits": False}
    options = {**READABLE, **COMPLETE, "filter_path": "hits.hits._index,hits.hits._id"}
    try:
        answer = client.request("POST", f"/{alias}/_search", msgspec.json.encode(query), options)
    except Rejected as error:
        if error.status == 404:
            return []
        raise
    return [(hit.index, hit.id) for hit in msgspec.json.decode(answer, type=_Found).hits.hits]
