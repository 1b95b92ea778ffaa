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


_HIDDEN = frozenset({"sasl_password", "ssl_key_password", "password", "sentinel_password", "api_key"})


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


class Sources(_Section, frozen=True):
    """Which sources feed the flow, and how far they read ahead."""

    #: The sources, side by side.
    use: tuple[Literal["kafka", "files", "generator"], ...] = ("generator",)
    #: Most records read and not yet handed to the stores, per process.
    credit_records: Positive = 20_000
    #: Most bytes of such records.
    credit_bytes: Positive = 64 * 1024 * 1024


class Kafka(_Section, frozen=True):
    """The broker and its topics; ``client`` passes any librdkafka setting through."""

    #: Brokers to begin with, ``host:port`` separated by commas.
    bootstrap_servers: str = "localhost:9092"
    #: Topic that is read.
    topic: str = "posts"
    #: Topic that dead letters go to.
    dead_topic: str = "posts.dead"
    #: Compacted topic that the events of trends go to, made when it is missing; empty means none.
    trends_topic: str = "trends"
    #: Consumer group under which offsets are committed for lag tools.
    group: str = "groundswell"
    #: Where a partition without a stored offset begins.
    start: Literal["earliest", "latest"] = "earliest"
    #: A stored offset that the broker no longer has: go on at the earliest, or stop.
    on_expired: Literal["earliest", "fail"] = "earliest"
    #: Any setting of librdkafka, such as ``"security.protocol"``.
    client: dict[str, str | int | float | bool] = {}
    #: Password of ``client."sasl.username"``.
    sasl_password: str = ""
    #: Password of ``client."ssl.key.location"``.
    ssl_key_password: str = ""


class Files(_Section, frozen=True):
    """Files, globs and folders (a folder is watched) with posts."""

    #: Files, globs and folders; a folder is watched.
    paths: tuple[str, ...] = ()
    #: Character encoding of CSV and JSON files.
    encoding: str = "utf-8"
    #: Column separator of CSV files; empty means: look.
    delimiter: Annotated[str, Meta(max_length=1)] = ""
    #: Files read side by side; fixed for the life of the recovery store.
    lanes: Annotated[int, Meta(ge=1, le=64)] = 4


class Burst(_Section, frozen=True):
    """A planted burst of one hashtag in the generator's stream."""

    #: The hashtag.
    tag: str
    #: Seconds after the stream's start.
    start: Annotated[float, Meta(ge=0)]
    #: How long it lasts, in seconds.
    duration: Seconds
    #: Share of posts that carry the tag while it lasts.
    share: Share = 0.3


class Generator(_Section, frozen=True):
    """The built-in stream of invented posts."""

    #: The same seed gives the same posts.
    seed: int = 1
    #: Posts per second; 0 means as fast as they are taken.
    rate: Annotated[float, Meta(ge=0)] = 100.0
    #: Posts in all; 0 means without end.
    count: NotNegative = 0
    #: Time of the first post (RFC 3339); empty means now.
    start: str = ""
    #: Seconds of event time over which ``count`` posts are spread; 0 means wall time.
    span: Annotated[float, Meta(ge=0)] = 0.0
    #: Number of different hashtags.
    tags: Positive = 2_000
    #: Exponent of the Zipf distribution that hashtags are drawn from.
    zipf: Annotated[float, Meta(gt=1)] = 1.3
    #: Share of records that are broken on purpose.
    malformed: Share = 0.0
    #: Planted bursts of one hashtag each.
    bursts: tuple[Burst, ...] = ()


class Mapping(_Section, frozen=True):
    """Where the generic decoder finds a post's fields (dotted paths)."""

    #: Id of the post; required.
    id: str = "id"
    #: Name of the network or site.
    source: str = "source"
    #: Author; may be missing.
    author: str = "author"
    #: Text; required.
    text: str = "text"
    #: Time of the post; required.
    created_at: str = "created_at"
    #: Language, a BCP 47 tag.
    lang: str = "lang"
    #: List of hashtags; without it they are taken from the text.
    hashtags: str = "hashtags"
    #: Address of the post.
    url: str = "url"
    #: Id of the post that it answers.
    reply_to: str = "reply_to"
    #: Id of the post that it repeats.
    repost_of: str = "repost_of"
    #: Source name of posts that carry none.
    default_source: Name = "posts"
    #: strptime formats tried after RFC 3339 and Unix times.
    date_formats: tuple[str, ...] = ()
    #: Take the time from the id, which is a Twitter id.
    time_from_twitter_id: bool = False


