from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from groundswell.errors import DecodeError
from groundswell.records import Deletion, Geo, Post
from operators.decode import Decoder
from operators.shapes.shape import Skip
from tests.operators.payloads import NOTICES, packed, tweet


def post(record: bytes, shape: str = "auto") -> Post:
    outcome = Decoder(shape).decode_record(record)
    assert isinstance(outcome, Post)
    return outcome


@pytest.mark.parametrize("shape", ["auto", "twitter_v1"])
def test_a_tweet(shape: str) -> None:
    assert post(tweet(), shape) == Post(
        id="901234567",
        source="twitter",
        text="High water in #Venice again",
        created_at=datetime(2008, 8, 27, 13, 8, 45, tzinfo=UTC),
        author="lagoon",
        lang="en",
        hashtags=("venice",),
        url="https://twitter.com/lagoon/status/901234567",
    )


def test_an_extended_tweet_has_its_whole_text_and_its_own_entities() -> None:
    record = tweet(
        text="The long one with #fir… https://t.co/x",
        truncated=True,
        entities={"hashtags": []},
        extended_tweet={
            "full_text": "The long one with #first and #second &amp; &lt;more&gt;",
            "display_text_range": [0, 45],
            "entities": {"hashtags": [{"text": "first", "indices": [18, 24]}, {"text": "second", "indices": [29, 36]}]},
        },
    )
    assert post(record).text == "The long one with #first and #second & <more>"
    assert post(record).hashtags == ("first", "second")


def test_full_text_is_kept_outside_its_display_range() -> None:
    record = tweet(text=None, full_text="@gull thanks for #Sea", display_text_range=[6, 21], entities={"hashtags": []})
    assert post(record).text == "@gull thanks for #Sea"


def test_compatibility_mode_drops_the_tag_that_was_cut() -> None:
    text = "word " * 10 + "#whole #half… https://t.co/x"
    entities = {"hashtags": [{"text": "whole", "indices": [50, 56]}, {"text": "half", "indices": [57, 62]}]}
    assert post(tweet(text=text, truncated=True, entities=entities)).hashtags == ("whole",)
    assert post(tweet(text=text, truncated=True, entities=None)).hashtags == ("whole",)


def test_a_retweet_has_the_text_and_tags_of_the_original() -> None:
    original: dict[str, Any] = {
        "id_str": "5",
        "id": 5,
        "text": "cut #h…",
        "truncated": True,
        "lang": "it",
        "user": {"screen_name": "gull"},
        "extended_tweet": {"full_text": "all of it #here", "entities": {"hashtags": []}},
    }
    record = post(tweet(text="RT @gull: cut #h…", entities=None, retweeted_status=original))
    assert (record.text, record.repost_of, record.author, record.lang) == ("all of it #here", "5", "lagoon", "it")
    assert record.hashtags == record.original_hashtags == ("here",)
    assert record.id == "901234567"


def test_a_quoting_tweet_has_its_own_words_only() -> None:
    record = post(tweet(is_quote_status=True, quoted_status={"id": 9, "text": "not mine #other"}))
    assert record.text == "High water in #Venice again"
    assert record.repost_of is None
    assert record.hashtags == ("venice",)


@pytest.mark.parametrize(
    "entities",
    [
        pytest.param({"hashtags": [{"text": "Venice", "indices": [15, 22]}]}, id="shifted"),
        pytest.param({"hashtags": [{"text": "Venise", "indices": [14, 21]}]}, id="another text"),
        pytest.param({"hashtags": []}, id="emptied"),
        pytest.param(None, id="missing"),
    ],
)
def test_wrong_entities_give_way_to_the_text(entities: Any) -> None:
    assert post(tweet(entities=entities)).hashtags == ("venice",)


def test_positions_count_in_the_escaped_text() -> None:
    record = tweet(text="A &amp; B #C", entities={"hashtags": [{"text": "C", "indices": [10, 12]}]})
    assert (post(record).text, post(record).hashtags) == ("A & B #C", ("c",))


def test_an_ampersand_before_the_sign_makes_no_tag() -> None:
    assert post(tweet(text="A&amp;#B", entities=None)).hashtags == ()


@pytest.mark.parametrize(
    ("places", "geo"),
    [
        ({"coordinates": {"type": "Point", "coordinates": [12.3, 45.4]}}, Geo(45.4, 12.3)),
        ({"geo": {"type": "Point", "coordinates": [45.4, 12.3]}}, Geo(45.4, 12.3)),
        ({"geo": {"type": "Point", "coordinates": [45.4, 122.3]}}, Geo(45.4, 122.3)),
        ({"coordinates": {"type": "Point", "coordinates": [512.3, 45.4]}}, None),
        ({"coordinates": {"type": "Polygon", "coordinates": [[[1, 2]]]}}, None),
        ({"coordinates": "nowhere"}, None),
    ],
)
def test_places(places: dict[str, Any], geo: Geo | None) -> None:
    assert post(tweet(**places)).geo == geo


def test_optional_fields_may_be_missing() -> None:
    record = post(tweet(user=None, lang="und", in_reply_to_status_id_str="77"))
    assert (record.author, record.lang, record.url, record.reply_to) == (None, None, None, "77")


def test_without_a_date_the_id_tells_the_time() -> None:
    record = post(tweet(created_at=None, id_str="1212092628029698048"))
    assert record.created_at == datetime(2019, 12, 31, 19, 26, 16, 771_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"text": ""}, "empty_text"),
        ({"text": " \n"}, "empty_text"),
        ({"id": None, "id_str": ""}, "missing_id"),
        ({"id_str": "1\x002"}, "bad_id"),
        ({"id_str": "9" * 3000}, "bad_id"),
        ({"created_at": None}, "missing_time"),
        ({"created_at": "long ago"}, "bad_time"),
        ({"text": None}, "missing_text"),
        ({"text": 5}, "invalid"),
        ({"lang": ["en"]}, "invalid"),
        ({"retweeted_status": {"text": "no id"}}, "missing_id"),
    ],
)
@pytest.mark.parametrize("shape", ["auto", "twitter_v1"])
def test_bad_tweets_name_their_cause(changes: dict[str, Any], cause: str, shape: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Decoder(shape).decode_record(tweet(**changes))
    assert caught.value.cause == cause


@pytest.mark.parametrize(("record", "reason"), NOTICES.items())
@pytest.mark.parametrize("shape", ["auto", "twitter_v1"])
def test_what_is_no_tweet_is_skipped(record: bytes, reason: str, shape: str) -> None:
    decoder = Decoder(shape)
    assert decoder.decode_record(record) == Skip(reason)
    assert post(tweet())  # and the decoder goes on as before
    assert decoder.decode_record(record) == Skip(reason)


def test_a_deletion() -> None:
    record = packed({"delete": {"status": {"id": 1234, "id_str": "1234", "user_id": 3}, "timestamp_ms": "1"}})
    assert Decoder().decode_record(record) == Deletion("twitter", "1234")


def test_a_deletion_of_nothing_is_an_error() -> None:
    with pytest.raises(DecodeError, match="missing_id"):
        Decoder().decode_record(b'{"delete":{"status":{}}}')
