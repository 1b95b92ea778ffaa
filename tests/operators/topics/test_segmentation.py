"""Hashtags as words: by their spellings, by the word model, and by the words of their posts."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.errors import ModelError
from inference.repository import Repository, default_repository
from inference.word_model import Boundaries, WordFile, WordModel
from model_export import tag_sets
from model_export.words import WEIGHTS
from operators.topics.segmentation import Segmenter
from operators.words import words as words_of
from tests.shared_data import shared_data

#: A model of a few words: what comes first is the most frequent.
WORDS = [
    "the for a in of to up and is my you not i",
    "good day time west world pray flood game morning polls be her the at bus",
    "oklahoma tx iphone youtube news summit g20 4th july tube phone",
]


def file(words: list[str] = WORDS, pairs: dict[str, int] | None = None) -> WordFile:
    lines = ["" for _ in range(130)]
    for level, line in zip((25, 50, 65), words, strict=True):
        lines[level] = line
    saved = ["" for _ in range(60)]
    for pair, level in (pairs or {}).items():
        saved[level] = f"{saved[level]} {pair}".strip()
    return WordFile(step=0.1, weights=WEIGHTS, words=lines, pairs=saved)


SMALL = Segmenter(WordModel(file()))


@pytest.fixture(scope="module")
def shipped() -> Segmenter:
    return Segmenter.open(Repository(default_repository()))


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("prayforoklahoma", ("pray", "for", "oklahoma")),
        ("westtx", ("west", "tx")),
        ("uppolls2017", ("up", "polls", "2017")),
        ("g20summit", ("g20", "summit")),
        ("4thofjuly", ("4th", "of", "july")),
        ("good_morning", ("good", "morning")),
        ("zqxwv", ("zqxwv",)),
        ("a", ("a",)),
        ("2017", ("2017",)),
        ("", ()),
        ("___", ("___",)),
        ("🔥", ("🔥",)),
        ("🔥goodday🔥", ("good", "day")),
        ("कामबोलताहै", ("कामबोलताहै",)),
        ("चुनाव_2017", ("चुनाव", "2017")),
        ("выборы2018", ("выборы", "2018")),
        ("東京オリンピック2020", ("東京オリンピック", "2020")),
        ("goodday東京", ("good", "day", "東京")),
        ("السعودية", ("السعودية",)),
    ],
)
def test_a_tag_is_read_as_words(tag: str, words: tuple[str, ...]) -> None:
    assert SMALL.segment(tag) == words


@pytest.mark.parametrize(
    ("forms", "words"),
    [
        ({"PrayForXyzzyland": 3}, ("pray", "for", "xyzzyland")),
        ({"prayforxyzzyland": 900, "PrayForXyzzyland": 3, "PRAYFORXYZZYLAND": 40}, ("pray", "for", "xyzzyland")),
        ({"PrayForXyzzyland": 3, "prayForXyzzyLand": 5}, ("pray", "for", "xyzzy", "land")),
        ({"#PrayForXyzzyland": 1}, ("pray", "for", "xyzzyland")),
    ],
)
def test_the_most_frequent_spelling_that_shows_words_counts(forms: dict[str, int], words: tuple[str, ...]) -> None:
    assert SMALL.segment("prayforxyzzyland", forms) == words


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("GoodDay2016", ("good", "day", "2016")),
        ("QLDflood", ("qld", "flood")),
        ("QLDFlood", ("qld", "flood")),
        ("GOODDAY", ("good", "day")),
        ("Goodday", ("good", "day")),
        ("NotADay", ("not", "a", "day")),
    ],
)
def test_capitals_show_where_words_begin(form: str, words: tuple[str, ...]) -> None:
    assert SMALL.segment(form.lower(), {form: 1}) == words


def test_a_spelling_with_capitals_that_shows_nothing_inside_may_win() -> None:
    assert SMALL.segment("xyzzyvark", {"XyzzyVark": 900, "Xyzzyvark": 20}) == ("xyzzy", "vark")
    assert SMALL.segment("xyzzyvark", {"XyzzyVark": 20, "Xyzzyvark": 900, "xyzzyvark": 5}) == ("xyzzyvark",)


def test_a_familiar_word_is_not_taken_apart_by_its_capitals() -> None:
    assert SMALL.segment("iphone", {"iPhone": 900}) == ("iphone",)
    assert SMALL.segment("youtube", {"YouTube": 900}) == ("youtube",)


def test_the_words_of_the_posts_tell_what_no_model_knows() -> None:
    posts = {"kaam": 9, "bolta": 7, "hai": 12, "the": 3}
    assert SMALL.segment("kaamboltahai") == ("kaamboltahai",)
    assert SMALL.segment("kaamboltahai", words=posts) == ("kaam", "bolta", "hai")
    assert SMALL.segment("कामबोलताहै", words={"काम": 9, "बोलता": 7, "है": 12}) == ("काम", "बोलता", "है")


def test_the_tag_itself_among_the_words_says_nothing_of_its_inside() -> None:
    assert SMALL.segment("westtx", words={"westtx": 500}) == ("west", "tx")


def test_a_word_written_with_an_apostrophe_is_found_in_the_tag() -> None:
    assert SMALL.segment("zzcantwait", words={"can't": 5, "wait": 5}) == ("zz", "cant", "wait")


def test_words_that_follow_each_other_often_cost_less() -> None:
    alone = WordModel(file()).read("goodmorning")
    paired = WordModel(file(pairs={"good-morning": 30})).read("goodmorning")
    assert alone[0] == paired[0] == ("good", "morning")
    assert paired[1] == pytest.approx(alone[1] - WEIGHTS.pair * 3.0)


_CHARACTERS = st.one_of(
    st.sampled_from("goodaytimewestxflr_0129"),
    st.characters(),
    st.sampled_from("कामहै東京é\u0301\u200dßΣςİ"),
)
_TAGS = st.one_of(st.text(_CHARACTERS, max_size=140), st.lists(st.sampled_from(" ".join(WORDS).split())).map("".join))
_COUNTS = st.dictionaries(st.text(_CHARACTERS, max_size=9), st.integers(0, 500) | st.floats(allow_nan=True), max_size=9)


@given(_TAGS, st.dictionaries(_TAGS, st.integers(0, 9), max_size=3), _COUNTS)
def test_the_words_joined_are_the_tag_save_for_separators(
    tag: str, forms: dict[str, int], words: dict[str, float]
) -> None:
    found = SMALL.segment(tag, forms, words)
    folded = tag.lower() if tag.isascii() else normalize("NFKC", tag).casefold()
    assert all(found)
    if any(character.isalnum() for character in folded):
        rest = iter(folded)
        assert all(character in rest for character in "".join(found))
        kept = [character for character in folded if character.isalnum()]
        assert [character for character in "".join(found) if character.isalnum()] == kept
    else:
        assert "".join(found) == folded or all(not character.isalnum() for character in "".join(found))
    assert SMALL.segment(tag, forms, words) == found


@given(_TAGS, _COUNTS, st.data())
def test_more_evidence_for_a_word_never_takes_it_apart(tag: str, words: dict[str, float], data: st.DataObject) -> None:
    found = SMALL.segment(tag, words=words)
    if found:
        word = data.draw(st.sampled_from(found))
        more = {**words, word: max(0.0, words.get(word, 0)) + data.draw(st.integers(1, 500))}
        assert word in SMALL.segment(tag, words=more)


@given(_TAGS.filter(lambda tag: len(tag) > 1), st.data())
def test_a_reading_costs_what_its_words_cost_and_none_costs_less(tag: str, data: st.DataObject) -> None:
    model = WordModel(file(pairs={"good-day": 25, "for-the": 12}))
    text = "".join(character for character in tag.lower() if character in "abcdefghijklmnopqrstuvwxyz")[:12]
    words, cost = model.read(text)
    assert "".join(words) == text
    places = data.draw(st.frozensets(st.integers(1, max(1, len(text) - 1))))
    forced = model.read(text, boundaries=Boundaries(places))
    assert forced[1] >= cost - WEIGHTS.shown * len(places) - 1e-9


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("prayforoklahoma", ("pray", "for", "oklahoma")),
        ("uppolls2017", ("up", "polls", "2017")),
        ("westtx", ("west", "tx")),
        ("iphone", ("iphone",)),
        ("usa2016", ("usa", "2016")),
    ],
)
def test_the_shipped_model_reads_known_tags(shipped: Segmenter, tag: str, words: tuple[str, ...]) -> None:
    assert shipped.segment(tag) == words


@pytest.mark.parametrize("form", ["PrayForOklahoma", "prayForOklahoma"])
def test_the_shipped_model_reads_spellings(shipped: Segmenter, form: str) -> None:
    assert shipped.segment("prayforoklahoma", {form: 1}) == ("pray", "for", "oklahoma")
    assert shipped.segment("iphone", {"iPhone": 12, "iphone": 3}) == ("iphone",)
    assert shipped.segment("usa2016", {"USA2016": 1}) == ("usa", "2016")
    assert shipped.segment("yycflood", {"yycflood": 1_921, "YYCFlood": 52, "YYCflood": 29}) == ("yyc", "flood")
    assert shipped.segment("yycflood", {}, {"yyc": 70, "flood": 120, "calgary": 90}) == ("yyc", "flood")
    assert shipped.segment("kaamboltahai", {}, {"kaam": 9, "bolta": 7, "hai": 12}) == ("kaam", "bolta", "hai")


#: The lower ends of the 95 % intervals that were published with the model.
FLOORS = {"STAN": 0.865, "BOUN": 0.82, "HashSet": 0.583}


@pytest.mark.parametrize("name", tag_sets.SETS)
def test_the_shipped_model_reads_public_sets_as_well_as_when_it_was_published(shipped: Segmenter, name: str) -> None:
    data = shared_data("")
    if data is None or shared_data(tag_sets.FOLDER) is None:
        pytest.skip("needs the public sets of hashtags")
    tags = tag_sets.read(data)[name][:2_000]
    found = tag_sets.accuracy(tags, lambda each: shipped.segment(each.tag))
    assert found.high >= FLOORS[name]
    if name == "STAN":
        helped = tag_sets.accuracy(
            tags, lambda each: shipped.segment(each.tag, {each.form: 1}, dict.fromkeys(words_of(each.text), 1))
        )
        assert helped.high >= found.share


def test_what_is_no_word_model_is_not_opened() -> None:
    with pytest.raises(ModelError, match="words"):
        Segmenter.open(Repository(default_repository()), "sentiment-baseline")
