from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from groundswell.errors import DecodeError
from groundswell.records import Geo, Post
from operators.decode import Decoder
from operators.shapes.shape import Part, Skip
from tests.operators.payloads import packed, tweet_v2

USERS = [{"id": "42", "username": "eider", "name": "E"}, {"id": "43", "username": "gull", "name": "G"}]
ORIGINAL = tweet_v2(id="900", author_id="43", text="the whole #original &amp; more", entities=None, lang="no")
RETWEET = tweet_v2(
    text="RT @gull: the whole #orig…", entities=None, referenced_tweets=[{"type": "retweeted", "id": "900"}]
)


def post(record: dict[str, Any], shape: str = "auto") -> Post:
    outcome = Decoder(shape).decode_record(packed(record))
    assert isinstance(outcome, Post)
    return outcome


def parts(record: dict[str, Any]) -> list[Part]:
    outcome = Decoder().decode_record(packed(record))
    assert isinstance(outcome, list)
    return outcome


@pytest.mark.parametrize("shape", ["auto", "twitter_v2"])
def test_a_streamed_tweet(shape: str) -> None:
    record = {"data": tweet_v2(), "includes": {"users": USERS}, "matching_rules": [{"id": "1", "tag": ""}]}
    assert post(record, shape) == Post(
        id="1576994789110992896",
        source="twitter",
        text="First snow in #Oslo",
        created_at=datetime(2022, 10, 3, 17, 57, 11, tzinfo=UTC),
        author="eider",
        lang="en",
        hashtags=("oslo",),
        url="https://twitter.com/eider/status/1576994789110992896",
    )


def test_default_fields_suffice() -> None:
    record = post({"data": {"id": "1212092628029698048", "text": "hello"}})
    assert record.created_at == datetime(2019, 12, 31, 19, 26, 16, 771_000, tzinfo=UTC)
    assert record.author is None


def test_without_its_user_the_author_is_an_id() -> None:
    assert post({"data": tweet_v2()}).author == "42"


def test_a_retweet_finds_its_original_in_the_includes() -> None:
    record = post({"data": RETWEET, "includes": {"users": USERS, "tweets": [ORIGINAL]}})
    assert (record.text, record.repost_of, record.author) == ("the whole #original & more", "900", "eider")
    assert record.hashtags == record.original_hashtags == ("original",)


def test_a_retweet_without_its_original_keeps_its_own_text() -> None:
    record = post({"data": RETWEET})
    assert (record.text, record.repost_of, record.hashtags) == ("RT @gull: the whole #orig…", "900", ())


def test_a_note_tweet_is_the_whole_text() -> None:
    note = {"text": "long " * 100 + "#end", "entities": {"hashtags": [{"start": 500, "end": 504, "tag": "end"}]}}
    assert post({"data": tweet_v2(note_tweet=note)}).hashtags == ("end",)


def test_replies_places_and_edits() -> None:
    record = post(
        {
            "data": tweet_v2(
                referenced_tweets=[{"type": "quoted", "id": "1"}, {"type": "replied_to", "id": "2"}],
                geo={"place_id": "x", "coordinates": {"type": "Point", "coordinates": [10.7, 59.9]}},
                edit_history_tweet_ids=["1576990000000000000", "1576994789110992896"],
            )
        }
    )
    assert (record.id, record.reply_to, record.repost_of, record.geo) == (
        "1576994789110992896",
        "2",
        None,
        Geo(59.9, 10.7),
    )


def test_a_flattened_tweet() -> None:
    record = tweet_v2(author={"id": "42", "username": "eider"}, referenced_tweets=[{**ORIGINAL, "type": "retweeted"}])
    assert post(record).author == "eider"
    assert post(record).text == "the whole #original & more"


def test_the_posts_of_a_page_decode_alone_too() -> None:
    page = {
        "data": [RETWEET, tweet_v2(text="")],
        "includes": {"users": USERS, "tweets": [ORIGINAL]},
        "errors": [{"title": "Not Found Error", "resource_id": "1"}],
        "meta": {"result_count": 2},
    }
    first, second = parts(page)
    assert isinstance(first.outcome, Post)
    assert Decoder().decode_record(first.raw) == first.outcome
    assert first.outcome.text == "the whole #original & more"
    assert isinstance(second.outcome, DecodeError)
    assert second.outcome.cause == "empty_text"
    with pytest.raises(DecodeError, match="empty_text"):
        Decoder().decode_record(second.raw)


def test_a_broken_include_is_as_good_as_none() -> None:
    assert post({"data": tweet_v2(), "includes": {"users": [{"id": "42", "username": 7}]}}).author == "42"


def test_one_long_original_does_not_fill_the_memory() -> None:
    original = {**ORIGINAL, "text": "x" * 100_000}
    page = {"data": [RETWEET] * 2_000, "includes": {"tweets": [original]}, "meta": {}}
    raws = sum(len(part.raw) for part in parts(page))
    assert raws < 20 * len(packed(page))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"data": [], "meta": {"result_count": 0}}, "empty_page"),
        ({"data": {"id": "1", "name": "A", "username": "a"}}, "user"),
        ({"data": {"start": "x", "end": "y", "tweet_count": 3}}, "counts"),
        ({"errors": [{"title": "ConnectionException"}]}, "error"),
    ],
)
def test_what_is_no_tweet_is_skipped(record: dict[str, Any], reason: str) -> None:
    outcome = Decoder().decode_record(packed(record))
    assert outcome == Skip(reason)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [({"text": None}, "missing_text"), ({"id": None}, "missing_id"), ({"created_at": "?"}, "bad_time")],
)
def test_bad_tweets_name_their_cause(changes: dict[str, Any], cause: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Decoder().decode_record(packed({"data": tweet_v2(**changes)}))
    assert caught.value.cause == cause
