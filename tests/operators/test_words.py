from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.words import LONGEST_WORD, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Flood FLOOD flood", {"flood"}),
        ("RT @ann_b: see https://t.co/abc www.example.org/x and example.org/x/y", {"see", "and"}),
        ("#PrayForOklahoma, pray for #oklahoma", {"pray", "for"}),
        ("＃雨 and ＠ann", {"and"}),
        ("rain &amp; wind &#39; hail", {"rain", "wind", "hail"}),
        ("it's the city's, don’t", {"it", "the", "city", "don't"}),
        ("4th of July 2013, 1,000 men, a b c, x2_yz", {"of", "july", "men", "x2", "yz"}),
        ("they wait… for rai…", {"they", "for"}),
        ("Straße ΣΊΣΥΦΟΣ Ελλάς", {"strasse", "σίσυφοσ", "ελλάσ"}),
        ("नमस्ते दुनिया, வணக்கம்", {"नमस्ते", "दुनिया", "வணக்கம்"}),
        ("cafe\u0301 ﬁre ｗａｒ", {"café", "fire", "war"}),
        ("السلام عليكم", {"السلام", "عليكم"}),
        ("東京で地震! 水", {"東京", "京で", "で地", "地震"}),
        ("地震… 水が", {"地震", "水が"}),
        ("서울 지진", {"서울", "지진"}),
        ("🌊🌊 x" + "y" * LONGEST_WORD, set()),
        ("", set()),
    ],
)
def test_words(text: str, found: set[str]) -> None:
    assert words(text) == found


@given(st.text())
def test_are_two_characters_and_not_too_many(text: str) -> None:
    assert all(1 < len(word) <= LONGEST_WORD for word in words(text))


@given(st.text(st.sampled_from("ab'/.#@&…é東\u0301 ")))
def test_do_not_depend_on_case(text: str) -> None:
    assert words(text.upper()) == words(text)


@pytest.mark.timeout(60)  # quadratic time would take many minutes
@pytest.mark.parametrize("piece", ["a", "a.", "a'", "#a", "a.a/", "http://", "&", "&#", "水", "水…", "é", "éa-/"])
def test_of_a_hostile_text_take_linear_time(piece: str) -> None:
    words(piece * 300_000)
