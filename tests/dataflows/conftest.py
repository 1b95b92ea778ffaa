"""A cluster of a test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dataflows.harness import Cluster
from tests.stack.elasticsearch import ElasticsearchServer
from tests.stack.kafka import KafkaServer


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaServer, elasticsearch: ElasticsearchServer) -> Cluster:
    """A topic with four partitions, a dead-letter topic and an alias, all empty."""
    return Cluster(tmp_path, kafka, elasticsearch)