class Decode(_Section, frozen=True):
    """How records become posts, and which posts are refused."""

    #: Shape of the records; ``auto`` looks at each.
    shape: Literal["auto", "twitter_v1", "twitter_v2", "mastodon", "bluesky", "sentiment140", "generic"] = "auto"
    #: Longest time that a post may be dated into the future, in seconds.
    max_future: Seconds = 86_400.0
    #: Posts dated before this day are refused.
    floor: date = date(2006, 1, 1)
    #: Largest record, in bytes.
    max_record_bytes: Positive = 8 * 1024 * 1024
    #: Where the ``generic`` shape finds its fields.
    mapping: Mapping = Mapping()


class Documents(_Section, frozen=True):
    """The document store."""

    #: ``sqlite:///relative``, ``sqlite:////absolute`` or ``http(s)://host:port``; empty
    #: means ``<data_dir>/documents.db``.
    url: str = ""
    #: Read alias and prefix of the indices.
    alias: Name = "posts"
    #: Index of the trends; jobs that share a cluster need one each.
    trends_index: Name = "trends"
    #: One index a week, a month, or one for all.
    interval: Literal["week", "month", "none"] = "week"
    #: Most documents in one bulk request.
    bulk_documents: Positive = 2_000
    #: Most bytes in one bulk request, before compression.
    bulk_bytes: Positive = 4 * 1024 * 1024
    #: Bulk requests in flight per sink.
    in_flight: Annotated[int, Meta(ge=1, le=32)] = 2
    #: Compress requests.
    compress: bool = True
    #: Longest time for one request, in seconds.
    timeout: Seconds = 60.0
    #: Primary shards of a new index.
    shards: Positive = 1
    #: Replicas of a new index.
    replicas: NotNegative = 1
    #: File with the certificate authorities to trust; empty means the system's.
    ca_certs: str = ""
    #: User of the store.
    username: str = ""
    #: Password of ``username``.
    password: str = ""
    #: API key, instead of user and password.
    api_key: str = ""


class Redis(_Section, frozen=True):
    """Windowed state for people and other jobs."""

    #: ``embedded``, or an address: ``redis://host:port/database``, ``unix:///path``,
    #: ``redis+sentinel://host:port,host:port/master?db=0`` (any sentinels, and the name they know
    #: the master by) or ``redis+cluster://host:port,host:port`` (any nodes). ``rediss`` instead of
    #: ``redis`` encrypts. Empty turns it off.
    url: str = "embedded"
    #: Prepended to every key. On a cluster it must hold a hash tag in braces (``{groundswell}:``),
    #: so that all keys lie in one slot.
    prefix: str = ""
    #: User of the server (ACL).
    username: str = ""
    #: Password of the server.
    password: str = ""
    #: User of the sentinels.
    sentinel_username: str = ""
    #: Password of the sentinels.
    sentinel_password: str = ""
    #: File with the certificate authorities to trust; empty means the system's.
    ca_certs: str = ""
    #: File with the client's own certificate, where the server wants one.
    client_cert: str = ""
    #: File with the key of ``client_cert``.
    client_key: str = ""


class Detection(_Section, frozen=True):
    """What begins to trend, and when it has ended."""

    #: Whether trends are looked for, or tags only counted.
    enabled: bool = True
    #: The recent past that is compared with what was before, in seconds.
    recent: Positive = 300
    #: Time after which a tag's past beyond the window counts half, in seconds.
    half_life: Positive = 21_600
    #: Growth of a tag's share of the stream that is no burst.
    tolerated_growth: Annotated[float, Meta(ge=1)] = 2.0
    #: Burst score from which on a tag trends: minus the decimal logarithm of a significance.
    start_score: Annotated[float, Meta(gt=0)] = 6.0
    #: Burst score below which a trend comes to its end.
    stop_score: Annotated[float, Meta(gt=0)] = 2.0
    #: For how long the score must stay below it, in seconds.
    hold: NotNegative = 300
    #: Fewest posts in the window.
    min_count: Positive = 15
    #: Fewest distinct authors in the window.
    min_authors: Positive = 8
    #: Smallest share of distinct authors among the posts.
    min_author_share: Share = 0.1
    #: Accounts that may act as one: a trend begins with more distinct authors than such a ring would show.
    ring: Annotated[int, Meta(ge=1)] = 60
    #: Most trends at a time; the weakest leaves first.
    max_active: Positive = 50
    #: Sample posts that a trend carries.
    samples: NotNegative = 300
    #: Most sample posts held for all tags that may trend, per shard.
    max_samples: Positive = 6_000
    #: An active trend says again what it is at least this often, in seconds.
    refresh: Positive = 60


