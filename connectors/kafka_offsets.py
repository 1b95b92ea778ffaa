"""What the broker holds: first and end offsets of the partitions that are read, asked for in the background.

One :class:`OffsetWatch` serves all partitions of a process. It is also the probe
that tells whether Kafka answers, because a consumer without new messages says
nothing at all about its broker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from connectors.kafka_client import (
    KAFKA,
    ClientSettings,
    client_log,
    client_settings,
    error_callback,
    is_missing_topic,
    never_heals,
    stop_for,
)
from groundswell.errors import GroundswellError, StopJob
from groundswell.waits import Waits

log = logging.getLogger(__name__)

#: Seconds between two looks at the offsets, and between two tries while Kafka does not answer.
REFRESH_SECONDS = 2.0
RETRY_SECONDS = 0.5
#: Seconds between two looks at the topics themselves (partitions added, topic made anew).
TOPICS_SECONDS = 30.0
#: A topic that stays unknown this long was deleted: a broker that starts may not know it for a moment.
MISSING_SECONDS = 30.0
_REQUEST_SECONDS = 3.0
#: What goes wrong with a connection; it says more than the time-out of the request that waited for one.
_CONNECTING = frozenset({KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._SSL})  # noqa: SLF001


class InputChanged(GroundswellError):
    """A topic got more partitions or was made anew: the job must start again to read all of it."""


class Offsets(NamedTuple):
    """A partition's first offset that still exists and the end up to which transactions are decided.

    ``high`` is the end with what open transactions have written; all three are as of some
    moment after ``asked``.
    """

    first: int
    end: int
    high: int
    asked: float


class TopicFacts(NamedTuple):
    """A topic's identity (it changes when the topic is deleted and made anew) and its partitions."""

    topic_id: str
    partitions: int


class OffsetWatch:
    """Asks for offsets without blocking; thread-safe.

    :meth:`refresh` is called again and again by the partitions and raises what
    must end the job: :class:`StopJob` for refused credentials or a deleted topic,
    :class:`InputChanged` when a restart is needed.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        client: ClientSettings,
        waits: Waits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waits = waits
        self._clock = clock
        self._lock = threading.Lock()
        self._watched: set[tuple[str, int]] = set()
        self._offsets: dict[tuple[str, int], tuple[int, Offsets]] = {}
        self._round = 0
        self._due = 0.0
        self._topics_due = clock() + TOPICS_SECONDS
        self._known: dict[str, TopicFacts] = {}
        self._failure: GroundswellError | None = None
        self._missing_since: float | None = None
        self._complaint = ""
        self.reachable = False
        #: Moment of the first answer since which every question was answered.
        self.answers_since = float("inf")
        # An admin client keeps an outdated leader until its metadata has aged, and every
        # answer until then is FENCED_LEADER_EPOCH.
        own = {"metadata.max.age.ms": 2000, "error_cb": error_callback(self.report)}
        self._admin = AdminClient(client_settings(bootstrap_servers, client, own), logger=client_log)  # type: ignore[arg-type]

    def report(self, error: KafkaError) -> None:
        """An error that some client of this process was told of."""
        if never_heals(error):
            self._failure = self._failure or stop_for(error, "connecting")
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._unreachable(self._complaint or error.str())
        elif error.code() in _CONNECTING:
            self._complaint = error.str()

    def describe(self, topics: Sequence[str]) -> dict[str, TopicFacts | KafkaError]:
        """The topics as they are now, or why one cannot be described; blocks for a few seconds at most.

        Raises :class:`StopJob` when the broker refuses for good.
        """
        found: dict[str, TopicFacts | KafkaError] = {}
        for topic, future in self._admin.describe_topics(
            TopicCollection(list(topics)), request_timeout=_REQUEST_SECONDS
        ).items():
            try:
                found[topic] = _facts(future.result())
            except KafkaException as error:
                found[topic] = error.args[0]
        self._raise_failure()
        failed = [fact for fact in found.values() if isinstance(fact, KafkaError)]
        for failure in failed:
            if never_heals(failure):
                raise stop_for(failure, f"describing the topics {', '.join(topics)}")
        unanswered = [failure for failure in failed if not is_missing_topic(failure)]
        if unanswered:
            self._unreachable(self.reason(unanswered[0]))
        else:
            self._answered()
        self._known.update({topic: fact for topic, fact in found.items() if isinstance(fact, TopicFacts)})
        return found

    def reason(self, error: KafkaError) -> str:
        """What to tell people of a request that failed."""
        timed_out = error.code() == KafkaError._TIMED_OUT  # noqa: SLF001
        return self._complaint if timed_out and self._complaint else error.str()

    def create(self, topic: str, partitions: int) -> None:
        """Make the topic with the broker's own replication factor; raises :class:`StopJob` when refused."""
        try:
            self._admin.create_topics([NewTopic(topic, partitions)])[topic].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise StopJob(f"Kafka would not create the topic {topic!r}: {error.args[0].str()}") from error

    def watch(self, topic: str, partition: int) -> int:
        """Watch a partition from now on; returns the round whose answer will be newer than this call."""
        with self._lock:
            self._watched.add((topic, partition))
            self._due = 0.0
            return self._round + 1

    def forget(self, topic: str, partition: int) -> None:
        """Watch the partition no longer."""
        with self._lock:
            self._watched.discard((topic, partition))
            self._offsets.pop((topic, partition), None)

    def offsets(self, topic: str, partition: int, since_round: int = 0) -> Offsets | None:
        """The newest answer, when there is one of ``since_round`` or later."""
        answered, offsets = self._offsets.get((topic, partition), (-1, None))
        return offsets if answered >= since_round else None

    def refresh(self) -> None:
        """Ask again when it is time; raises what must end the job."""
        self._raise_failure()
        now = self._clock()
        if now < self._due:
            return
        with self._lock:
            if now < self._due or not self._watched:
                return
            self._due = float("inf")
            self._round += 1
            number, wanted = self._round, sorted(self._watched)
        _Round(self, number, now, wanted, self._admin)
        if now >= self._topics_due:
            self._topics_due = now + TOPICS_SECONDS
            topics = TopicCollection(sorted(self._known))
            for topic, future in self._admin.describe_topics(topics, request_timeout=_REQUEST_SECONDS).items():
                future.add_done_callback(partial(self._compare, topic))

    def _raise_failure(self) -> None:
        self._admin.poll(0)  # serves the error callback and the client's log; answers need no poll
        if self._failure is not None:
            raise self._failure

    def _finish(self, number: int, found: dict[tuple[str, int], Offsets], errors: list[KafkaError]) -> None:
        with self._lock:
            for key, offsets in found.items():
                if key in self._watched and number > self._offsets.get(key, (0, None))[0]:
                    self._offsets[key] = (number, offsets)
            # A partition that was added meanwhile has already asked to be looked at now.
            now = self._clock()
            behind = any(key not in self._offsets for key in self._watched)
            self._due = now + (RETRY_SECONDS if errors or behind else REFRESH_SECONDS)
        if not errors:
            self._answered()
            self.answers_since = min(self.answers_since, now)
            return
        for error in errors:
            if never_heals(error):
                self._failure = self._failure or stop_for(error, "asking for offsets")
        missing = [error for error in errors if is_missing_topic(error)]
        self._missing_since = (self._missing_since or now) if missing else None
        if self._missing_since is not None and now - self._missing_since > MISSING_SECONDS:
            topics = ", ".join(sorted(self._known))
            self._failure = self._failure or StopJob(f"a topic of {topics} exists no longer: {missing[0].str()}")
        self._unreachable(self.reason(errors[0]))

    def _compare(self, topic: str, done: Future[Any]) -> None:
        if done.exception() is not None:
            return  # the offsets of the same moment tell what is wrong
        facts, known = _facts(done.result()), self._known[topic]
        if facts.topic_id != known.topic_id:
            self._failure = self._failure or InputChanged(f"the topic {topic!r} was deleted and made anew")
        elif facts.partitions > known.partitions:
            self._failure = self._failure or InputChanged(
                f"the topic {topic!r} has {facts.partitions} partitions now, {known.partitions} are read"
            )

    def _unreachable(self, reason: str) -> None:
        if self.reachable:
            log.warning("Kafka does not answer: %s", reason)
        self.reachable = False
        self.answers_since = float("inf")
        self._waits.begin(KAFKA, reason)

    def _answered(self) -> None:
        if not self.reachable:
            log.info("Kafka answers")
        self.reachable = True
        self._complaint = ""
        self._missing_since = None
        self._waits.end(KAFKA)


