"""The settings: every key, its type, its range and its default, in one place.

Frozen structs; :mod:`connectors.configuration` fills them from a TOML file, the
environment and the command line. A secret (:data:`SECRETS`) never comes from the
TOML file and never appears in a ``repr``.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(gt=0)]
NotNegative = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=200)]


_HIDDEN = frozenset({"sasl_password", "ssl_key_password", "password", "api_key"})


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the settings file; secrets are masked when it is shown."""

    def __repr__(self) -> str:
        shown = (
            f"{name}={'***' if name in _HIDDEN and value else repr(value)}"
            for name, value in ((name, getattr(self, name)) for name in self.__struct_fields__)
        )
        return f"{type(self).__name__}({', '.join(shown)})"


class Job(_Section, frozen=True):
    """The process layout, recovery and what to do about crashes."""

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
    #: First and longest wait before a restart, in seconds; it doubles in between.
    restart_backoff: Seconds = 0.5
    restart_backoff_max: Seconds = 30.0
    #: A record that crashes the job again and again: stop, or move it to the dead letters.
    on_crash: Literal["stop", "quarantine"] = "stop"
    #: Crashes on the same records before ``on_crash`` applies.
    crashes_to_blame: Annotated[int, Meta(ge=1)] = 2
    #: An epoch older than this without a dependency to wait for is a stall, in seconds.
    stall_after: Seconds = 60.0


class Sources(_Section, frozen=True):
    """Which sources feed the flow, and how far they read ahead."""

    use: tuple[Literal["kafka", "files", "generator"], ...] = ("generator",)
    #: Records and bytes read and not yet handed to the stores, per process.
    credit_records: Positive = 20_000
    credit_bytes: Positive = 64 * 1024 * 1024


class Kafka(_Section, frozen=True):
    """The broker and its topics; ``client`` passes any librdkafka setting through."""

    bootstrap_servers: str = "localhost:9092"
    topic: str = "posts"
    dead_topic: str = "posts.dead"
    group: str = "groundswell"
    #: Where a partition without a stored offset begins.
    start: Literal["earliest", "latest"] = "earliest"
    #: A stored offset that the broker no longer has: go on at the earliest, or stop.
    on_expired: Literal["earliest", "fail"] = "earliest"
    client: dict[str, str | int | float | bool] = {}
    sasl_password: str = ""
    ssl_key_password: str = ""


class Files(_Section, frozen=True):
    """Files, globs and folders (a folder is watched) with posts."""

    paths: tuple[str, ...] = ()
    encoding: str = "utf-8"
    #: Column separator of CSV files; empty means: look.
    delimiter: Annotated[str, Meta(max_length=1)] = ""
    #: Files read side by side; fixed for the life of the recovery store.
    lanes: Annotated[int, Meta(ge=1, le=64)] = 4


class Burst(_Section, frozen=True):
    """A planted burst of one hashtag in the generator's stream."""

    tag: str
    #: Seconds after the stream's start, and how long it lasts.
    start: Annotated[float, Meta(ge=0)]
    duration: Seconds
    #: Share of posts that carry the tag while it lasts.
    share: Share = 0.3


class Generator(_Section, frozen=True):
    """The built-in stream of invented posts."""

    seed: int = 1
    #: Posts per second; 0 means as fast as they are taken.
    rate: Annotated[float, Meta(ge=0)] = 100.0
    #: Posts in all; 0 means without end.
    count: NotNegative = 0
    #: Time of the first post (RFC 3339); empty means now.
    start: str = ""
    #: Seconds of event time over which ``count`` posts are spread; 0 means wall time.
    span: Annotated[float, Meta(ge=0)] = 0.0
    #: Different hashtags, drawn from a Zipf distribution with this exponent.
    tags: Positive = 2_000
    zipf: Annotated[float, Meta(gt=1)] = 1.3
    #: Share of records that are broken on purpose.
    malformed: Share = 0.0
    bursts: tuple[Burst, ...] = ()


