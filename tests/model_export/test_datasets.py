"""Reading, cleaning and parting the training data."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.datasets import (
    DataError,
    Example,
    clean,
    distinct,
    read_semeval,
    read_tweeteval,
    signature,
    split,
    without_leaks,
)
from tests.model_export.corpus import write_corpus

TEXTS = st.lists(st.sampled_from(["sun", "rain", "snow", "wind", "fog", "hail", "ice", "storm"]), max_size=8).map(
    " ".join
)
EXAMPLES = st.lists(st.builds(Example, TEXTS, st.sampled_from(["negative", "neutral", "positive"])), max_size=30)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (r"Won\u002c at last\u2019s", "Won, at last’s"),
        (' "all of it in quotes" ', "all of it in quotes"),
        ('"He said ""no"" to it"', 'He said "no" to it'),
        (r"\"half", '"half'),
        (r"c:\users \u12", r"c:\users \u12"),
        ('"', '"'),
        ("", ""),
    ],
)
def test_undoes_what_the_export_did(raw: str, expected: str) -> None:
    assert clean(raw) == expected


def test_a_text_that_comes_again_is_one_example_with_the_label_most_given() -> None:
    examples = [
        Example("RT @ann: Great day http://a.b/c", "positive"),
        Example("great DAY!", "neutral"),
        Example("Great day @bob", "positive"),
        Example("tied", "positive"),
        Example("Tied!", "negative"),
        Example("@ann http://a.b/c", "neutral"),
    ]
    assert distinct(examples) == [Example("RT @ann: Great day http://a.b/c", "positive")]


@given(EXAMPLES, EXAMPLES)
def test_no_leak_is_left_and_nothing_else_is_removed(train: list[Example], held_out: list[Example]) -> None:
    def near(left: frozenset[str], right: frozenset[str]) -> bool:
        return bool(left & right) and len(left & right) >= 0.7 * len(left | right)

    held = [signature(text) for text, _ in held_out]
    expected = [example for example in train if not any(near(signature(example.text), other) for other in held)]
    assert without_leaks(train, held_out) == expected


@given(EXAMPLES)
def test_a_split_holds_everything_once_and_like_texts_together(examples: list[Example]) -> None:
    kept, held = split(examples, 0.5)
    assert sorted(kept + held) == sorted(examples)
    assert not {text for text, _ in kept} & {text for text, _ in held}


def test_a_split_is_about_as_large_as_asked() -> None:
    kept, held = split([Example(str(number), "neutral") for number in range(10_000)], 0.1)
    assert 900 < len(held) < 1100
    assert len(kept) + len(held) == 10_000


def test_reads_both_sets_with_labels_by_name(tmp_path: Path) -> None:
    write_corpus(tmp_path, rows=12)
    semeval, files = read_semeval(tmp_path)
    assert len(semeval) == sum(file.rows for file in files) == 12
    assert {label for _, label in semeval} == {"negative", "neutral", "positive"}
    validation, _ = read_tweeteval(tmp_path)
    assert {label for _, label in validation} == {"negative", "neutral", "positive"}


def test_says_what_to_bring_or_mend(tmp_path: Path) -> None:
    for read in (read_semeval, read_tweeteval):
        with pytest.raises(DataError, match="bring the SemEval-2017"):
            read(tmp_path)
    write_corpus(tmp_path, rows=12)
    labels = tmp_path / "tweeteval/sentiment/val_labels.txt.gz"
    texts = labels.with_name("val_text.txt.gz")
    whole = labels.read_bytes()
    labels.write_bytes(whole[:-9])
    with pytest.raises(DataError, match=r"val_labels\.txt\.gz cannot be read"):
        read_tweeteval(tmp_path)
    labels.write_bytes(texts.read_bytes())
    with pytest.raises(DataError, match="rows"):
        read_tweeteval(tmp_path)
