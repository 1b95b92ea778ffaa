"""What a broker refuses for good stops the job with a reason, instead of being waited for."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from connectors.kafka_producer import write_to_kafka
from connectors.kafka_source import KafkaSource
from connectors.kafka_trends import KafkaTrendStore, read_trends
from groundswell.errors import StopJob
from groundswell.waits import Waits
from tests.connectors.partitions import Driver, ample_credits, never
from tests.connectors.trends import samples, trend_event
from tests.stack.kafka import KafkaServer
from tests.stack.ports import free_port

pytestmark = pytest.mark.stack

_JAAS = "listener.name.sasl_plaintext.plain.sasl.jaas.config"
_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


class _GuardedKafka(KafkaServer):
    """A broker with a second listener that asks who one is and lets only ``reader`` do anything."""

    def _format(self) -> None:
        super()._format()
        self.guarded = f"127.0.0.1:{free_port()}"
        lines = [
            line.replace("listeners=", f"listeners=SASL_PLAINTEXT://{self.guarded},", 1)
            for line in self._properties.read_text().splitlines()
            if not line.startswith("listener.security.protocol.map=")
        ]
        lines += [
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms=PLAIN",
            f'{_JAAS}={_LOGIN} required user_reader="right" user_stranger="right" user_writer="right";',
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS;User:reader",
        ]
        self._properties.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_GuardedKafka]:
    server = _GuardedKafka(tmp_path_factory.mktemp("guarded"))
    server.start()
    yield server
    server.kill()


def _client(user: str, password: str) -> dict[str, str | int | float | bool]:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": user,
        "sasl.password": password,
    }


def _read(kafka: _GuardedKafka, topic: str, user: str, password: str) -> list[bytes]:
    client = _client(user, password)
    source = KafkaSource(kafka.guarded, [topic], "g", ample_credits(), never(), Waits(), until_end=True, client=client)
    driver = Driver(source)
    driver.run()
    return driver.values


def test_settings_of_the_client_are_passed_through(guarded: _GuardedKafka) -> None:
    topic = guarded.topic()
    assert write_to_kafka([b"a", b"b"], guarded.guarded, topic, _client("reader", "right")) == 2
    assert _read(guarded, topic, "reader", "right") == [b"a", b"b"]


def test_a_wrong_password_stops_the_job(guarded: _GuardedKafka) -> None:
    topic = guarded.topic()
    with pytest.raises(StopJob, match="Invalid username or password"):
        _read(guarded, topic, "reader", "wrong")
    with pytest.raises(StopJob, match="Invalid username or password"):
        write_to_kafka([b"a"], guarded.guarded, topic, _client("reader", "wrong"))


def test_a_topic_that_one_may_not_read_stops_the_job(guarded: _GuardedKafka) -> None:
    topic = guarded.topic()
    with pytest.raises(StopJob, match="authorization failed"):
        _read(guarded, topic, "stranger", "right")
    with pytest.raises(StopJob, match="authorization failed"):
        write_to_kafka([b"a"], guarded.guarded, topic, _client("stranger", "right"))


def _allow(guarded: _GuardedKafka, operation: AclOperation, topic: str) -> None:
    """Let ``writer`` do this with a topic (and so see it), but neither make it nor ask for its settings."""
    pattern, allow = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
    rule = AclBinding(ResourceType.TOPIC, topic, pattern, "User:writer", "*", operation, allow)
    admin = AdminClient({"bootstrap.servers": guarded.bootstrap_servers})
    admin.create_acls([rule])[rule].result(30)


def _trends(guarded: _GuardedKafka, topic: str) -> KafkaTrendStore:
    return KafkaTrendStore(guarded.guarded, topic, Waits(), client=_client("writer", "right"))


def test_a_topic_of_trends_that_one_may_only_write_to_is_enough(
    guarded: _GuardedKafka, caplog: pytest.LogCaptureFixture
) -> None:
    topic = guarded.topic(cleanup_policy="compact")
    _allow(guarded, AclOperation.WRITE, topic)
    store = _trends(guarded, topic)
    with caplog.at_level(logging.WARNING, "connectors.kafka_trends"):
        store.prepare()
    assert caplog.messages == []
    store.write([], [trend_event(samples=samples(3_000, 1_000))], lambda: True)
    store.close()
    (event,) = read_trends(guarded.bootstrap_servers, topic).values()
    # Its limit may not be asked for either, so it is taken to be the usual one.
    assert 500 < len(event.trend.samples) < 1_048
    with pytest.raises(StopJob, match="authorization failed"):
        read_trends(guarded.guarded, topic, client=_client("writer", "right"))
    # Reading takes no group.
    _allow(guarded, AclOperation.READ, topic)
    assert read_trends(guarded.guarded, topic, client=_client("writer", "right")) == {event.trend.id: event}


def test_a_topic_of_trends_that_one_may_not_make_stops_the_job_and_says_how_to_make_it(
    guarded: _GuardedKafka,
) -> None:
    store = _trends(guarded, "trends-of-nobody")
    with pytest.raises(StopJob, match=r"making the topic trends-of-nobody \(with cleanup\.policy=compact"):
        store.prepare()
    store.close()
    assert read_trends(guarded.bootstrap_servers, "trends-of-nobody") == {}
