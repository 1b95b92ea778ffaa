"""What the addresses of sentinels and clusters say."""

from __future__ import annotations

import pytest

from connectors.redis_address import RedisAddress, parse_address
from groundswell.errors import SettingsError


def test_sentinels_are_named_with_the_service_and_the_database() -> None:
    assert parse_address("redis+sentinel://a:1,[::1]:2,c/my%20main?db=4") == RedisAddress(
        "sentinel", (("a", 1), ("::1", 2), ("c", 26379)), service="my main", database=4
    )
    assert parse_address("rediss+sentinel://job@a/main") == RedisAddress(
        "sentinel", (("a", 26379),), tls=True, service="main", username="job"
    )


def test_a_cluster_is_any_of_its_nodes() -> None:
    assert parse_address("redis+cluster://a,b:7001/") == RedisAddress("cluster", (("a", 6379), ("b", 7001)))


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a:1",
        "redis+sentinel://a:1/",
        "redis+sentinel:///main",
        "redis+sentinel://a:1,/main",
        "redis+sentinel://a:99999/main",
        "redis+sentinel://a:b/main",
        "redis+sentinel://::1/main",
        "redis+sentinel://a/main?db=x",
        "redis+sentinel://a/main?database=1",
        "redis+cluster://a/1",
        "redis+cluster://a?db=1",
        "redis+cluster://",
    ],
)
def test_what_cannot_be_meant_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"redis\.url"):
        parse_address(url)
