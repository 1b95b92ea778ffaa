from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from groundswell.errors import DecodeError
from groundswell.input_settings import Mapping
from groundswell.records import Post
from operators.decode import Decoder
from tests.operators.payloads import generic, packed


def post(record: dict[str, Any], mapping: Mapping | None = None, shape: str = "generic") -> Post:
    outcome = Decoder(shape, mapping).decode_record(packed(record))
    assert isinstance(outcome, Post)
    return outcome


@pytest.mark.parametrize("shape", ["auto", "generic"])
def test_the_default_mapping(shape: str) -> None:
    assert post(generic(), shape=shape) == Post(
        id="17",
        source="forum",
        text="Power is out in #Malmö",
        created_at=datetime(2021, 1, 2, 3, 4, 5, tzinfo=UTC),
        author="wren",
        lang="sv",
        hashtags=("malmö",),
    )


@pytest.mark.parametrize(
    ("given", "tags"),
    [
        (["#Storm", "storm", "Wind "], ("storm", "wind")),
        ([], ()),
        ([{"text": "Storm"}, {"tag": "wind"}, {"name": "rain"}], ("storm", "wind", "rain")),
        ("['Storm', 'wind']", ("storm", "wind")),
        ("#storm #wind", ("storm", "wind")),
        (None, ("malmö",)),
        ("", ("malmö",)),
    ],
)
def test_given_hashtags_are_normalised_and_not_extracted_again(given: Any, tags: tuple[str, ...]) -> None:
    assert post(generic(hashtags=given)).hashtags == tags


def test_paths_formats_and_a_default_source() -> None:
    mapping = Mapping(
        id="doc.id",
        author="doc.people.0.name",
        text="doc.body",
        created_at="when",
        lang="doc.people.1",
        hashtags="doc.tags",
        reply_to="doc.parent",
        repost_of="doc.copy_of",
        url="doc.link",
        default_source="wire",
        date_formats=("%d.%m.%Y %H:%M",),
    )
    record = {
        "when": "27.08.2008 13:08",
        "doc": {
            "id": "a/1",
            "people": [{"name": "wren"}],
            "body": "x",
            "tags": ["A"],
            "parent": 3,
            "copy_of": "9",
            "link": "u",
        },
    }
    assert post(record, mapping) == Post(
        id="a/1",
        source="wire",
        text="x",
        created_at=datetime(2008, 8, 27, 13, 8, tzinfo=UTC),
        author="wren",
        hashtags=("a",),
        url="u",
        reply_to="3",
        repost_of="9",
        original_hashtags=("a",),
    )


def test_a_row_of_a_table_of_tweets_is_no_tweet() -> None:
    row = {"id_str": "12", "text": "x #y", "created_at": "Wed Aug 27 13:08:45 +0000 2008", "user": "wren"}
    mapping = Mapping(id="id_str", author="user")
    assert post(row, mapping, shape="auto").author == "wren"


def test_the_time_in_a_twitter_id() -> None:
    mapping = Mapping(time_from_twitter_id=True)
    record = generic(id="1212092628029698048", created_at=None)
    assert post(record, mapping).created_at == datetime(2019, 12, 31, 19, 26, 16, 771_000, tzinfo=UTC)
    with pytest.raises(DecodeError, match="bad_time"):
        post(generic(), mapping)


def test_author_source_and_language_are_optional() -> None:
    record = post({"id": "1", "text": "x", "created_at": 1_600_000_000})
    assert (record.author, record.source, record.lang) == (None, "posts", None)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"id": None}, "missing_id"),
        ({"id": ""}, "bad_id"),
        ({"id": True}, "bad_id"),
        ({"id": 1.5}, "bad_id"),
        ({"id": ["1"]}, "bad_id"),
        ({"text": None}, "missing_text"),
        ({"text": ["x"]}, "invalid"),
        ({"created_at": None}, "missing_time"),
        ({"created_at": True}, "bad_time"),
        ({"created_at": {}}, "bad_time"),
        ({"created_at": "soon"}, "bad_time"),
        ({"author": {"name": "x"}}, "invalid"),
        ({"author": "x" * 5000}, "field_too_long"),
        ({"hashtags": {"a": 1}}, "invalid"),
        ({"hashtags": [1]}, "invalid"),
    ],
)
def test_bad_posts_name_their_cause(changes: dict[str, Any], cause: str) -> None:
    with pytest.raises(DecodeError) as caught:
        post(generic(**changes))
    assert caught.value.cause == cause
