"""Settings of what is read: sources, brokers, files, and how records are decoded."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from groundswell.section import Name, NotNegative, Positive, Seconds, Section, Share


class Sources(Section, frozen=True):
    """Which sources feed the flow, and how far they read ahead."""

    #: The sources, side by side.
    use: tuple[Literal["kafka", "files", "generator"], ...] = ("generator",)
    #: Most records read and not yet handed to the stores, per process.
    credit_records: Positive = 20_000
    #: Most bytes of such records.
    credit_bytes: Positive = 64 * 1024 * 1024


class Kafka(Section, frozen=True):
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
    client: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    #: Password of ``client."sasl.username"``.
    sasl_password: str = ""
    #: Password of ``client."ssl.key.location"``.
    ssl_key_password: str = ""


class Files(Section, frozen=True):
    """Files, globs and folders (a folder is watched) with posts."""

    #: Files, globs and folders; a folder is watched.
    paths: tuple[str, ...] = ()
    #: Character encoding of CSV and JSON files.
    encoding: str = "utf-8"
    #: Column separator of CSV files; empty means: look.
    delimiter: Annotated[str, Meta(max_length=1)] = ""
    #: Files read side by side; fixed for the life of the recovery store.
    lanes: Annotated[int, Meta(ge=1, le=64)] = 4


class Burst(Section, frozen=True):
    """A planted burst of one hashtag in the generator's stream."""

    #: The hashtag.
    tag: str
    #: Seconds after the stream's start.
    start: Annotated[float, Meta(ge=0)]
    #: How long it lasts, in seconds.
    duration: Seconds
    #: Share of posts that carry the tag while it lasts.
    share: Share = 0.3


class Generator(Section, frozen=True):
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


class Mapping(Section, frozen=True):
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


class Decode(Section, frozen=True):
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
