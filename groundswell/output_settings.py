"""Settings of where documents, trends, dead letters, metrics and logs go."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from groundswell.section import Name, NotNegative, Port, Positive, Seconds, Section, Share


class Documents(Section, frozen=True):
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


class Redis(Section, frozen=True):
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


class DeadLetters(Section, frozen=True):
    """Where records go that cannot become documents, and how many are too many."""

    #: ``kafka``, ``sqlite``, or empty: as the documents and sources suggest.
    store: Literal["", "kafka", "sqlite"] = ""
    #: Above this share of the last ``window`` records the job stops with a reason.
    max_share: Share = 0.5
    #: Last records over which that share is taken.
    window: Positive = 10_000


class Observability(Section, frozen=True):
    """Metrics, health and logs."""

    #: Address on which ``/metrics``, ``/healthz`` and ``/readyz`` are served.
    host: str = "127.0.0.1"
    #: Their port; process *i* takes port + *i*. 0 turns them off.
    port: Port = 9464
    #: Log lines for people or for machines.
    log_format: Literal["text", "json"] = "text"
    #: Least severe level that is logged.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
