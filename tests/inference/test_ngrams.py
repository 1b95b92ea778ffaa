"""Encoding by a vocabulary, against a naive oracle."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.errors import ModelError
from inference import ngrams
from inference.ngrams import MAX_CHARACTERS, MAX_WORDS, Encoded, NgramEncoder, Vocabulary, pad
from inference.text import URL, USER, grams, words
from tests.inference.odd_texts import ODD_TEXTS

VOCABULARY = Vocabulary(
    words=["good", "bad", "not", "day", ":)", USER, URL],
    pairs=["not good", "bad day", f"good {USER}"],
    grams=[" go", "ood", "ad ", "da", "ay", "xx"],
    shortest=2,
    longest=3,
)
WORDS = st.sampled_from(["good", "GOOD", "goood", "bad", "not", "day", ":)", "@a", "https://x.y/z", "adxx", "xx", "?"])
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)


def oracle(text: str) -> list[int]:
    """Ids one by one, sorted."""
    names = [*VOCABULARY.words, *VOCABULARY.pairs, *VOCABULARY.grams]
    numbers = {name: number for number, name in enumerate(names, 1)}
    found = words(text)
    ids = [numbers[word] for word in set(found) & set(VOCABULARY.words)]
    ids += [numbers[pair] for pair in {" ".join(pair) for pair in pairwise(found)} & set(VOCABULARY.pairs)]
    contributions = {tuple([word] * (word in VOCABULARY.words) + _known(word)) for word in found}
    return sorted(ids + [numbers[gram] for word in contributions for gram in word if gram in VOCABULARY.grams])


def _known(word: str) -> list[str]:
    return [gram for gram in grams(word, VOCABULARY.shortest, VOCABULARY.longest) if gram in VOCABULARY.grams]


def decoded(row: Encoded) -> list[int]:
    ids: list[int] = np.frombuffer(row.ids, dtype=np.int32).tolist()
    assert max(1, len(ids)) == row.size
    return ids


@given(TEXTS)
def test_encodes_as_the_oracle_does(text: str) -> None:
    assert sorted(decoded(NgramEncoder(VOCABULARY).encode(text))) == oracle(text)


@given(st.lists(TEXTS, min_size=1))
def test_what_was_encoded_before_changes_nothing(texts: list[str]) -> None:
    encoder = NgramEncoder(VOCABULARY)
    for text in texts:
        encoder.encode(text)
    assert [encoder.encode(text) for text in texts] == [NgramEncoder(VOCABULARY).encode(text) for text in texts]


def test_forgetting_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "MEMORY", 2)
    encoder = NgramEncoder(VOCABULARY)
    for _ in range(3):
        assert sorted(decoded(encoder.encode("good bad not day"))) == oracle("good bad not day")


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_encodes_any_text_within_bounds(text: str) -> None:
    row = NgramEncoder(VOCABULARY).encode(text)
    assert all(0 < number < VOCABULARY.size for number in decoded(row))
    assert row.truncated == (len(text) > MAX_CHARACTERS or len(words(text)) > MAX_WORDS)


def test_marks_what_it_did_not_read() -> None:
    encoder = NgramEncoder(VOCABULARY)
    assert not encoder.encode("good " * MAX_WORDS).truncated
    long = encoder.encode("good " * MAX_WORDS + "bad")
    assert long.truncated
    assert long.ids == encoder.encode("good good").ids


def test_threads_share_an_encoder() -> None:
    encoder = NgramEncoder(VOCABULARY)
    texts = [f"good w{number % 97} not good @u{number}" for number in range(2_000)]
    found: list[list[Encoded]] = []
    threads = [
        threading.Thread(target=lambda: found.append([encoder.encode(text) for text in texts])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = [NgramEncoder(VOCABULARY).encode(text) for text in texts]
    assert found == [alone] * 4


@given(st.lists(st.lists(st.integers(1, 2**31 - 1)), min_size=1), st.integers(0, 20))
def test_pads_with_zeros_to_the_length_or_the_longest(rows: list[list[int]], length: int) -> None:
    encoded = [Encoded(np.array(row, dtype=np.int32).tobytes(), max(1, len(row)), truncated=False) for row in rows]
    width = max(1, length, *map(len, rows))
    assert pad(encoded, length).tolist() == [row + [0] * (width - len(row)) for row in rows]


@pytest.mark.parametrize(
    ("vocabulary", "reason"),
    [
        (Vocabulary(["a"], ["a b"], [], 2, 3), "pair"),
        (Vocabulary(["a"], ["a"], [], 2, 3), "pair"),
        (Vocabulary(["a", "a"], [], [], 2, 3), "twice"),
        (Vocabulary(["a"], [], ["b", "b"], 2, 3), "twice"),
    ],
)
def test_a_vocabulary_that_contradicts_itself_is_refused(vocabulary: Vocabulary, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        NgramEncoder(vocabulary)
