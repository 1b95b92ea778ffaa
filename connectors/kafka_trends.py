"""The compacted topic of trend events: for other jobs, and for whoever wants to know what trends.

The key is the trend's id and the value the whole event as JSON, so whoever reads the topic
from its beginning knows every trend: of the messages of one key the event with the highest
fence (generation, ``at``, revision) holds, wherever it lies, since a job that was killed tells
its last events again. An ended trend stays as its last event. No message without a value is
ever written; one from somebody else says that the trend is to be forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from connectors.kafka_client import KAFKA, ClientSettings
from connectors.kafka_confirmed_producer import FRAME, ConfirmedProducer, Keyed
from connectors.kafka_topic import DEFAULT_MESSAGE_BYTES, KafkaTopic
from connectors.trend_json import encode_within, plain
from connectors.trend_store import KeepWaiting
from groundswell.trends import TrendEvent, Window, newest_events
from groundswell.waits import Waits

_LOG = logging.getLogger(__name__)
_DECODER = msgspec.json.Decoder(TrendEvent)

#: More than this a message never holds, whatever the topic takes, in bytes.
_MOST_BYTES = 16 * 1024 * 1024
_POLICY = "cleanup.policy"
_CONFIG = {
    _POLICY: "compact",
    # Only closed segments are compacted, and an active trend says again what it is every minute.
    "segment.bytes": str(64 * 1024 * 1024),
}


class KafkaTrendStore:
    """A :class:`~connectors.trend_store.TrendStore`: every event becomes a message; windows stay out.

    ``client`` holds further librdkafka settings (TLS, SASL). A message larger than the topic
    takes goes with fewer or shorter samples, which is logged.
    """

    name = KAFKA

    def __init__(
        self, bootstrap_servers: str, topic: str, waits: Waits, *, client: ClientSettings | None = None
    ) -> None:
        self._topic = KafkaTopic(bootstrap_servers, topic, client=client)
        self._producer = ConfirmedProducer(self._topic.client_settings, topic, waits, self._message)

    def prepare(self) -> None:
        """Make the topic when it is missing, with the broker's partitions and replicas; warn when it forgets trends."""
        found = self._topic.make(_CONFIG)
        if advice := compaction_advice(self._topic.name, found):
            _LOG.warning("%s", advice)
        self._producer.limit = min(int(found.get("max.message.bytes", DEFAULT_MESSAGE_BYTES)), _MOST_BYTES)

    def write(
        self,
        windows: Sequence[Window],  # noqa: ARG002 (the contract's; a topic of events has no use for them)
        events: Sequence[TrendEvent],
        keep_waiting: KeepWaiting,
    ) -> None:
        """Return once the broker has every event, those of one trend in their order."""
        self._producer.put(events, keep_waiting)

    def close(self) -> None:
        self._producer.close()

    def _message(self, event: TrendEvent, limit: int) -> Keyed:
        value, kept = encode_within(event, max(0, limit - FRAME))
        trend = event.trend
        if kept < len(trend.samples):
            _LOG.warning(
                "the event of %s at %s is too large for %s, which takes %d bytes: it goes with %d of %d samples",
                trend.tag,
                event.at.isoformat(),
                self._topic.name,
                limit,
                kept,
                len(trend.samples),
            )
        return Keyed(plain(trend.id).encode(), value, {})


def compaction_advice(topic: str, config: dict[str, str]) -> str | None:
    """What to do about a topic that loses trends with time; ``None`` when it keeps them or may not be asked.

    >>> compaction_advice("trends", {"cleanup.policy": "compact,delete"}) is None
    True
    """
    policy = config.get(_POLICY)
    if policy is None or "compact" in policy:
        return None
    return (
        f"the topic {topic} is not compacted ({_POLICY}={policy}): it grows, and forgets trends with its retention; "
        f"run kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {_POLICY}=compact"
    )


def read_trends(bootstrap_servers: str, topic: str, *, client: ClientSettings | None = None) -> dict[str, TrendEvent]:
    """The event that holds for each trend in the topic as of now, by the trend's id.

    A trend whose event is not ``ended`` trends still, unless its generation is older than the
    newest: then the job that followed it was started anew without its state. What is no event
    is passed over and logged. Raises ``Unavailable`` when the broker does not answer and
    ``StopJob`` when it refuses for good; a topic that is not there has no trends.
    """
    source = KafkaTopic(bootstrap_servers, topic, client=client)
    found: dict[str, TrendEvent] = {}
    for partition in source.partitions():
        read: dict[str, TrendEvent] = {}
        for message in source.read(partition):
            value = message.value()
            if value is None:
                read.pop((message.key() or b"").decode("utf-8", "replace"), None)
                continue
            try:
                event = _DECODER.decode(value)
            except msgspec.DecodeError as error:
                _LOG.warning("%s/%d/%s is no trend event: %s", topic, partition, message.offset(), error)
                continue
            if (known := read.get(event.trend.id)) is None or event.fence > known.fence:
                read[event.trend.id] = event
        # More partitions than there once were: a trend lies in two.
        found = newest_events([*found.values(), *read.values()])
    return found
