"""A stream of invented posts: seeded, paced, with Zipf hashtags and planted bursts.

Every post is a function of the seed, the stream's start and its ordinal, so a
resumed stream goes on exactly, and a test can say beforehand what must come out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypedDict

import numpy as np

from connectors.credits import Credits
from connectors.generator_text import LANGUAGES, hashtags
from connectors.idleness import Emptiness
from connectors.source import BATCH_RECORDS, IDLE_PAUSE, BatchGate, EndOfInput, PostPartition, StopFlag
from groundswell.errors import SettingsError
from groundswell.records import RawBatch

#: The stream of the generator's records, and its partition keys' first part.
GENERATOR = "generator"
#: Posts drawn together; part of what a seed means.
_BLOCK = 512
#: Seconds of event time between posts that are neither paced nor spread over a span.
_UNPACED_STEP = 1e-5
_AUTHORS = 20_000
_MOODS = 3
#: How many hashtags a post carries: none to three.
_TAG_COUNTS = np.cumsum([0.35, 0.35, 0.2, 0.1])
_MALFORMED_KINDS = 5


class Burst(NamedTuple):
    """A hashtag that ``share`` of all posts carry from ``start`` on for ``duration`` (seconds of event time)."""

    tag: str
    start: float
    duration: float
    share: float = 0.3


@dataclass(frozen=True, slots=True)
class GeneratorSpec:
    """What stream to make.

    ``rate`` is posts per second, 0 for as fast as they are taken; ``count`` 0 is
    without end. ``span`` seconds of event time are shared out evenly among ``count``
    posts; without it event time advances with ``rate``. ``start`` ``None`` is now, or
    ``span`` before now. ``malformed`` is the share of records that are broken.
    """

    seed: int = 1
    rate: float = 0.0
    count: int = 0
    start: datetime | None = None
    span: float = 0.0
    tags: int = 2_000
    zipf: float = 1.3
    malformed: float = 0.0
    bursts: tuple[Burst, ...] = ()

    @property
    def live(self) -> bool:
        """Whether posts are dated as they are made."""
        return self.start is None and self.span == 0 and self.rate > 0

    def begin(self, now: datetime) -> datetime:
        """The time of the first post of a stream that is opened ``now``."""
        return self.start if self.start is not None else now - timedelta(seconds=self.span)


class PostGenerator:
    """The posts of a stream that begins at ``start``; no clock, no pace.

    Raises :class:`SettingsError` for a span without a count.
    """

    def __init__(self, spec: GeneratorSpec, start: datetime) -> None:
        if spec.span > 0 and spec.count == 0:
            raise SettingsError("generator.span needs generator.count: a stream without end has no span")
        self._spec = spec
        step = spec.span / spec.count if spec.span > 0 else 1 / spec.rate if spec.rate > 0 else _UNPACED_STEP
        self._step_us = step * 1e6
        self._start_us = round(start.timestamp() * 1e6)
        tags = hashtags(spec.tags)
        self._tags = [(f" #{tag}", f'"{tag.lower()}"') for tag in tags]
        self._bursts = [(burst, (f" #{burst.tag}", f'"{burst.tag.lower()}"')) for burst in spec.bursts]
        weights = 1.0 / np.arange(1, len(tags) + 1) ** spec.zipf
        self._tag_ladder = np.cumsum(weights / weights.sum())
        languages = np.array([phrases.weight for phrases in LANGUAGES], dtype=float)
        self._language_ladder = np.cumsum(languages / languages.sum())
        self._drawn: tuple[int, list[bytes]] = (-1, [])

    def values(self, first: int, last: int) -> list[bytes]:
        """The records with the ordinals ``first`` to ``last``, without the latter."""
        values: list[bytes] = []
        while first < last:
            number, within = divmod(first, _BLOCK)
            taken = min(_BLOCK - within, last - first)
            if self._drawn[0] != number:
                self._drawn = (number, self._draw(number))
            values += self._drawn[1][within : within + taken]
            first += taken
        return values

    def malformed(self, first: int, last: int) -> list[int]:
        """Which of these ordinals are broken on purpose."""
        found: list[int] = []
        for number in range(first // _BLOCK, -(-last // _BLOCK)):
            broken = np.flatnonzero(self._random(number).random(_BLOCK) < self._spec.malformed)
            found += [ordinal for at in broken.tolist() if first <= (ordinal := number * _BLOCK + at) < last]
        return found

    def _random(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._spec.seed, number])

    def _draw(self, number: int) -> list[bytes]:
        random = self._random(number)
        broken = random.random(_BLOCK) < self._spec.malformed  # drawn first: malformed() draws nothing else
        ordinals = np.arange(number * _BLOCK, (number + 1) * _BLOCK)
        elapsed_us = (ordinals * self._step_us).astype(np.int64)
        moments_us = self._start_us + elapsed_us
        times = np.datetime_as_string(moments_us.astype("datetime64[us]"), unit="ms").tolist()
        ids = ((moments_us // 1000 << 22) | (ordinals & 0x3FFFFF)).tolist()
        languages = _climb(self._language_ladder, random.random(_BLOCK)).tolist()
        moods = random.integers(_MOODS, size=_BLOCK).tolist()
        picks = random.integers(1 << 30, size=(_BLOCK, 3)).tolist()
        # The square of an even draw: a few authors post much, many little.
        authors = (random.random(_BLOCK) ** 2 * _AUTHORS).astype(int).tolist()
        tag_counts = _climb(_TAG_COUNTS, random.random(_BLOCK)).tolist()
        tags = _climb(self._tag_ladder, random.random((_BLOCK, 3))).tolist()
        bursting = self._bursting(random.random((_BLOCK, len(self._bursts))), elapsed_us / 1e6)
        kinds = random.integers(_MALFORMED_KINDS, size=_BLOCK).tolist()
        seed, names = self._spec.seed, self._tags
        values: list[bytes] = []
        for at in range(_BLOCK):
            phrases, mood, (pick, other, third) = LANGUAGES[languages[at]], moods[at], picks[at]
            openings, closings = phrases.openings[mood], phrases.closings[mood]
            chosen = dict.fromkeys([*bursting[at], *(names[tag] for tag in tags[at][: tag_counts[at]])])
            text = (
                f"{openings[pick % len(openings)]} {phrases.things[other % len(phrases.things)]}, "
                f"{closings[third % len(closings)]}{''.join(tag for tag, _ in chosen)}"
            )
            values.append(
                f'{{"id":"{seed}-{ids[at]}","source":"generator","author":"user{authors[at]}","text":"{text}",'
                f'"created_at":"{times[at]}Z","lang":"{phrases.lang}",'
                f'"hashtags":[{",".join(quoted for _, quoted in chosen)}]}}'.encode()
            )
        for at in np.flatnonzero(broken).tolist():
            values[at] = _break(values[at], kinds[at])
        return values

    def _bursting(self, draws: Any, elapsed: Any) -> list[list[tuple[str, str]]]:
        """The burst tags of every post of a block."""
        carried: list[list[tuple[str, str]]] = [[] for _ in range(_BLOCK)]
        for column, (burst, tag) in enumerate(self._bursts):
            inside = (elapsed >= burst.start) & (elapsed < burst.start + burst.duration)
            for at in np.flatnonzero(inside & (draws[:, column] < burst.share)).tolist():
                carried[at].append(tag)
        return carried


def _climb(ladder: Any, draws: Any) -> Any:
    """The rung that each draw lies below; rounding must not lead above the last one."""
    return np.minimum(np.searchsorted(ladder, draws, side="right"), len(ladder) - 1)


def _break(value: bytes, kind: int) -> bytes:
    """A record that no decoder takes for a post."""
    match kind:
        case 0:
            return value[: 2 * len(value) // 3]
        case 1:
            return b"keep alive " + value[2:20]
        case 2:
            return value.replace(b'"text":', b'"words":', 1)
        case 3:
            return value.replace(b'"created_at":"', b'"created_at":"about ', 1)
        case _:
            return value.replace(b'"text":"', b'"text":17,"was":"', 1)


def paced_posts(spec: GeneratorSpec, stop: StopFlag) -> Iterator[bytes]:
    """The stream from its first post on at its own rate, until its end or until ``stop`` is set."""
    began = time.time()
    generator = PostGenerator(spec, spec.begin(datetime.fromtimestamp(began, UTC)))
    ordinal = 0
    while not stop.is_set() and (spec.count == 0 or ordinal < spec.count):
        due = int((time.time() - began) * spec.rate) + 1 if spec.rate > 0 else ordinal + _BLOCK
        last = min(due, ordinal + _BLOCK, spec.count or due)
        if last <= ordinal:
            time.sleep(IDLE_PAUSE.total_seconds())
            continue
        yield from generator.values(ordinal, last)
        ordinal = last


class GeneratorState(TypedDict):
    """What recovery keeps of a stream: the next post's ordinal, and the first one's time."""

    ordinal: int
    start: str


class GeneratorSource:
    """The built-in stream as a source, in one partition.

    Raises :class:`SettingsError` for ``until_end`` without a count, which never ends.
    """

    name = GENERATOR

    def __init__(
        self,
        spec: GeneratorSpec,
        credits: Credits,  # noqa: A002 (their proper name)
        stop: StopFlag,
        *,
        until_end: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if until_end and spec.count == 0:
            raise SettingsError("generator.count must be given to run until the end: the stream has none")
        PostGenerator(spec, spec.begin(datetime.now(UTC)))
        self._spec = spec
        self._credits = credits
        self._stop = stop
        self._until_end = until_end
        self._clock = clock

    def partitions(self) -> list[str]:
        """A single one, ``00``."""
        return ["00"]

    def open(self, partition: str, resume_state: Any | None) -> GeneratorPartition:  # noqa: ARG002 (there is one)
        gate = BatchGate(self.name, self._credits, self._stop)
        return GeneratorPartition(self._spec, resume_state, gate, self._until_end, self._clock)


class GeneratorPartition(PostPartition[GeneratorState]):
    """Emits the posts that are due by the clock."""

    def __init__(
        self,
        spec: GeneratorSpec,
        resume_state: GeneratorState | None,
        gate: BatchGate,
        until_end: bool,
        clock: Callable[[], float],
    ) -> None:
        self._spec = spec
        self._gate = gate
        self._until_end = until_end
        self._clock = clock
        self._ordinal = 0
        self._start = spec.begin(datetime.fromtimestamp(clock(), UTC))
        if resume_state is not None:
            self._ordinal = resume_state["ordinal"]
            if spec.start is None:
                self._start = datetime.fromisoformat(resume_state["start"])
        self._generator = PostGenerator(spec, self._start)
        # A live stream makes up for the time it was down, as a firehose would; any other goes on at its pace.
        self._zero = self._start.timestamp() if spec.live else clock() - self._ordinal / (spec.rate or 1)

    def next_batch(self) -> list[RawBatch]:
        if self._gate.closed():
            return []
        first = self._ordinal
        if self._exhausted:
            if self._until_end:
                raise EndOfInput
            self._gate.pause()
            return []
        last = min(first + BATCH_RECORDS, self._due(), self._spec.count or first + BATCH_RECORDS)
        if last <= first:
            self._gate.pause()
            return []
        values = self._generator.values(first, last)
        self._ordinal = last
        return self._gate.emit(RawBatch(GENERATOR, 0, list(range(first, last)), values))

    def next_awake(self) -> datetime | None:
        return self._gate.awake

    def emptiness(self, now: float) -> Emptiness | None:
        """Only a stream that has made all of its posts is empty; one that waits for its next is not."""
        return Emptiness(float("-inf"), now) if self._exhausted else None

    @property
    def _exhausted(self) -> bool:
        return bool(self._spec.count) and self._ordinal >= self._spec.count

    def snapshot(self) -> GeneratorState:
        return {"ordinal": self._ordinal, "start": self._start.isoformat()}

    def _due(self) -> int:
        """The ordinal before which all posts are due."""
        if self._spec.rate == 0:
            return self._ordinal + BATCH_RECORDS
        return int((self._clock() - self._zero) * self._spec.rate) + 1
