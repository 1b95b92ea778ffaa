"""What a post looks like to a model, and that no text breaks it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.normalise import NORMALISERS, harmless, social
from tests.inference.odd_texts import ODD_TEXTS

#: Pieces that the rules look for, so that random texts meet them.
PIECES = st.sampled_from(
    [
        *("@", "@a", "a@b.c", "http://", "HTTPS://X", "www.", "://", "&", "&amp;", "&#38;", "&#", "&lt", "word", "é"),
        *("😀", "\ud83d", "\ude00", "\x00", "\x1c", "\x85", "\u202e", "\u200d", "\ufeff", " ", "\n", "\u3000"),
    ]
)
TEXTS = st.one_of(st.text(st.characters()), st.lists(PIECES).map("".join))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RT @Ann_1: fish &amp; chips &lt;3", "RT @user: fish & chips <3"),
        ("see https://t.co/Ab1?x=1 and WWW.example.org/a,b now", "see http and http now"),
        ("mail ann@example.org", "mail ann@example.org"),
        ("@a@b @@c @ 5pm", "@user@b @@c @ 5pm"),
        ("&amp;lt; stays", "&lt; stays"),
        ("a\r\n\tb\u3000c  ", "a b c"),
        ("good\x00day\x07\x1b[31m\x7f\x85!", "good day [31m !"),
        ("\u202eabc\u202c\ufeff d\u200fe", "abc de"),
        ("lone \ud83d and \udc00", "lone \ufffd and \ufffd"),
        ("👩‍👩‍👧‍👦", "woman girl boy"),
        ("so angry😡😡!", "so angry pouting face !"),
        ("I ❤️ you 👍🏽", "I heavy black heart you thumbs up sign"),
        ("go 🇩🇰🇸🇪", "go dk se"),
        ("\U0001faff", "\U0001faff"),
        ("مرحبا @علي", "مرحبا @user"),
        ("&#" + "9" * 5_000 + ";", "&#" + "9" * 5_000 + ";"),
        ("", ""),
    ],
)
def test_social(text: str, expected: str) -> None:
    assert social(text) == expected


@given(TEXTS)
def test_any_text_becomes_one_that_is_clean(text: str) -> None:
    found = social(text)
    found.encode()
    assert found == " ".join(found.split())
    assert not any(character < " " or "\x7f" <= character < "\xa0" for character in found)


@given(TEXTS)
def test_harmless_changes_nothing_but_lone_surrogates(text: str) -> None:
    assert harmless(text) == "".join("\ufffd" if "\ud800" <= character < "\ue000" else character for character in text)


@pytest.mark.parametrize("name", NORMALISERS)
@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_texts_too(name: str, text: str) -> None:
    NORMALISERS[name](text).encode()
