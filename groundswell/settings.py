"""The settings: every key, its type, its range and its default.

Frozen structs: tables of what is read, what is made of it and where it goes lie in files of
their own beside this one. :mod:`connectors.configuration` fills them from a TOML file, the
environment and the command line. A secret (:data:`SECRETS`) never comes from the TOML file
and never appears in a ``repr``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from groundswell.analysis_settings import Models, Reclassify, Trends
from groundswell.input_settings import Decode, Files, Generator, Kafka, Sources
from groundswell.output_settings import DeadLetters, Documents, Observability, Redis
from groundswell.section import Name, NotNegative, Seconds, Section


class Job(Section, frozen=True):
    """The process layout, recovery and what to do about crashes."""

    #: Names the job where several share a Redis.
    name: Name = "posts"
    #: Where recovery, documents and everything else of the embedded default live.
    data_dir: str = "groundswell-data"
    #: Worker threads in each process.
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    #: Processes that ``groundswell run`` starts on this machine.
    processes: Annotated[int, Meta(ge=1, le=32)] = 1
    #: ``host:port`` of every process of a cluster that spans machines, in order.
    addresses: tuple[str, ...] = ()
    #: This process's place in ``addresses``.
    process_index: Annotated[int, Meta(ge=0, le=31)] = 0
    #: Time between two snapshots, in seconds; also how much is replayed after a crash.
    epoch_interval: Seconds = 1.0
    #: Recovery store; empty means ``<data_dir>/recovery``.
    recovery_dir: str = ""
    #: Fixed when the recovery store is made.
    recovery_partitions: Annotated[int, Meta(ge=1, le=64)] = 4
    #: Longest time to drain after SIGTERM, in seconds.
    drain_timeout: Seconds = 30.0
    #: Restarts without progress before the supervisor gives up.
    max_restarts: NotNegative = 5
    #: The first wait before a restart, in seconds; each further one is twice as long.
    restart_backoff: Seconds = 0.5
    #: The longest wait before a restart, in seconds.
    restart_backoff_max: Seconds = 30.0
    #: A record that crashes the job again and again: stop, or move it to the dead letters.
    on_crash: Literal["stop", "quarantine"] = "stop"
    #: Crashes on the same records before ``on_crash`` applies.
    crashes_to_blame: Annotated[int, Meta(ge=1)] = 2
    #: An epoch older than this without a dependency to wait for is a stall, in seconds.
    stall_after: Seconds = 60.0


class Settings(Section, frozen=True):
    """The whole file."""

    job: Job = Job()
    sources: Sources = Sources()
    kafka: Kafka = Kafka()
    files: Files = Files()
    generator: Generator = Generator()
    decode: Decode = Decode()
    documents: Documents = Documents()
    redis: Redis = Redis()
    trends: Trends = Trends()
    dead_letters: DeadLetters = DeadLetters()
    models: Models = Models()
    reclassify: Reclassify = Reclassify()
    observability: Observability = Observability()


#: Keys that come from the environment or from a file named there only.
SECRETS = frozenset(
    {
        "kafka.sasl_password",
        "kafka.ssl_key_password",
        "documents.password",
        "documents.api_key",
        "redis.password",
        "redis.sentinel_password",
    }
)

#: Spellings under which librdkafka would take a secret through ``kafka.client``.
SECRET_CLIENT_KEYS = frozenset(
    {"sasl.password", "ssl.key.password", "ssl.keystore.password", "sasl.oauthbearer.client.secret", "ssl.key.pem"}
)
