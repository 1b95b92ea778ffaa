from __future__ import annotations

import csv
import gzip
import io
from hashlib import blake2b
from html import unescape
from itertools import accumulate
from math import log, sqrt
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.trends import Sample
from operators.distinctive_words import PRIOR_WORDS, Background, distinct, distinctive_words
from operators.hashtags import extract
from operators.words import words
from tests.shared_data import shared_data

_SMALL_TALK = [
    "good morning to all of you, what a day it is in the city",
    "the coffee in this house is the best of all",
    "is it just me or is the train late again today",
    "what a match last night, the keeper was the best man of all",
    "can not wait for the weekend, it is going to be good",
    "my cat is on the table again and it is not sorry",
    "the new song is out and it is so good to hear",
    "who is going to the park with me and the dog today",
    "it is late and the office is still full of people",
    "the best pizza in the city is still in the old street",
]
_FLOOD = [
    "#wet the river is over its banks in the old town, stay away",
    "#wet sandbags at the river, the water is rising again",
    "#wet the bridge is closed, the river rises and it is raining",
    "#wet people leave the old town as the water is in the street",
    "#wet more rain to come, the river is rising says the mayor",
    "#wet rescue boats on the river, the water is up to the doors",
]


def _samples(texts: list[str]) -> list[Sample]:
    return [Sample("s", str(number), text) for number, text in enumerate(texts)]


def _background(texts: list[str]) -> Background:
    background = Background()
    for text in texts:
        background.add(text)
    return background


class TestDistinctiveWords:
    def test_are_those_of_the_tag_and_not_those_of_the_language(self) -> None:
        found = dict(distinctive_words(_samples(_FLOOD), _background(_SMALL_TALK * 50 + _FLOOD)))
        assert list(found) == ["river", "water"]
        assert not {"the", "is", "of", "it"} & found.keys()
        assert "wet" not in found

    def test_carry_the_z_score_of_the_log_odds_ratio(self) -> None:
        background = _background(_SMALL_TALK * 50 + _FLOOD)
        [(word, weight), *_] = distinctive_words(_samples(_FLOOD), background)
        here, there = sum(len(words(text)) for text in _FLOOD), background.total
        prior = PRIOR_WORDS * (5 + 5) / (here + there)
        expected = log((5 + prior) / (here + PRIOR_WORDS - 5 - prior)) - log(
            (5 + prior) / (there + PRIOR_WORDS - 5 - prior)
        )
        assert (word, background.count(word)) == ("river", 5)
        assert weight == pytest.approx(expected / sqrt(2 / (5 + prior)))

    def test_are_at_most_the_limit_the_weightiest_first_ties_by_word(self) -> None:
        texts = (
            ["zeta alpha omega beta"] + ["alpha beta omega zeta gamma delta"] * 1 + ["zeta alpha omega beta eins zwei"]
        )
        found = distinctive_words(_samples(texts), _background(_SMALL_TALK * 50), limit=3)
        assert [word for word, _ in found] == ["alpha", "beta", "omega"]

    def test_count_a_text_once_however_often_it_is_passed_on(self) -> None:
        passed_on = [f"breaking mayor resigns after long night {number}" for number in range(50)]
        assert distinctive_words(_samples(passed_on), _background(_SMALL_TALK * 50)) == ()

    @pytest.mark.parametrize("texts", [[], [""], ["#wet https://t.co/a"], ["aa"] * 5, ["aa bb"] * 2])
    def test_are_none_without_evidence(self, texts: list[str]) -> None:
        assert distinctive_words(_samples(texts), _background(_SMALL_TALK)) == ()

    def test_are_none_without_a_background_or_where_it_is_the_samples(self) -> None:
        assert distinctive_words(_samples(_FLOOD), Background()) == ()
        assert distinctive_words(_samples(_FLOOD), _background(_FLOOD)) == ()
        one_word = ["one", "one two", "one three four"]
        assert distinctive_words(_samples(one_word[:1] * 3), _background(one_word[:1])) == ()

    def test_are_fewer_when_little_of_the_stream_is_known(self) -> None:
        thick, thin = (
            distinctive_words(_samples(_FLOOD), _background(_SMALL_TALK * times + _FLOOD)) for times in (50, 2)
        )
        assert {word for word, _ in thin} < {word for word, _ in thick}

    @given(st.lists(st.sampled_from(_FLOOD + _SMALL_TALK), max_size=12), st.lists(st.sampled_from(_SMALL_TALK)))
    def test_are_distinct_words_of_the_samples_with_positive_weights(self, texts: list[str], stream: list[str]) -> None:
        found = distinctive_words(_samples(texts), _background(stream))
        assert {word for word, _ in found} <= {word for text in texts for word in words(text)}
        weights = [weight for _, weight in found]
        assert weights == sorted(weights, reverse=True)
        assert all(weight > 0 for weight in weights)
        assert len(dict(found)) == len(found) <= 20


