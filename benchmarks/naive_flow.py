"""The posts flow as it is written at first: Bytewax's own Kafka source, ``json``, and one bulk a batch.

``python -m benchmarks.naive_flow BOOTSTRAP_SERVERS TOPIC ELASTICSEARCH_URL ALIAS`` indexes what the
topic holds and ends. It is a peer to measure against: it keeps no recovery, has no dead
letters, and stops at the first record that is no post.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaError, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from benchmarks.plain import plain_action


class ElasticsearchSink(DynamicSink[dict[str, Any]]):
    """Indexes each batch as it comes."""

    def __init__(self, url: str) -> None:
        self._url = url

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> _Partition:
        return _Partition(self._url)


class _Partition(StatelessSinkPartition[dict[str, Any]]):
    def __init__(self, url: str) -> None:
        self._client = Elasticsearch(url, request_timeout=60)

    def write_batch(self, items: list[dict[str, Any]]) -> None:
        bulk(self._client, items)


def action(message: KafkaSourceMessage[Any, Any] | KafkaError[Any, Any], alias: str) -> dict[str, Any]:
    """The bulk action of one record."""
    assert isinstance(message, KafkaSourceMessage), message
    return plain_action(message.value, alias)


def run(arguments: Sequence[str]) -> None:
    """Run the flow until the topic's present end."""
    bootstrap_servers, topic, url, alias = arguments
    flow = Dataflow("naive")
    messages = op.input("in", flow, KafkaSource([bootstrap_servers], [topic], tail=False))
    actions = op.map("action", messages, lambda message: action(message, alias))
    op.output("out", actions, ElasticsearchSink(url))
    run_main(flow)


if __name__ == "__main__":
    run(sys.argv[1:])
