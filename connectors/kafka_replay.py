"""Sends dead letters round again: in one transaction the record and the end of its letter.

Both become visible together, so a replay that is killed leaves every letter either as
it was or replayed, and a record that fails again is put after the end of its letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from confluent_kafka import KafkaError, KafkaException, Producer

from connectors.dead_letters import Replayed
from connectors.kafka_client import KAFKA, client_log, never_heals, stop_for
from connectors.origin_header import ORIGIN_HEADER, origin_header
from groundswell.errors import StopJob, Unavailable
from groundswell.records import DeadLetter

_TIMEOUT = 30.0
#: Letters and bytes in one transaction.
_MOST = 500
_MOST_BYTES = 16 * 1024 * 1024


def replay_letters(
    settings: dict[str, str | int | float | bool],
    letters: Iterable[tuple[int, DeadLetter, bool]],
    dead_topic: str,
    posts_topic: str,
) -> Replayed:
    """Replay ``(partition of the letter, letter, whether its value is whole)``.

    Raises:
        Unavailable: the broker does not answer; what is left can be replayed again.
        StopJob: another replay took over, or Kafka refuses for good.
    """
    producer: Producer | None = None
    sent = truncated = 0
    try:
        for group in _groups(letters):
            whole = [(partition, letter) for partition, letter, is_whole in group if is_whole]
            truncated += len(group) - len(whole)
            if not whole:
                continue
            if producer is None:
                producer = _open(settings, dead_topic)
            producer.begin_transaction()
            for partition, letter in whole:
                producer.produce(posts_topic, letter.value, headers=[(ORIGIN_HEADER, origin_header(letter.origin))])
                key = letter.key.encode("utf-8", "surrogatepass")
                producer.produce(dead_topic, None, key, partition=partition)
            producer.commit_transaction(_TIMEOUT)
            sent += len(whole)
    except KafkaException as error:
        raise _explain(error.args[0], sent) from None
    return Replayed(sent, truncated)


def _open(settings: dict[str, str | int | float | bool], dead_topic: str) -> Producer:
    own = {
        "transactional.id": f"groundswell-replay-{dead_topic}",
        "transaction.timeout.ms": 60_000,
        "message.max.bytes": 128 * 1024 * 1024,
    }
    producer = Producer({**settings, **own}, logger=client_log)
    producer.init_transactions(_TIMEOUT)
    return producer


def _groups(letters: Iterable[tuple[int, DeadLetter, bool]]) -> Iterator[list[tuple[int, DeadLetter, bool]]]:
    group: list[tuple[int, DeadLetter, bool]] = []
    size = 0
    for one in letters:
        group.append(one)
        size += len(one[1].value)
        if len(group) >= _MOST or size >= _MOST_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _explain(error: KafkaError, sent: int) -> StopJob | Unavailable:
    done = f"replaying dead letters ({sent} are done)"
    if error.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED):  # noqa: SLF001 (the library's public names)
        return StopJob(f"another replay of the same dead letters took over while {done}")
    return stop_for(error, done) if never_heals(error) else Unavailable(KAFKA, f"{done}: {error.str()}")
