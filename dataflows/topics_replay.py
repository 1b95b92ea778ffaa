"""Files re-read in the light of one tag, offline, by the operators of the job: what is wired to what.

::

    files ─ decode ─┬─ the tag's sample ─ describe ─┬─ refine ─ score ─▶ one line a post
                    └─ vectors ─────────────────────┘

"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from connectors.file_batches import FileBatches
from connectors.file_formats import FileOptions
from dataflows.trends_replay import ReplayTotals
from groundswell.errors import StopJob
from groundswell.records import Deletion, Post
from groundswell.topics import Topic
from inference.evidence_model import EvidenceModel
from operators.decode import Decodes
from operators.topics.description import Embed, Segments
from operators.topics.offline import reread, trend_of

#: Posts that are given to the model at once.
CHUNK: Final = 4_096

Stage = Literal["reading", "embedding"]
#: Told how much of a stage is done, and of how much: bytes read, posts embedded.
Advance = Callable[[Stage, int, int], None]


class ScoredPost(msgspec.Struct, frozen=True):
    """A post's probability, and whether it carries the tag."""

    id: str
    score: float
    tagged: bool


class TopicsReplay:
    """Reads ``paths`` and scores every post against the topic of ``tag``, which is normalised.

    ``embed`` gives vectors of ``space``; both may be ``None``. ``totals`` grow meanwhile.
    Raises :class:`OSError` for a file that cannot be opened.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        options: FileOptions,
        decoder: Decodes,
        segmenter: Segments,
        model: EvidenceModel,
        embed: Embed | None,
        space: str | None,
        advance: Advance = lambda _stage, _done, _of: None,
    ) -> None:
        self.totals = ReplayTotals()
        self._paths = paths
        self._options = options
        self._decoder = decoder
        self._segmenter = segmenter
        self._model = model
        self._embed = embed
        self._space = space
        self._advance = advance

    def run(self, tag: str, at: datetime) -> tuple[Topic, list[ScoredPost]]:
        """The topic, and every post in the order of the files; raises :class:`StopJob` where there is no post."""
        posts = list(self._posts())
        if not posts:
            refused = ", ".join(f"{count:,} {cause}" for cause, count in self.totals.dead.most_common(3)) or "none"
            raise StopJob(f"the files hold no post (records refused: {refused}); see decode.shape and decode.mapping")
        trend = trend_of(tag, posts)
        vectors = self._vectors(posts)
        topic, scores = reread(trend, posts, vectors, self._segmenter, self._embed, self._space, at, self._model)
        return topic, [
            ScoredPost(post.id, round(score, 6), tag in post.hashtags)
            for post, score in zip(posts, scores.tolist(), strict=True)
        ]

    def _posts(self) -> Iterator[Post]:
        size, before = sum(path.stat().st_size for path in self._paths), 0
        for path in self._paths:
            batches = FileBatches(path, self._options, f"files/{path}")
            for raw in batches:
                batch = self._decoder.decode(raw)
                self.totals.add(batch)
                self._advance("reading", before + batches.done, size)
                yield from (change.post for change in batch.changes if not isinstance(change, Deletion))
            before += batches.size

    def _vectors(self, posts: Sequence[Post]) -> list[bytes | None]:
        if self._embed is None:
            return [None] * len(posts)
        # Copies, as reposts are, have one vector.
        texts = list(dict.fromkeys(post.text for post in posts))
        found: dict[str, bytes | None] = {}
        for start in range(0, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            found.update(zip(part, self._embed(part), strict=True))
            self._advance("embedding", len(found), len(texts))
        return [found[post.text] for post in posts]
