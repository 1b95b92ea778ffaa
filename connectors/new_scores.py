"""New scores by the document they are for, and what of them is to be written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from groundswell.candidates import Found, NewScore
from groundswell.topics import Classification


class Writing:
    """The scores for one document, one for each tag, and what is known of the document.

    ``document`` is the document as it was found or, once it was read again, as it is now.
    """

    def __init__(self, document: Found, scores: Iterable[NewScore]) -> None:
        self.document = document
        self.scores = list(scores)
        self._there = {document.tag: document.classification}
        #: Whether everything that the scores may depend on was read.
        self.known = all(new.tag in self._there for new in self.scores)

    @property
    def tags(self) -> list[str]:
        """The tags that it is to be scored by."""
        return [new.tag for new in self.scores]

    def know(self, state: tuple[int, int], topics: tuple[str, ...], there: Mapping[str, Classification]) -> None:
        """The document was read again."""
        self._there = {tag: there.get(tag) for tag in {*self.tags, self.document.tag}}
        self.document = self._now(state, topics)
        self.known = True

    def unknown(self) -> Writing:
        """The same, to be read again."""
        self.known = False
        return self

    def apart(self) -> list[Writing]:
        """One for each score, to be read again."""
        return [Writing(self.document, [new]).unknown() for new in self.scores]

    def pass_over(self) -> int:
        """Leave out the scores against topics that are older than what the document has; how many those are."""
        before = len(self.scores)
        self.scores = [new for new in self.scores if new.classification.supersedes(self._there[new.tag])]
        return before - len(self.scores)

    def leave_as_they_are(self) -> int:
        """Leave out the scores that the document has already; how many those are."""
        before = len(self.scores)
        self.scores = [new for new in self.scores if not _same(new.classification, self._there[new.tag])]
        return before - len(self.scores)

    def topics(self) -> tuple[str, ...]:
        """The tags that the document is a member of once the scores are written."""
        topics = dict.fromkeys(self.document.topics)
        for new in self.scores:
            if new.classification.member:
                topics.setdefault(new.tag)
            else:
                topics.pop(new.tag, None)
        return tuple(topics)

    def done(self, state: tuple[int, int]) -> Found:
        """The document with its scores, in this state."""
        topics = self.topics()
        self._there |= {new.tag: new.classification for new in self.scores}
        return self._now(state, topics)

    def _now(self, state: tuple[int, int], topics: tuple[str, ...]) -> Found:
        classification = self._there[self.document.tag]
        return msgspec.structs.replace(self.document, state=state, topics=topics, classification=classification)


def gathered(scores: Iterable[NewScore]) -> list[Writing]:
    """The scores by document; of several for one tag the last that supersedes the others."""
    by_document: dict[tuple[str, str], dict[str, NewScore]] = {}
    for new in scores:
        of_document = by_document.setdefault((new.document.place, new.document.id), {})
        before = of_document.get(new.tag)
        if before is None or new.classification.supersedes(before.classification):
            of_document[new.tag] = new
    return [Writing(next(iter(each.values())).document, each.values()) for each in by_document.values()]


def _same(one: Classification, other: Classification | None) -> bool:
    """Whether they differ by no more than when they were made."""
    return other is not None and msgspec.structs.replace(one, at=other.at) == other
