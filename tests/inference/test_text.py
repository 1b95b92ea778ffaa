"""Words and character n-grams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.text import MAX_WORD, URL, USER, grams, words
from tests.inference.odd_texts import ODD_TEXTS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It’s FINE", ["it's", "fine"]),
        ("good:) bad :-( <3", ["good", ":)", "bad", ":-(", "<3"]),
        ("see https://t.co/Ab1?x=1 and www.example.org @Ann", ["see", URL, "and", URL, USER]),
        ("fish &amp; chips", ["fish", "&", "chips"]),
        ("Sooooo #happyyyy!!!", ["soo", "#", "happyy", "!!"]),
        ("ＷＩＤＥ", ["wide"]),
        ("xoxo 8pm", ["xoxo", "8pm"]),
        ("@", ["@"]),
    ],
)
def test_words_of_posts(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def assert_bounded_without_blanks(found: list[str]) -> None:
    assert all(1 <= len(word) <= MAX_WORD and word.split() == [word] for word in found)


@given(st.text(st.characters()))
def test_every_text_has_words_that_are_bounded_and_without_blanks(text: str) -> None:
    assert_bounded_without_blanks(words(text))


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_texts_too(text: str) -> None:
    assert_bounded_without_blanks(words(text))


@given(st.text(min_size=1, max_size=12), st.integers(1, 4), st.integers(1, 4))
def test_grams_are_all_the_pieces_of_the_edged_word(text: str, shortest: int, more: int) -> None:
    longest = shortest + more
    edged = f" {text} "
    expected = sorted(
        edged[start:end]
        for start in range(len(edged))
        for end in range(start + 1, len(edged) + 1)
        if shortest <= end - start <= longest
    )
    assert sorted(grams(text, shortest, longest)) == expected


def test_mentions_and_addresses_have_no_grams() -> None:
    assert [*grams(URL, 2, 3), *grams(USER, 2, 3)] == []
