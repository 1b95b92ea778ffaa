from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from operators.hashtags import LONGEST_TAG, MOST_TAGS, extract, find, from_entities, normalise

_CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[1] / "fixtures" / "twitter_text" / "extract.yml").read_text("utf-8")
)["tests"]


def _cases(*groups: str) -> list[Any]:
    return [pytest.param(case, id=case["description"]) for group in groups for case in _CASES[group]]


@pytest.mark.parametrize("case", _cases("hashtags", "hashtags_from_astral"))
def test_conforms_to_twitter_text(case: dict[str, Any]) -> None:
    assert [tag for tag, _, _ in find(case["text"])] == case["expected"]


@pytest.mark.parametrize("case", _cases("hashtags_with_indices"))
def test_conforms_to_twitter_text_with_indices(case: dict[str, Any]) -> None:
    found = [{"hashtag": tag, "indices": [start, end]} for tag, start, end in find(case["text"])]
    assert found == case["expected"]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("so much #rain in #Cologne…", ("rain",)),
        ("so much #rain in #Colo... https://t.co/abc", ("rain",)),
        ("#one #two #ONE", ("one", "two")),
        ("keycap #️⃣ and #⃣ are no tags", ()),
        ("read https://example.org/a,#part and https://t.co/abc,#tag", ("tag",)),
        ("read example.org/path/#part, then #this", ("this",)),
        ("no sign at all", ()),
        ("AT&#T and a#b", ()),
        ("#" * 1000, ()),
        ("#a#b #c", ("c",)),
    ],
)
def test_extract(text: str, tags: tuple[str, ...]) -> None:
    assert extract(text) == tags


@pytest.mark.parametrize(
    ("given_tags", "tags"),
    [
        (["#Café", "Cafe\u0301", "CAFÉ"], ("café",)),
        (["ＫＹＩＶ", "＃Kyiv"], ("kyiv",)),
        (["Straße", "STRASSE"], ("strasse",)),
        (["ﾊｯｼｭﾀｸﾞ"], ("ハッシュタグ",)),
        (["", "#", "  ", "\x00"], ()),
        ([" a ", "# a", "a\x00"], ("a",)),
        (["x" * (LONGEST_TAG + 1), "x" * LONGEST_TAG], ("x" * LONGEST_TAG,)),
    ],
)
def test_normalise(given_tags: list[str], tags: tuple[str, ...]) -> None:
    assert normalise(given_tags) == tags


def test_keeps_the_first_thousand_tags() -> None:
    tags = extract(" ".join(f"#t{number}" for number in range(MOST_TAGS + 5)))
    assert len(tags) == MOST_TAGS
    assert tags[0] == "t0"


class TestEntities:
    def test_are_used_where_they_fit_in_code_points(self) -> None:
        assert from_entities("😀😀 #Sea", [("Sea", 3, 7)], truncated=False) == ("sea",)

    @pytest.mark.parametrize("wrong", [("Sea", 5, 9), ("Sea", 2, 6), ("Seas", 3, 7), ("ea", 3, 6), ("Sea", -4, 0)])
    def test_are_refused_where_they_do_not(self, wrong: tuple[str, int, int]) -> None:
        assert from_entities("😀😀 #Sea", [wrong], truncated=False) is None

    @pytest.mark.parametrize(
        ("text", "truncated", "tags"),
        [
            ("on my way to #Irak...", False, ("irak",)),
            ("on my way to #Irak...", True, ()),
            ("on my way to #Irak…", False, ()),
            ("on my way to #Irak… https://t.co/xyz", False, ()),
            ("on my way to #Irak… and back", False, ("irak",)),
        ],
    )
    def test_a_tag_cut_by_an_ellipsis_is_none(self, text: str, truncated: bool, tags: tuple[str, ...]) -> None:
        assert from_entities(text, [("Irak", 13, 18)], truncated=truncated) == tags


_texts = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(["#", "＃", "#tag", " ", "\ufe0f", "://", "t.co/", "http://a.b/", "…", "...", "&", "é", "१"]),
    ),
    max_size=12,
).map("".join)


@given(_texts)
def test_positions_point_at_what_was_found(text: str) -> None:
    end_before = 0
    for tag, start, end in find(text):
        assert text[start] in "#＃"
        assert text[start + 1 : end] == tag
        assert end_before <= start
        end_before = end


@given(st.lists(st.text(max_size=20)))
def test_normalised_tags_are_distinct_and_stay_as_they_are(tags: list[str]) -> None:
    once = normalise(tags)
    assert len(set(once)) == len(once)
    assert all(tag and not tag.startswith("#") for tag in once)
