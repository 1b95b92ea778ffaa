from __future__ import annotations

import logging

import pytest
from confluent_kafka import KafkaError

from connectors.kafka_client import OncePerWhile, client_settings, never_heals


def test_the_same_complaint_is_logged_once_in_a_while_and_counted() -> None:
    now = [0.0]
    once = OncePerWhile(10.0, clock=lambda: now[0])

    def told(text: str) -> str | None:
        record = logging.LogRecord("n", logging.WARNING, __file__, 1, text, (), None)
        return record.getMessage() if once.filter(record) else None

    assert told("refused after 1 ms") == "refused after 1 ms"
    assert told("refused after 2 ms") is None
    assert told("another thing") == "another thing"
    now[0] = 9.9
    assert told("refused after 3 ms") is None
    now[0] = 10.0
    assert told("refused after 4 ms") == "refused after 4 ms [2 more like it]"
    assert told("refused after 5 ms") is None


def test_the_users_settings_never_overrule_what_correctness_rests_on() -> None:
    settings = client_settings(
        "b:1", {"client.id": "mine", "isolation.level": "x"}, {"isolation.level": "read_committed"}
    )
    assert settings["client.id"] == "mine"
    assert settings["isolation.level"] == "read_committed"
    assert settings["bootstrap.servers"] == "b:1"


@pytest.mark.parametrize(
    ("code", "text", "permanent"),
    [
        (KafkaError._AUTHENTICATION, "bad password", True),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "not yours", True),
        (KafkaError._SSL, "certificate verify failed", True),
        (KafkaError._SSL, "handshake failed: Disconnected", False),
        (KafkaError._TRANSPORT, "connection refused", False),
        (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down", False),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "commits are for lag tools only", False),
    ],
)
def test_only_credentials_and_permissions_never_heal(code: int, text: str, permanent: bool) -> None:
    assert never_heals(KafkaError(code, text)) is permanent