@given(st.lists(st.frozensets(st.sampled_from("abcdefgh")).map(set), max_size=12))
def test_distinct_texts_equal_those_of_the_plain_way(texts: list[set[str]]) -> None:
    kept: list[set[str]] = []
    for text in texts:
        if text and not any(10 * len(text & other) >= 7 * len(text | other) for other in kept):
            kept.append(text)
    assert distinct(texts) == kept


class TestBackground:
    def test_counts_texts_not_occurrences(self) -> None:
        background = _background(["rain rain", "rain and sun"])
        assert (background.count("rain"), background.count("and"), background.count("hail")) == (2, 1, 0)
        assert (background.total, len(background)) == (4, 3)

    def test_forgets_the_rarest_words_all_of_a_count_together(self) -> None:
        background = Background(max_words=4)
        for text in ["aa bb cc", "aa bb", "aa", "dd"]:
            background.add(text)
        assert len(background) == 4
        background.add("aa ee")
        assert {word: background.count(word) for word in ("aa", "bb", "cc", "dd", "ee")} == {
            "aa": 4, "bb": 2, "cc": 0, "dd": 0, "ee": 0,
        }  # fmt: skip
        assert background.total == 9

    def test_follows_the_stream(self) -> None:
        background = Background(half_life=10)
        for _ in range(10):
            background.add("old news")
        assert (background.count("old"), background.total) == (5, 10)
        for _ in range(40):
            background.add("new news")
        assert (background.count("old"), background.count("new"), background.count("news")) == (0, 9, 9)

    @given(st.lists(st.sampled_from(_SMALL_TALK + _FLOOD)), st.lists(st.sampled_from(_SMALL_TALK)))
    def test_goes_on_from_its_state(self, before: list[str], after: list[str]) -> None:
        background = Background(30, 7)
        for text in before:
            background.add(text)
        resumed = Background.restored(background.state(), 30, 7)
        for text in after:
            background.add(text)
            resumed.add(text)
            assert len(background) <= 30
        assert resumed.state() == background.state()

    def test_makes_its_state_anew_only_after_a_change(self) -> None:
        background = _background(_SMALL_TALK)
        state = background.state()
        assert background.state() is state
        background.add("aa")
        assert background.state() != state

    def test_serves_a_smaller_vocabulary(self) -> None:
        resumed = Background.restored(_background(_SMALL_TALK).state(), max_words=8)
        assert 0 < len(resumed) <= 6

    def test_state_must_be_one(self) -> None:
        with pytest.raises(msgspec.DecodeError):
            Background.restored(b"\xc1")

    def test_refuses_senseless_arguments(self) -> None:
        for arguments in ((0, 1), (1, 0)):
            with pytest.raises(ValueError, match="positive"):
                Background(*arguments)


class _Tweet(NamedTuple):
    id: str
    text: str
    tags: tuple[str, ...]
    on_topic: bool


def _tweets(path: Path) -> list[_Tweet]:
    rows = csv.reader(io.StringIO(gzip.decompress(path.read_bytes()).decode(), newline=""), skipinitialspace=True)
    next(rows)
    return [
        _Tweet(number.strip("' "), text := unescape(raw), extract(text), label.strip() == "on-topic")
        for number, raw, label in rows
    ]


def _average_precision(relevant: list[bool]) -> float:
    hits = accumulate(relevant)
    return mean(hit / rank for rank, (hit, good) in enumerate(zip(hits, relevant, strict=True), 1) if good)


def _order(key: str) -> bytes:
    return blake2b(key.encode()).digest()


def test_rank_untagged_tweets_of_real_disasters() -> None:
    """The summed weight of its distinctive words in a tweet says whether it is about a tag's event.

    Every tag with 60 posts or more (reposts left out) that are about the event, against the stream of all five events.
    """
    folder = shared_data("tweets_trend/crisislex_t6")
    if folder is None:
        pytest.skip("the shared data is not there")
    events = [_tweets(path) for path in sorted(folder.glob("*.csv.gz"))]
    background = _background([at.text for event in events for at in event if not at.text.startswith("RT @")])
    precisions: dict[str, float] = {}
    for event in events:
        contents = [words(tweet.text) for tweet in event]
        originals = [tweet for tweet in event if not tweet.text.startswith("RT @")]
        for tag in {tag for tweet in originals for tag in tweet.tags}:
            tagged = [tweet for tweet in originals if tag in tweet.tags]
            if len(tagged) < 60 or mean(tweet.on_topic for tweet in tagged) < 0.88:
                continue
            sample = sorted(tagged, key=lambda tweet: _order(tweet.id))[:300]
            weights = dict(distinctive_words([Sample("twitter", at.id, at.text) for at in sample], background))
            ranked = sorted(
                (-sum(weights.get(word, 0.0) for word in content), _order(tweet.id), tweet.on_topic)
                for tweet, content in zip(event, contents, strict=True)
                if tag not in tweet.tags
            )
            precisions[tag] = _average_precision([on_topic for *_, on_topic in ranked])
    assert len(precisions) == 20
    assert mean(precisions.values()) > 0.9
    assert min(precisions.values()) > 0.6
