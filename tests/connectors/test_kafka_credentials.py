"""What a broker refuses for good stops the job with a reason, instead of being waited for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.kafka_producer import write_to_kafka
from connectors.kafka_source import KafkaSource
from groundswell.errors import StopJob
from groundswell.waits import Waits
from tests.connectors.partitions import Driver, ample_credits, never
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
            f'{_JAAS}={_LOGIN} required user_reader="right" user_stranger="right";',
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