class Mapping(_Section, frozen=True):
    """Where the generic decoder finds a post's fields (dotted paths)."""

    id: str = "id"
    source: str = "source"
    author: str = "author"
    text: str = "text"
    created_at: str = "created_at"
    lang: str = "lang"
    hashtags: str = "hashtags"
    url: str = "url"
    reply_to: str = "reply_to"
    repost_of: str = "repost_of"
    #: Source name of posts that carry none.
    default_source: Name = "posts"
    #: strptime formats tried after RFC 3339 and Unix times.
    date_formats: tuple[str, ...] = ()
    #: Take the time from the id, which is a Twitter id.
    time_from_twitter_id: bool = False


class Decode(_Section, frozen=True):
    """How records become posts, and which posts are refused."""

    shape: Literal["auto", "twitter_v1", "twitter_v2", "mastodon", "bluesky", "sentiment140", "generic"] = "auto"
    #: Longest time that a post may be dated into the future, in seconds.
    max_future: Seconds = 86_400.0
    #: Posts dated before this day are refused.
    floor: date = date(2006, 1, 1)
    #: Largest record, in bytes.
    max_record_bytes: Positive = 8 * 1024 * 1024
    mapping: Mapping = Mapping()


class Documents(_Section, frozen=True):
    """The document store."""

    #: ``sqlite:///relative``, ``sqlite:////absolute`` or ``http(s)://host:port``; empty
    #: means ``<data_dir>/documents.db``.
    url: str = ""
    #: Read alias and prefix of the indices.
    alias: Name = "posts"
    #: One index a week, a month, or one for all.
    interval: Literal["week", "month", "none"] = "week"
    bulk_documents: Positive = 2_000
    bulk_bytes: Positive = 4 * 1024 * 1024
    #: Bulk requests in flight per sink.
    in_flight: Annotated[int, Meta(ge=1, le=32)] = 2
    compress: bool = True
    timeout: Seconds = 60.0
    shards: Positive = 1
    replicas: NotNegative = 1
    ca_certs: str = ""
    username: str = ""
    password: str = ""
    api_key: str = ""


class Redis(_Section, frozen=True):
    """Windowed state for people and other jobs."""

    #: ``embedded``, or a ``redis://``, ``rediss://`` or ``unix://`` address; empty turns it off.
    url: str = "embedded"
    #: Prepended to every key.
    prefix: str = ""
    username: str = ""
    password: str = ""


class DeadLetters(_Section, frozen=True):
    """Where records go that cannot become documents, and how many are too many."""

    #: ``kafka``, ``sqlite``, or empty: as the documents and sources suggest.
    store: Literal["", "kafka", "sqlite"] = ""
    #: Above this share of the last ``window`` records the job stops with a reason.
    max_share: Share = 0.5
    window: Positive = 10_000


class Models(_Section, frozen=True):
    """The models that score posts."""

    #: Model repository; empty means the one that is shipped.
    repository: str = ""
    #: ``name@alias`` or ``name@version`` of the sentiment model; empty turns it off.
    sentiment: str = "sentiment-baseline@champion"
    #: Threads of the model runtime; 0 means what the machine grants.
    threads: NotNegative = 0


class Observability(_Section, frozen=True):
    """Metrics, health and logs."""

    #: Host and port of ``/metrics``, ``/healthz`` and ``/readyz``; process *i* takes
    #: port + *i*. Port 0 turns them off.
    host: str = "127.0.0.1"
    port: Port = 9464
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class Settings(_Section, frozen=True):
    """The whole file."""

    job: Job = Job()
    sources: Sources = Sources()
    kafka: Kafka = Kafka()
    files: Files = Files()
    generator: Generator = Generator()
    decode: Decode = Decode()
    documents: Documents = Documents()
    redis: Redis = Redis()
    dead_letters: DeadLetters = DeadLetters()
    models: Models = Models()
    observability: Observability = Observability()


#: Keys that come from the environment or from a file named there only.
SECRETS = frozenset(
    {
        "kafka.sasl_password",
        "kafka.ssl_key_password",
        "documents.password",
        "documents.api_key",
        "redis.password",
    }
)

#: Spellings under which librdkafka would take a secret through ``kafka.client``.
SECRET_CLIENT_KEYS = frozenset(
    {"sasl.password", "ssl.key.password", "ssl.keystore.password", "sasl.oauthbearer.client.secret", "ssl.key.pem"}
)
