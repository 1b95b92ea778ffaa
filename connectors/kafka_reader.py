"""One consumer shared by all partitions of a worker thread.

Sharing keeps the prefetch queue, the connections and librdkafka's threads at one
set per worker, however many partitions it reads. Each partition has its inbox;
whichever finds its own empty polls for all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka_client import ClientSettings, client_log, client_settings, error_callback
from connectors.source import BATCH_RECORDS

#: Messages in all inboxes, and their bytes, above which nobody polls: an idle partition would
#: otherwise fetch on and on for a busy one.
_INBOX_LIMIT = 4 * BATCH_RECORDS
_INBOX_BYTES = 16 * 1024 * 1024

#: Memory of the prefetch queue (kilobytes, messages) and of one fetch; the user's settings come after them.
_BOUNDS: ClientSettings = {
    "queued.max.messages.kbytes": 16 * 1024,
    "queued.min.messages": 20_000,
    "fetch.max.bytes": 8 * 1024 * 1024,
    "max.partition.fetch.bytes": 2 * 1024 * 1024,
    "fetch.wait.max.ms": 100,
    "fetch.error.backoff.ms": 100,
    # After a full queue librdkafka rests for a second by default, and the reader runs dry.
    "fetch.queue.backoff.ms": 5,
}

#: What correctness rests on: no position but the stored one, no unfinished transactions, ends made visible.
_FIXED: ClientSettings = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
}


class SharedReader:
    """The consumer of one worker thread; not thread-safe."""

    def __init__(
        self, bootstrap_servers: str, group: str, client: ClientSettings, on_error: Callable[[KafkaError], None]
    ) -> None:
        own = {**_FIXED, "group.id": group, "error_cb": error_callback(on_error), "on_commit": _log_commit}
        self._consumer = Consumer(
            client_settings(bootstrap_servers, {**_BOUNDS, **client}, own),  # type: ignore[arg-type]
            logger=client_log,
        )
        self._users: set[tuple[str, int]] = set()
        self._inboxes: dict[tuple[str, int], deque[Message]] = {}
        self._buffered = 0
        self._bytes = 0
        self._closed = False

    def join(self, topic: str, partition: int) -> None:
        """Stay open for the partition until it leaves, whether or not there is anything to read of it."""
        self._users.add((topic, partition))

    def attach(self, topic: str, partition: int, offset: int) -> None:
        """Read the partition from ``offset`` on, whatever was read of it before."""
        self._detach(topic, partition)
        self._inboxes[topic, partition] = deque()
        self._consumer.incremental_assign([TopicPartition(topic, partition, offset)])

    def leave(self, topic: str, partition: int) -> None:
        """Read the partition no longer and forget what was prefetched of it."""
        self._users.discard((topic, partition))
        self._detach(topic, partition)

    def next(self, topic: str, partition: int) -> Message | None:
        """The partition's next message or event, if one is here; polls when its inbox is empty."""
        inbox = self._inboxes[topic, partition]
        if not inbox:
            self._poll()
            if not inbox:
                return None
        message = inbox.popleft()
        self._buffered -= 1
        self._bytes -= len(message)
        return message

    def commit(self, topic: str, partition: int, offset: int) -> None:
        """Tell lag tools how far the partition was read; nothing here ever reads it back."""
        try:
            self._consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=True)
        except KafkaException as error:
            client_log.warning("offsets were not committed: %s", error.args[0].str())

    def close(self) -> None:
        """Close the consumer once all partitions have left."""
        if not self._users and not self._closed:
            self._closed = True
            self._consumer.close()

    @property
    def closed(self) -> bool:
        return self._closed

    def _detach(self, topic: str, partition: int) -> None:
        inbox = self._inboxes.pop((topic, partition), None)
        if inbox is not None:
            self._buffered -= len(inbox)
            self._bytes -= sum(map(len, inbox))
            self._consumer.incremental_unassign([TopicPartition(topic, partition)])

    def _poll(self) -> None:
        if self._buffered >= _INBOX_LIMIT or self._bytes >= _INBOX_BYTES:
            return
        for message in self._consumer.consume(BATCH_RECORDS, 0.0):
            inbox = self._inboxes.get((message.topic(), message.partition()))  # type: ignore[arg-type]
            if inbox is not None:
                inbox.append(message)
                self._buffered += 1
                self._bytes += len(message)
            elif (error := message.error()) is not None:
                client_log.warning("%s", error.str())


def _log_commit(error: KafkaError | None, partitions: list[TopicPartition]) -> None:
    failed = error or next((each.error for each in partitions if each.error is not None), None)
    if failed is not None:
        client_log.warning("offsets were not committed: %s", failed.str())
