"""What a trend is about, and how probably a document is about it."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import Final

import msgspec

#: What every field of a topic's probabilities begins with.
CLASSIFICATION: Final = "classification_"

#: Longest name of a tag inside a field's name, in bytes of UTF-8; a longer one is cut and told apart by its hash.
LONGEST_NAME: Final = 120
_HASH_DIGITS: Final = 16
#: A tag whose own name would be another field's.
_TAKEN: Final = frozenset({"meta"})


def field_of(tag: str) -> str:
    """The field that holds the probability that a document is about a tag; of two tags never the same.

    A letter, digit or underscore of any script stands for itself, with its marks; every
    other character is written ``~<its code point in hexadecimal>~``. A name that is too long
    is cut and ends in ``~~`` and a hash of the tag. A field's name holds no dot, so that no
    store takes it for a path.

    >>> field_of("prayforoklahoma"), field_of("выборы"), field_of("v1.2")
    ('classification_prayforoklahoma', 'classification_выборы', 'classification_v1~2e~2')

    Raises ``ValueError`` for the empty tag.
    """
    if not tag:
        raise ValueError("an empty tag has no field")
    name = "".join(each if _plain(each) else f"~{ord(each):x}~" for each in tag)
    if name in _TAKEN or len(name.encode()) > LONGEST_NAME:
        kept = name.encode()[: LONGEST_NAME - _HASH_DIGITS - 2].decode("utf-8", "ignore")
        digest = blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=_HASH_DIGITS // 2).hexdigest()
        name = f"{kept}~~{digest}"
    return CLASSIFICATION + name


def is_field(name: str) -> bool:
    """Whether :func:`field_of` could have given this name.

    >>> is_field("classification_v1~2e~2"), is_field("classification_v1.2"), is_field("classification_meta")
    (True, False, False)
    """
    rest = name.removeprefix(CLASSIFICATION)
    return rest not in (name, "", *_TAKEN) and all(_plain(each) or each == "~" for each in rest)


def _plain(character: str) -> bool:
    return character == "_" or character.isalnum() or (not character.isascii() and f"a{character}".isidentifier())


class Topic(msgspec.Struct, frozen=True):
    """What a tag is about, as texts are scored against it.

    ``trend_id`` is that of the trend it was made for; ``at`` is when it was made, by which
    a newer description of the same tag supersedes an older one. ``phrase`` is the tag as
    words (``pray for oklahoma``), ``label`` what people read (``pray for oklahoma: tornado,
    moore, relief``), ``words`` the distinctive words of its posts with their weights, the
    strongest first, and ``vocabulary`` everything that sets its posts apart from posts at large:
    words and hashtags with the natural logarithm of how many times as frequent they are here.
    Vectors are hexadecimal, one signed byte a dimension, all in the
    embedding space ``space``: ``label_vector`` is that of the label, ``centre`` the mean
    direction of the sample posts. ``posts`` are the
    sample posts that it rests on, ``learnt`` how many documents without the tag have taken their
    place since, ``set_apart`` how many documents near it, but not about it, its centre was set apart
    from, and ``shift`` by how much the log-odds of all scores move because the topic is more
    or less frequent among the documents than where the model was fitted. ``steps`` say in words
    where there was too little evidence and what was done instead. ``model`` is the version that
    scores the evidence.
    """

    trend_id: str
    tag: str
    at: datetime
    phrase: str
    label: str
    words: tuple[tuple[str, float], ...] = ()
    vocabulary: dict[str, float] = {}
    space: str | None = None
    label_vector: str | None = None
    centre: str | None = None
    posts: int = 0
    learnt: int = 0
    set_apart: int = 0
    shift: float = 0.0
    steps: tuple[str, ...] = ()
    model: str = ""

    @property
    def field(self) -> str:
        """The documents' field that holds its probabilities."""
        return field_of(self.tag)


class Classification(msgspec.Struct, frozen=True, gc=False):
    """How probably a document is about a tag.

    ``score`` is a calibrated probability. ``trend_id`` and ``topic_at`` name the topic it was
    scored against, ``model`` what scored it, ``at`` says when. ``member`` says whether the
    probability is high enough for the document to be listed under the tag.
    """

    score: float
    trend_id: str
    topic_at: datetime
    model: str
    at: datetime
    member: bool = False

    def supersedes(self, other: Classification | None) -> bool:
        """Whether it may take the other's place: it was scored against the same topic or a newer one."""
        return other is None or self.topic_at >= other.topic_at


class TopicsKnown(msgspec.Struct, frozen=True):
    """What a process that indexes fresh posts says of the topics it scores them against.

    Every post that it analysed at ``since[tag]`` (by its clock, which gives ``indexed_at``) or
    later was scored against the topic of that tag that was made at ``made[tag]``, or a newer
    one. Every post that it analysed before ``durable`` can be found, once the store was asked to
    refresh, or will never be.
    """

    made: dict[str, datetime]
    since: dict[str, datetime]
    durable: datetime


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the documents have been re-read in the light of a topic.

    ``phase`` is what is done now, in words. ``examined`` documents were looked at,
    ``scored`` of them given a probability, ``members`` one at or above the threshold,
    and ``judged`` read by the cross-encoder; ``left`` is a guess at what is still to be looked
    at, ``None`` when nobody knows. ``refused`` says why the tag gets no scores at all.
    """

    trend_id: str
    phase: str
    began: datetime
    at: datetime
    examined: int = 0
    scored: int = 0
    members: int = 0
    judged: int = 0
    left: int | None = None
    refused: str = ""