class Trends(_Section, frozen=True):
    """Sliding windows over event time, and the trends in them."""

    #: Whether hashtags are counted at all.
    enabled: bool = True
    #: Size of the window, in seconds; at most 366 days.
    window: Annotated[int, Meta(ge=1, le=31_622_400)] = 1_800
    #: Time between two windows, in seconds.
    slide: Positive = 10
    #: Tags of a window that are reported.
    top: Positive = 20
    #: How much older than the newest post of its partition a post may be, in seconds.
    disorder: Annotated[float, Meta(ge=0)] = 10.0
    #: How long a window is corrected for posts that are older than that, in seconds.
    lateness: NotNegative = 60
    #: A partition that had nothing new for this long holds nobody up, in seconds.
    idle_timeout: Seconds = 30.0
    #: When no partition has anything new, let event time move on by the wall time that passes.
    advance_when_idle: bool = True
    #: Whether a repost counts the tags of its original.
    count_original: bool = True
    #: A post whose id was counted with a time up to this much earlier is not counted again, in seconds.
    dedupe_horizon: NotNegative = 300
    #: Tags per shard (of 16) up to which every count is exact.
    max_live_tags: Positive = 250_000
    #: How long the windows in Redis are kept, in seconds by the clock and by event time alike.
    window_ttl: Positive = 86_400
    #: What begins to trend.
    detection: Detection = Detection()


class DeadLetters(_Section, frozen=True):
    """Where records go that cannot become documents, and how many are too many."""

    #: ``kafka``, ``sqlite``, or empty: as the documents and sources suggest.
    store: Literal["", "kafka", "sqlite"] = ""
    #: Above this share of the last ``window`` records the job stops with a reason.
    max_share: Share = 0.5
    #: Last records over which that share is taken.
    window: Positive = 10_000


class Models(_Section, frozen=True):
    """The models that read posts, and the device that runs them."""

    #: Model repository: a folder or an ``fsspec`` URL (``s3://``, ``gs://``); empty means the one that is shipped.
    repository: str = ""
    #: Where verified copies of a remote repository lie; empty means ``<data_dir>/models``.
    cache: str = ""
    #: ``name@alias`` or ``name@version`` of the model that reads every post; empty turns models off.
    posts: str = "sentiment-baseline@champion"
    #: Precision of the graph: ``auto`` takes ``int8`` on a processor and ``fp16`` on a GPU where the version has it.
    precision: Literal["auto", "fp32", "fp16", "int8"] = "auto"
    #: Execution provider; the job does not start on another one.
    provider: Literal["cpu", "cuda", "tensorrt"] = "cpu"
    #: Number of the GPU.
    device: NotNegative = 0
    #: Threads of the model runtime on a processor; 0 means what the machine grants.
    threads: NotNegative = 0
    #: Where TensorRT keeps its engines; empty means ``<data_dir>/engines``.
    engine_cache: str = ""
    #: Lengths, in tokens, that batches are padded to; empty means the built-in ones.
    buckets: tuple[Positive, ...] = ()
    #: Tokens of one batch, padding included; 0 means what suits the provider.
    batch_tokens: NotNegative = 0
    #: Longest time that a text waits for others to fill its batch while the device is idle, in seconds.
    linger: Annotated[float, Meta(ge=0, le=1)] = 0.002
    #: Rows that may wait for the device; who submits more is held.
    queue_rows: Positive = 16_384
    #: File through which engines that share a device tell each other how long live texts wait; empty means
    #: ``<data_dir>/live-latency``.
    live_latency: str = ""
    #: Seconds between two looks at the aliases of the repository; 0 never looks again.
    refresh: Annotated[float, Meta(ge=0)] = 2.0
    #: Share of posts that the alias ``candidate`` reads, where there is one.
    canary: Share = 0.0
    #: Posts behind each measurement of drift.
    drift_rows: Annotated[int, Meta(ge=100)] = 2_000
    #: PSI above which a new champion counts as drifted.
    drift_limit: Annotated[float, Meta(gt=0)] = 0.25
    #: Go back to the previous champion by itself when the new one drifts.
    roll_back: bool = False


class Observability(_Section, frozen=True):
    """Metrics, health and logs."""

    #: Address on which ``/metrics``, ``/healthz`` and ``/readyz`` are served.
    host: str = "127.0.0.1"
    #: Their port; process *i* takes port + *i*. 0 turns them off.
    port: Port = 9464
    #: Log lines for people or for machines.
    log_format: Literal["text", "json"] = "text"
    #: Least severe level that is logged.
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
    trends: Trends = Trends()
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
        "redis.sentinel_password",
    }
)

#: Spellings under which librdkafka would take a secret through ``kafka.client``.
SECRET_CLIENT_KEYS = frozenset(
    {"sasl.password", "ssl.key.password", "ssl.keystore.password", "sasl.oauthbearer.client.secret", "ssl.key.pem"}
)
