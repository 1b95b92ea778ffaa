"""Posts are scored against topics by what they have in common; many topics at once as one after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from operators.hashtags import extract
from operators.topics.description import describe, describe_label
from operators.topics.score import TopicScorer
from tests.operators.topics.evidence import ABOUT, AT, NOT_ABOUT, SPACE, Spelled, embed, model, trend

TOPIC = describe(trend(), Spelled(), embed, SPACE, AT, model())
WORDS_ALONE = describe(trend(), Spelled(), None, None, AT, model())
LABEL = describe_label("storm", "a tornado near a town", embed, SPACE, AT, model())
TOPICS = (TOPIC, WORDS_ALONE, LABEL)


def test_a_post_about_it_is_scored_above_one_that_is_not_in_every_form() -> None:
    texts = [ABOUT, NOT_ABOUT]
    for vectors in (embed(texts), [None, None]):
        scores = TopicScorer(TOPICS, model()).score(texts, vectors, [(), ()])
        assert (scores[0] > scores[1]).all()
    assert TopicScorer([TOPIC], model()).score(texts, embed(texts), [(), ()])[0, 0] > 0.5


def test_a_post_with_the_tag_is_scored_above_the_same_without() -> None:
    scores = TopicScorer([TOPIC], model()).score([ABOUT] * 2, embed([ABOUT] * 2), [(), ("prayforoklahoma",)])
    assert scores[1, 0] > scores[0, 0]


def test_a_shift_moves_all_but_posts_with_the_tag() -> None:
    rare = replace(TOPIC, shift=-3.0)
    texts, tags = [ABOUT, ABOUT], [(), ("prayforoklahoma",)]
    before, after = (TopicScorer([each], model()).score(texts, embed(texts), tags)[:, 0] for each in (TOPIC, rare))
    odds = np.log(before / (1 - before)) - np.log(after / (1 - after))
    assert np.allclose(odds, [3.0, 0.0])


def test_no_posts_and_no_topics_give_empty_tables() -> None:
    assert TopicScorer(TOPICS, model()).score([], [], []).shape == (0, 3)
    assert TopicScorer([], model()).score([ABOUT], [None], [()]).shape == (1, 0)


@given(st.lists(st.tuples(st.text(max_size=60), st.booleans()), max_size=6))
def test_many_topics_and_posts_at_once_are_scored_as_each_alone(posts: list[tuple[str, bool]]) -> None:
    texts = [text for text, _ in posts]
    vectors = [embed([text])[0] if there else None for text, there in posts]
    tags = [extract(text) for text in texts]
    together = TopicScorer(TOPICS, model()).score(texts, vectors, tags)
    assert ((together >= 0) & (together <= 1)).all()
    for column, topic in enumerate(TOPICS):
        alone = TopicScorer([topic], model())
        for row in range(len(texts)):
            one = alone.score(texts[row : row + 1], vectors[row : row + 1], tags[row : row + 1])
            assert np.isclose(one[0, 0], together[row, column], atol=1e-6)
