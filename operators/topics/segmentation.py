"""A hashtag as words: by its spellings, its digits and a word model, helped by the words of its own posts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final, NamedTuple
from unicodedata import category, name, normalize

from inference.repository import Repository
from inference.word_model import Boundaries, WordModel

#: The word model of the repository.
WORD_MODEL: Final = "words"

_LATIN: Final = "LATIN"
#: Scripts that are written without spaces, and whose words the words of a post do not show.
_IDEOGRAPHS: Final = "CJK"
_UNSPACED: Final = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"})
_JOINERS: Final = "\u200c\u200d"


class Segmenter:
    """Tells the words of hashtags; threads may share one.

    >>> from inference.repository import default_repository
    >>> segmenter = Segmenter.open(Repository(default_repository()))
    >>> segmenter.segment("prayforoklahoma", {"PrayForOklahoma": 3, "prayforoklahoma": 8})
    ('pray', 'for', 'oklahoma')
    >>> segmenter.segment("kaamboltahai", words={"kaam": 9, "bolta": 7, "hai": 12})
    ('kaam', 'bolta', 'hai')
    """

    def __init__(self, model: WordModel) -> None:
        self._model = model

    @classmethod
    def open(cls, repository: Repository, reference: str = WORD_MODEL) -> Segmenter:
        """One with the word model that ``reference`` means now.

        Raises :class:`~groundswell.errors.ModelError` where there is none, or it is damaged.
        """
        return cls(WordModel.load(repository.open(reference)))

    def segment(
        self, tag: str, forms: Mapping[str, int] = {}, words: Mapping[str, int | float] = {}
    ) -> tuple[str, ...]:
        """The words of a tag, lower case; joined they are the tag again, save for what is neither letter nor digit.

        ``forms`` are the tag's spellings with how often each was seen: of those that show
        where words begin (``PrayForOklahoma``), the most frequent counts, and may be
        overruled by the word model (``iPhone``). ``words`` are the words of its posts with
        their counts; the tag itself among them counts only where the model knows it as a word.

        Latin script is read by the word model. Any other is parted at separators, digits
        and changes of script, and inside only where all of it is words of the posts;
        Chinese and Japanese are not. A tag without letters and digits is one word, the
        empty tag none. Raises nothing.
        """
        folded = tag.lower() if tag.isascii() else normalize("NFKC", tag).casefold()
        boundaries = _spelled(folded, forms)
        evidence = {
            plain: max(0.0, float(count))
            for word, count in words.items()
            if (plain := word.replace("'", "")) in folded and (plain != folded or plain in self._model)
        }
        found: list[str] = []
        for run in _runs(folded):
            found += self._words(run, evidence, boundaries)
        return tuple(found) or ((folded,) if folded else ())

    def _words(self, run: _Run, evidence: Mapping[str, float], boundaries: Boundaries | None) -> tuple[str, ...]:
        if run.script == _LATIN:
            return self._model.read(run.text, evidence, _within(boundaries, run))[0]
        if run.script != _IDEOGRAPHS:
            read, _ = self._model.read(run.text, evidence)
            if all(word in evidence or word.isdecimal() for word in read):
                return read
        return tuple(run.pieces())


class _Run(NamedTuple):
    """A part of a tag in one script, digits included, and where it begins."""

    text: str
    start: int
    script: str

    def pieces(self) -> Iterator[str]:
        """Its letters and its digits apart."""
        begin = 0
        for at in range(1, len(self.text) + 1):
            if at == len(self.text) or self.text[at].isdecimal() != self.text[begin].isdecimal():
                yield self.text[begin:at]
                begin = at


def _runs(tag: str) -> Iterator[_Run]:
    """The parts of a tag between separators and changes of script; digits belong to the letters around them."""
    begin, script = 0, ""
    for at, character in enumerate(tag):
        here = _script(character)
        if here is None or (here and script and here != script):
            if at > begin:
                yield _Run(tag[begin:at], begin, script or _LATIN)
            begin, script = (at, here) if here else (at + 1, "")
        elif here:
            script = here
    if begin < len(tag):
        yield _Run(tag[begin:], begin, script or _LATIN)


@cache  # at most one entry for each of Unicode's code points
def _script(character: str) -> str | None:
    """The script of a letter; empty for what is of any (digits, marks), None for what separates."""
    group = category(character)
    if group[0] == "M" or character.isdecimal() or character in _JOINERS:
        return ""
    if not character.isalnum():
        return None
    script = name(character, "").partition(" ")[0]
    return _IDEOGRAPHS if script in _UNSPACED else script


def _spelled(tag: str, forms: Mapping[str, int]) -> Boundaries | None:
    """What the most frequent of the spellings with capitals shows; None where it shows nothing inside the tag."""
    votes: Counter[Boundaries] = Counter()
    for form, count in forms.items():
        spelling = normalize("NFKC", form.lstrip("#"))
        if len(spelling) == len(tag) and spelling.casefold() == tag and not (spelling.islower() or spelling.isupper()):
            votes[_boundaries(spelling)] += count
    if not votes:
        return None
    chosen = min(votes, key=lambda each: (-votes[each], sorted(each.shown), sorted(each.either)))
    return chosen if chosen.shown or chosen.either else None


def _boundaries(spelling: str) -> Boundaries:
    """Where the capitals of a spelling show that a word begins.

    A capital after a small letter begins one. Of capitals that run into small letters
    either the last or the small letter after it does (``NHSDirect``, ``UScitizen``).
    """
    shown, either = set(), set()
    for at in range(1, len(spelling)):
        before, here = spelling[at - 1], spelling[at]
        if before.islower() and here.isupper():
            shown.add(at)
        elif before.isupper() and here.isupper() and spelling[at + 1 : at + 2].islower():
            either |= {at, at + 1}
    return Boundaries(frozenset(shown), frozenset(either - shown))


def _within(boundaries: Boundaries | None, run: _Run) -> Boundaries | None:
    if boundaries is None:
        return None
    return Boundaries(*(frozenset(at - run.start for at in places) for places in boundaries))
