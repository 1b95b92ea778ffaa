"""What Elasticsearch is asked about the indices behind an alias."""

from __future__ import annotations

import msgspec

from connectors.elasticsearch_client import ElasticsearchClient, Rejected, TooLarge
from connectors.elasticsearch_deletes import READABLE
from groundswell.errors import StopJob

#: Settings that keep an index as it is.
_BLOCKS = ("index.blocks.read_only", "index.blocks.write")


class _Settings(msgspec.Struct, frozen=True):
    settings: dict[str, str] = {}


def ask(
    client: ElasticsearchClient, purpose: str, method: str, path: str, body: bytes | None, options: dict[str, str]
) -> bytes | None:
    """The answer, or ``None`` where there is nothing of the name that was asked for.

    Raises ``StopJob`` for another refusal, which says that Elasticsearch refuses to ``purpose``.
    """
    try:
        return client.request(method, path, body, options)
    except Rejected as error:
        if error.status == 404:
            return None
        raise StopJob(f"Elasticsearch refuses to {purpose}: {error}") from None
    except TooLarge as error:
        raise StopJob(f"Elasticsearch refuses to {purpose}: {error}") from None


def closed_to_writes(client: ElasticsearchClient, alias: str) -> list[str]:
    """Indices that somebody has made read-only for good; a full disk passes."""
    path = f"/{alias}/_settings/{','.join(_BLOCKS)}"
    answer = ask(client, "name the indices' settings", "GET", path, None, {**READABLE, "flat_settings": "true"})
    indices = msgspec.json.decode(answer, type=dict[str, _Settings]) if answer else {}
    return sorted(name for name, index in indices.items() if "true" in index.settings.values())
