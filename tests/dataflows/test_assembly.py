"""From settings to parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.configuration import load_settings
from dataflows.assembly import open_documents, open_trend_stores
from groundswell.waits import Waits

_REDIS = "redis://localhost:1"


@pytest.mark.parametrize(
    ("overrides", "redis_url", "names"),
    [
        ([], _REDIS, ["redis", "documents"]),
        ([], "", ["documents"]),
        (["sources.use=['kafka','generator']"], _REDIS, ["kafka", "redis", "documents"]),
        (["sources.use=['kafka']", "kafka.trends_topic="], _REDIS, ["redis", "documents"]),
        (["sources.use=['kafka']", "trends.disorder=0.5"], "", ["kafka", "documents"]),
    ],
)
def test_trends_go_first_to_the_topic_then_to_redis_then_to_the_documents(
    tmp_path: Path, overrides: list[str], redis_url: str, names: list[str]
) -> None:
    settings = load_settings(overrides=[f"job.data_dir={tmp_path}", *overrides], environment={})
    documents = open_documents(settings, Waits())
    stores = open_trend_stores(settings, Waits(), redis_url, documents)
    assert [store.name for store in stores] == names
    for store in stores:
        store.close()
    documents.close()
    assert list(tmp_path.iterdir()) == []