class _Round:
    """One look at all partitions: three requests whose answers arrive one by one on the client's thread."""

    def __init__(
        self, watch: OffsetWatch, number: int, asked: float, wanted: list[tuple[str, int]], admin: AdminClient
    ) -> None:
        self._watch = watch
        self._number = number
        self._asked = asked
        self._lock = threading.Lock()
        self._first: dict[tuple[str, int], int] = {}
        self._end: dict[tuple[str, int], int] = {}
        self._high: dict[tuple[str, int], int] = {}
        self._errors: list[KafkaError] = []
        earliest, latest = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
        looks = (
            (earliest, IsolationLevel.READ_COMMITTED, self._first),
            (latest, IsolationLevel.READ_COMMITTED, self._end),
            (latest, IsolationLevel.READ_UNCOMMITTED, self._high),
        )
        self._open = len(looks) * len(wanted)
        for spec, isolation, answers in looks:
            futures = admin.list_offsets(
                {TopicPartition(topic, partition): spec for topic, partition in wanted},
                isolation_level=isolation,
                request_timeout=_REQUEST_SECONDS,
            )
            for place, future in futures.items():
                key = (place.topic, place.partition)
                future.add_done_callback(partial(self._arrived, key, answers))

    def _arrived(self, key: tuple[str, int], answers: dict[tuple[str, int], int], done: Future[Any]) -> None:
        error = done.exception()
        with self._lock:
            if error is None:
                answers[key] = done.result().offset
            elif isinstance(error, KafkaException):
                self._errors.append(error.args[0])
            else:
                raise error
            self._open -= 1
            last = self._open == 0
        if last:
            found = {
                key: Offsets(first, self._end[key], self._high[key], self._asked)
                for key, first in self._first.items()
                if key in self._end and key in self._high
            }
            self._watch._finish(self._number, found, self._errors)  # noqa: SLF001 (two halves of one idea)


def _facts(description: Any) -> TopicFacts:
    return TopicFacts(str(description.topic_id), len(description.partitions))
