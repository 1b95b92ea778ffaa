"""Hashtags as words: tags read right, of public sets that nothing was chosen on, and tags per second on one core.

STAN is the training and development part of STAN large, less the half of the training part
on which the weights were chosen; its tags come with a post each, whose other words are the
evidence. HashSet is HashSet-Distant less the tenth that was chosen on; its right answers
were made from capitals by rule. *Lower case* is what a tag is by itself; *as written* gives
each the spelling, of which the peers make nothing. The peers know no evidence. In brackets: ±
half of Wilson's 95 % interval of ours, in points.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time

import wordninja
import wordsegment

from benchmarks.report import Row, alternate, options, print_rows
from inference.repository import Repository, default_repository
from model_export import tag_sets
from model_export.tag_sets import Accuracy, Tag
from operators.topics.segmentation import Segmenter
from operators.words import words as words_of

_SHARED = Path(os.environ.get("GROUNDSWELL_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
_QUICK = 1_000

Reader = Callable[[Tag], Sequence[str]]


def ours(segmenter: Segmenter, *, spelled: bool = False, evidence: bool = False) -> Reader:
    """Ours, with the tag's spelling, and with the words of its post."""

    def read(tag: Tag) -> Sequence[str]:
        return segmenter.segment(
            tag.tag, {tag.form: 1} if spelled else {}, dict.fromkeys(words_of(tag.text), 1) if evidence else {}
        )

    return read


def peers() -> dict[str, Reader]:
    """The peers, loaded."""
    wordsegment.load()
    return {
        "wordsegment": lambda tag: wordsegment.segment(tag.tag),
        "wordninja": lambda tag: wordninja.split(tag.tag),
    }


def rate(read: Reader, tags: Sequence[Tag]) -> Callable[[], float]:
    """Tags per second of the processor."""

    def run() -> float:
        start = process_time()
        for tag in tags:
            read(tag)
        return len(tags) / (process_time() - start)

    return run


def run(quick: bool) -> list[Row]:
    """Rows of accuracy by set, way and peer, and of speed by peer."""
    segmenter = Segmenter.open(Repository(default_repository()))
    sets = tag_sets.read(_SHARED)
    rows = []
    for name in tag_sets.SETS:
        tags = sets[name][:_QUICK] if quick else sets[name]
        ways = {"lower case": ours(segmenter)}
        if any(tag.form != tag.form.lower() for tag in tags):
            ways["as written"] = ours(segmenter, spelled=True)
        if any(tag.text for tag in tags):
            ways["lower case, with its post"] = ours(segmenter, evidence=True)
            ways["as written, with its post"] = ours(segmenter, spelled=True, evidence=True)
        theirs = {peer: tag_sets.accuracy(tags, read) for peer, read in peers().items()}
        for way, read in ways.items():
            mine = tag_sets.accuracy(tags, read)
            rows += [_row(f"{name}, {way}", mine, peer, found) for peer, found in theirs.items()]
    tags = sets["STAN"][:_QUICK]
    for peer, read in peers().items():
        for way, own in (("", ours(segmenter)), (", with its post", ours(segmenter, evidence=True))):
            fast, other = alternate(rate(own, tags), rate(read, tags), 1 if quick else 5)
            rows.append(Row(f"speed{way}, against {peer}", fast, other, "tags/s"))
    return rows


def _row(name: str, mine: Accuracy, peer: str, theirs: Accuracy) -> Row:
    half = 50 * (mine.high - mine.low)
    return Row(f"{name} (n {mine.n:,}, ± {half:.1f}), against {peer}", 100 * mine.share, 100 * theirs.share, "% right")


def main() -> None:
    """Run the benchmark and print its rows; without the public sets it says so and ends."""
    chosen = options(__doc__)
    if not (_SHARED / tag_sets.FOLDER).is_dir():
        print("the hashtags with their words are not here; set GROUNDSWELL_SHARED_DATA")
        return
    print_rows(run(chosen.quick), chosen.json)


if __name__ == "__main__":
    main()
