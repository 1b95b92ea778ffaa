"""The sources that the settings name."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from connectors.credits import Credits
from connectors.dead_letter_source import DeadLetterSource
from connectors.file_formats import FileOptions
from connectors.file_source import FileSource
from connectors.generator import Burst, GeneratorSource, GeneratorSpec
from connectors.kafka_source import KafkaSource
from connectors.source import PostSource
from dataflows.assembly import kafka_client, open_sqlite_dead_letters
from groundswell.settings import Settings
from groundswell.waits import Waits


def open_sources(
    settings: Settings,
    credits: Credits,  # noqa: A002 (their proper name)
    stop: threading.Event,
    waits: Waits,
    *,
    until_end: bool,
) -> list[PostSource]:
    """Every source of ``sources.use``, in its order."""

    def kafka() -> PostSource:
        return KafkaSource(
            settings.kafka.bootstrap_servers,
            [settings.kafka.topic],
            settings.kafka.group,
            credits,
            stop,
            waits,
            start=settings.kafka.start,
            on_expired=settings.kafka.on_expired,
            until_end=until_end,
            client=kafka_client(settings),
        )

    def files() -> PostSource:
        options = FileOptions(encoding=settings.files.encoding, delimiter=settings.files.delimiter)
        return FileSource(
            settings.files.paths,
            credits,
            stop,
            waits,
            lanes=settings.files.lanes,
            until_end=until_end,
            options=options,
        )

    def generator() -> PostSource:
        return GeneratorSource(generator_spec(settings), credits, stop, until_end=until_end)

    known = {"kafka": kafka, "files": files, "generator": generator}
    return [known[name]() for name in settings.sources.use]


def generator_spec(settings: Settings) -> GeneratorSpec:
    """The stream that the built-in generator makes."""
    generator = settings.generator
    start = datetime.fromisoformat(generator.start) if generator.start else None
    if start and not start.tzinfo:
        start = start.replace(tzinfo=UTC)
    return GeneratorSpec(
        seed=generator.seed,
        rate=generator.rate,
        count=generator.count,
        start=start,
        span=generator.span,
        tags=generator.tags,
        zipf=generator.zipf,
        malformed=generator.malformed,
        bursts=tuple(Burst(burst.tag, burst.start, burst.duration, burst.share) for burst in generator.bursts),
    )


def open_replay(
    settings: Settings,
    credits: Credits,  # noqa: A002 (their proper name)
    stop: threading.Event,
    waits: Waits,
    mark: int,
) -> DeadLetterSource:
    """The dead letters that were chosen for another try, in the embedded store."""
    return DeadLetterSource(open_sqlite_dead_letters(settings, waits), credits, stop, mark)
