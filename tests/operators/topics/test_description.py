"""A topic says what its tag's posts have in common; with less evidence it is made of what there is, and says so."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.topics import Topic
from operators.topics.description import describe, describe_label, mean_direction, without_hashtags
from tests.operators.topics.evidence import AT, POSTS, SPACE, Spelled, embed, model, trend


def described(**given: object) -> Topic:
    return describe(trend(**given), Spelled(), embed, SPACE, AT, model())  # type: ignore[arg-type]


def test_a_topic_has_a_phrase_a_label_words_a_vocabulary_and_vectors() -> None:
    topic = described()
    assert topic.phrase == "pray for oklahoma"
    assert topic.label.startswith("pray for oklahoma: ")
    assert {word for word, _ in topic.words} >= {"tornado", "moore", "relief"}
    assert topic.vocabulary["tornado"] > topic.vocabulary["water"] > topic.vocabulary.get("the", 0.0)
    assert topic.vocabulary["prayforoklahoma"] > 1
    assert topic.space == SPACE and topic.label_vector is not None and topic.centre is not None
    assert (topic.posts, topic.steps, topic.model) == (len(POSTS), (), "topic-evidence@test")


def test_its_strongest_words_come_first_and_name_the_label() -> None:
    topic = described()
    weights = [weight for _, weight in topic.words]
    assert weights == sorted(weights, reverse=True)
    named = topic.label.partition(": ")[2].split(", ")
    assert named == [word for word, _ in topic.words if word not in topic.phrase.split()][:3]


def test_a_word_that_the_stream_sets_apart_too_comes_before() -> None:
    assert described(words=(("shelter", 30.0),)).words[0][0] == "shelter"


def test_copies_of_a_post_count_once() -> None:
    once, often = described(), described(posts=(*POSTS, *[POSTS[5]] * 50))
    assert often.words == once.words
    assert often.vocabulary == once.vocabulary
    assert often.centre == once.centre


def test_without_posts_the_topic_is_its_tag_and_its_companions() -> None:
    topic = described(posts=())
    assert topic.label == "pray for oklahoma: moore, okwx"
    assert topic.centre is None and topic.label_vector is not None
    assert set(topic.vocabulary) == {"pray", "for", "oklahoma", "prayforoklahoma"}
    assert any("no posts" in step for step in topic.steps)


def test_without_words_the_label_is_the_phrase_alone() -> None:
    topic = described(posts=("the day is good #prayforoklahoma",), cotags=())
    assert topic.label == topic.phrase == "pray for oklahoma"
    assert any("label is the tag alone" in step for step in topic.steps)
    assert any("rests on little" in step for step in topic.steps)


@pytest.mark.parametrize("tag", ["bigwet2013", "выборы", "地震", "_"])
def test_a_tag_that_reads_as_one_word_is_taken_as_it_is(tag: str) -> None:
    topic = described(tag=tag, label=tag, posts=())
    assert topic.phrase == tag
    assert any("taken as it is" in step for step in topic.steps)


def test_posts_in_another_language_are_set_apart_by_the_stream_alone() -> None:
    posts = [f"погода {place} наводнение вода город #выборы" for place in ("там", "тут", "здесь")]
    topic = described(tag="выборы", label="выборы", posts=posts, words=(("наводнение", 9.0),))
    assert set(topic.vocabulary) == {"выборы", "наводнение"}
    assert topic.words == (("наводнение", 9.0),)
    assert any("another" in step or "language" in step for step in topic.steps)


@pytest.mark.parametrize(("given", "space"), [(None, None), (embed, "another-space")])
def test_without_vectors_that_the_model_knows_posts_are_compared_by_words_alone(
    given: object, space: str | None
) -> None:
    topic = describe(trend(), Spelled(), given, space, AT, model())  # type: ignore[arg-type]
    assert (topic.centre, topic.label_vector, topic.space) == (None, None, None)
    assert any("by words alone" in step for step in topic.steps)


def test_a_person_s_label_is_a_topic_without_posts() -> None:
    topic = describe_label("storm", "a tornado near a town", embed, SPACE, AT, model())
    assert (topic.tag, topic.label, topic.centre) == ("storm", "a tornado near a town", None)
    assert topic.vocabulary["tornado"] > 0 and topic.label_vector is not None


def test_a_topic_survives_its_way_through_json() -> None:
    topic = described()
    assert msgspec.json.decode(msgspec.json.encode(topic), type=Topic) == topic


@given(st.text(max_size=60))
def test_removing_hashtags_leaves_no_hashtag_and_plain_texts_as_they_are(text: str) -> None:
    if "#" not in text and "\uff03" not in text:
        assert without_hashtags(text) == text
    without_hashtags(text)


@given(st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=5))
def test_a_mean_direction_is_as_long_as_its_largest_component_allows(vectors: list[bytes]) -> None:
    found = mean_direction(vectors)
    if found is not None:
        assert np.abs(np.frombuffer(found, dtype=np.int8)).max() == 127


@given(st.lists(st.text(max_size=80), max_size=4), st.text(min_size=1, max_size=20))
def test_any_posts_and_any_tag_make_a_topic(posts: list[str], tag: str) -> None:
    topic = described(tag=tag, label=tag, posts=posts)
    assert topic.label and topic.tag == tag
