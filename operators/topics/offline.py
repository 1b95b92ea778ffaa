"""A tag's topic from posts that are all at hand, and the probability of each of them.

The same operators as in the job, one after the other: the sample of the tag's posts, the
distinctive words against all the others, the description, the refinement, the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final, NamedTuple

from groundswell.records import Post
from groundswell.topics import Topic
from groundswell.trends import TagCount, Trend
from inference.evidence_model import EvidenceModel
from operators.distinctive_words import Background, distinctive_words
from operators.evidence import EvidenceStore
from operators.topics.description import Embed, Segments, describe
from operators.topics.evidence import Floats
from operators.topics.refinement import Documents, refine
from operators.topics.score import TopicScorer
from operators.trend_board import label

#: Posts that a topic is described by at most.
SAMPLES: Final = 300
#: Longer than any stream: all posts lie in one block, and none leaves the sample.
_ONE_BLOCK: Final = 1e12
_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Reread(NamedTuple):
    """A topic, and a probability for each post in the order given ``[posts]``."""

    topic: Topic
    scores: Floats


def trend_of(tag: str, posts: Sequence[Post], samples: int = SAMPLES) -> Trend:
    """The trend of a normalised tag as the posts show it: its sample, words, companions and spelling.

    Reposts are no evidence, and no background either.
    """
    background = Background()
    store = EvidenceStore(samples, max_samples=max(samples, 1), block=_ONE_BLOCK)
    count = 0
    for post in posts:
        tagged = tag in post.hashtags
        count += tagged
        if post.repost_of is None:
            background.add(post.text)
            if tagged:
                identity = f"{post.source}\x00{post.id}".encode("utf-8", "surrogatepass")
                key = int.from_bytes(blake2b(identity, digest_size=8).digest(), "big")
                store.add(tag, key, 0.0, post)
    evidence = store.evidence(tag)
    return Trend(
        id=tag,
        tag=tag,
        label=label(tag, evidence.forms),
        since=_NO_TIME,
        score=0.0,
        count=count,
        peak=count,
        authors=0,
        words=distinctive_words(evidence.samples, background),
        cotags=tuple(TagCount(*each) for each in evidence.cotags.items()),
        samples=evidence.samples,
    )


def reread(
    trend: Trend,
    posts: Sequence[Post],
    vectors: Sequence[bytes | None],
    segmenter: Segments,
    embed: Embed | None,
    space: str | None,
    at: datetime,
    model: EvidenceModel,
) -> Reread:
    """The topic of a trend as the posts refine it, and how probably each post is about it.

    ``vectors`` are those of the posts in ``space``. Raises what ``embed`` raises.
    """
    texts, tags = [post.text for post in posts], [post.hashtags for post in posts]
    known = vectors if space == model.space else [None] * len(posts)
    topic = describe(trend, segmenter, embed, space, at, model)
    topic = refine(topic, Documents(texts, known, tags, len(posts)), model, at)
    return Reread(topic, TopicScorer([topic], model).score(texts, known, tags)[:, 0])
