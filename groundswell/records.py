"""What flows through the job: raw records, posts, documents and dead letters.

All times are timezone-aware datetimes in UTC. Provenance is always the triple
``(stream, partition, offset)``: the Kafka topic, partition and offset, or for a
file its path, 0 and the ordinal of the record, with ``index`` the ordinal of a
post inside a record that wraps several.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from hashlib import blake2b

import msgspec

from groundswell.topics import Classification

#: First bytes of the record that stands for what a source could not read; the reason is the rest of its first line.
UNREADABLE = b"unreadable: "


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a post came from; two posts never share one."""

    stream: str
    partition: int
    offset: int
    index: int = 0

    @property
    def key(self) -> str:
        """The identity of a dead letter.

        >>> Origin("posts", 3, 1207).key, Origin("posts", 3, 1207, 2).key
        ('posts/3/1207', 'posts/3/1207#2')
        """
        base = f"{self.stream}/{self.partition}/{self.offset}"
        return f"{base}#{self.index}" if self.index else base

    @classmethod
    def from_key(cls, key: str) -> Origin:
        """The origin that has this key; raises ``ValueError`` when none can.

        >>> Origin.from_key("feed/a.json/0/12#2")
        Origin(stream='feed/a.json', partition=0, offset=12, index=2)
        """
        stream, partition, position = key.rsplit("/", 2)
        offset, _, index = position.partition("#")
        return cls(stream, int(partition), int(offset), int(index or 0))


class Mark(msgspec.Struct, frozen=True, gc=False):
    """What a source says of a partition instead of a record.

    ``idle_for`` are the seconds of wall time for which the partition, read up to its
    end, has had nothing new, 0 when that is no longer known; ``ended`` says that its input is finite and was read
    whole. With neither, the partition takes back that it had nothing: its input does not answer.
    """

    idle_for: float = 0.0
    ended: bool = False


class RawBatch(msgspec.Struct, gc=False):
    """Consecutive undecoded records of one partition, as a source emits them.

    ``offsets`` and ``values`` run in parallel. ``shape`` is set when the source
    already knows the decoder (a CSV with a known header); ``replayed`` maps a
    position in ``values`` to the original :class:`Origin` of a replayed dead letter.
    ``part`` is the partition's key among all inputs of the job (``kafka/posts/00003``);
    with a ``mark`` the batch holds no records.
    """

    stream: str
    partition: int
    offsets: list[int]
    values: list[bytes]
    shape: str | None = None
    replayed: dict[int, Origin] | None = None
    part: str = ""
    mark: Mark | None = None

    @property
    def size(self) -> int:
        """Bytes held by the values."""
        return sum(map(len, self.values))


class Geo(msgspec.Struct, frozen=True, gc=False):
    """A point in degrees, in the field order of an Elasticsearch ``geo_point``."""

    lat: float
    lon: float


class Post(msgspec.Struct, gc=False, omit_defaults=True):
    """One post or article, decoded and validated.

    ``hashtags`` are normalised (NFKC, case folded, no ``#``), distinct, in order
    of appearance. For a repost, ``repost_of`` is the id of the original and
    ``original_hashtags`` are the original's tags.
    """

    id: str
    source: str
    text: str
    created_at: datetime
    author: str | None = None
    lang: str | None = None
    hashtags: tuple[str, ...] = ()
    url: str | None = None
    reply_to: str | None = None
    repost_of: str | None = None
    geo: Geo | None = None
    original_hashtags: tuple[str, ...] = ()


class Deletion(msgspec.Struct, frozen=True, gc=False):
    """The author removed a post: its document goes too."""

    source: str
    id: str


class DeadLetter(msgspec.Struct, gc=False):
    """A record that cannot become a document, with its raw bytes unchanged."""

    origin: Origin
    step: str
    cause: str
    detail: str
    time: datetime
    value: bytes

    @property
    def key(self) -> str:
        return self.origin.key


class Scores(msgspec.Struct, frozen=True, gc=False):
    """A classification: the best label, its probability, and every label's probability."""

    label: str
    score: float
    scores: dict[str, float]


class ModelRef(msgspec.Struct, frozen=True, gc=False):
    """The model and version that made an analysis."""

    name: str
    version: str


class Analysis(msgspec.Struct, gc=False):
    """What one version of a model says of one text, or of one pair of texts.

    ``scores`` holds a classification for each task that was asked for. ``embedding`` is a
    direction, quantised to one signed byte a dimension; only embeddings of one
    ``embedding_space`` may be compared. ``truncated`` says that the model did not see all of it.
    """

    model: ModelRef
    scores: dict[str, Scores]
    embedding: bytes | None = None
    embedding_space: str | None = None
    truncated: bool = False


class Document(msgspec.Struct, gc=False, omit_defaults=True):
    """A post as it is indexed; its fields are the whole of the strict mapping.

    ``embedding`` is hexadecimal: one signed byte a dimension. ``classification`` holds by tag how
    probably it is about that tag, and lies in a field for each (:func:`~groundswell.topics.field_of`);
    ``topics`` are the tags of them that it is a member of.
    """

    id: str
    source: str
    text: str
    created_at: datetime
    indexed_at: datetime
    author: str | None = None
    lang: str | None = None
    hashtags: tuple[str, ...] = ()
    url: str | None = None
    reply_to: str | None = None
    repost_of: str | None = None
    geo: Geo | None = None
    sentiment: Scores | None = None
    emotion: Scores | None = None
    embedding: str | None = None
    embedding_space: str | None = None
    model: ModelRef | None = None
    truncated: bool = False
    topics: tuple[str, ...] = ()
    classification: dict[str, Classification] = {}


class Envelope(msgspec.Struct, gc=False):
    """A post on its way through the flow, with what a dead letter would need."""

    origin: Origin
    raw: bytes
    post: Post
    document: Document | None = None


class Batch(msgspec.Struct, gc=False):
    """What became of one :class:`RawBatch`, from the decode step to the sinks.

    ``changes`` keeps posts and deletions in the order of the stream. ``records``
    and ``size`` are the credits to give back once the batch is done. ``span`` is the
    first and the last offset of the raw records: the origins of replayed ones lie elsewhere.
    ``part`` and ``mark`` are the raw batch's own.
    """

    stream: str
    partition: int
    records: int
    size: int
    changes: list[Envelope | Deletion]
    dead: list[DeadLetter]
    skipped: Counter[str]
    span: tuple[int, int] | None = None
    part: str = ""
    mark: Mark | None = None


def analysed_at(batch: Batch) -> datetime | None:
    """When the documents of a batch were made: all of them at once; ``None`` where it has none."""
    for change in batch.changes:
        if isinstance(change, Envelope) and change.document is not None:
            return change.document.indexed_at
    return None


def document_id(source: str, post_id: str) -> str:
    """The store's ``_id``: 128 bits of BLAKE2b over source and post id, hexadecimal.

    >>> document_id("twitter", "20") == document_id("twitter", "20")
    True
    >>> len(document_id("twitter", "20"))
    32
    """
    return blake2b(f"{source}\x00{post_id}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
