"""A document store in memory, and a judge that reads a document's probability off its text: oracles for re-readings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from groundswell.candidates import Cursor, Found, NewScore, Page, Selection, Slice, Span
from groundswell.topics import Topic
from operators.topics.judge import Weigh

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
SPACE = "space-1"


def topic(seconds: float = 0.0, tag: str = "flood", trend: str = "flood/1", posts: int = 20) -> Topic:
    return Topic(
        trend, tag, NOON + timedelta(seconds=seconds), tag, f"{tag}: river", space=SPACE, centre="7f" * 384, posts=posts
    )


def document(
    number: int, score: float, *, tags: tuple[str, ...] = (), created: float = 0.0, indexed: float = -60.0
) -> Found:
    """Document ``number``, about the topic with probability ``score``; times are in seconds after noon."""
    return Found(
        f"{number:06d}",
        "posts",
        (1, 1),
        f"{score:.6f}",
        NOON + timedelta(seconds=created),
        NOON + timedelta(seconds=indexed),
        tags,
        vector=b"\x7f" * 384,
        space=SPACE,
    )


class Archive:
    """Documents by id. The nearest are those with the highest probability in their text."""

    def __init__(self, documents: Sequence[Found]) -> None:
        self.by_id = {each.id: each for each in documents}
        self.written: list[NewScore] = []
        self.refreshed = 0

    def put(self, scores: Sequence[NewScore]) -> None:
        """Write scores as a store does: an older one never replaces a newer one."""
        for new in scores:
            known = self.by_id.get(new.document.id)
            if known is not None and new.classification.supersedes(known.classification):
                self.by_id[known.id] = msgspec.structs.replace(known, classification=new.classification)
                self.written.append(new)

    def scores(self) -> dict[str, float]:
        return {each.id: each.classification.score for each in self.by_id.values() if each.classification is not None}

    def refresh(self) -> None:
        self.refreshed += 1

    def nearest_candidates(self, vector: bytes, k: int, selection: Selection) -> list[Found]:
        found = sorted(self._chosen(selection), key=lambda each: (-float(each.text), each.id))
        return [msgspec.structs.replace(each, cosine=float(each.text)) for each in found[:k]]

    def candidates(self, selection: Selection, limit: int = 1_000, after: Cursor | None = None) -> Page:
        found = sorted(self._chosen(selection), key=lambda each: (-each.created_at.timestamp(), each.id))
        begin = int(str(after[0])) if after else 0
        page = found[begin : begin + limit]
        return Page(page, (begin + limit,) if begin + limit < len(found) else None)

    def slices(self, selection: Selection, most: int = 10_000) -> list[Slice]:
        found = sorted({each.created_at for each in self._chosen(selection)}, reverse=True)
        size = max(1, most // 10)
        cut = [found[start : start + size] for start in range(0, len(found), size)]
        return [Slice(Span(times[-1], times[0] + timedelta(milliseconds=1)), len(times)) for times in cut]

    def _chosen(self, selection: Selection) -> list[Found]:
        return [
            each
            for each in self.by_id.values()
            if (selection.kind != "tagged" or selection.tag in each.hashtags)
            and (selection.kind != "scored" or each.classification is not None)
            and (selection.space is None or each.space == selection.space)
            and _within(each.created_at, selection.created)
            and _within(each.indexed_at, selection.indexed)
        ]


class Judge:
    """Believes the text; the cross-encoder adds a tenth to what lies between .2 and .8."""

    model = "judge@1"

    def __init__(self) -> None:
        self.read = 0

    def against(self, topics: Sequence[Topic]) -> Weigh:
        return lambda documents: np.array([[float(each.text)] * len(topics) for each in documents]).reshape(
            len(documents), len(topics)
        )

    def undecided(self, topic: Topic, evidence: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray((evidence > 0.2) & (evidence < 0.8))

    def alone(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        return evidence

    def verdicts(
        self,
        topic: Topic,
        documents: Sequence[Found],
        evidence: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        self.read += len(documents)
        return evidence + 0.1


def _within(time: datetime, span: Span) -> bool:
    return (span.since is None or time >= span.since) and (span.until is None or time < span.until)
