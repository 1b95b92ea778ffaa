"""Every file of real payloads becomes exactly the posts that it holds."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from groundswell.input_settings import Mapping
from groundswell.records import Batch, Envelope, RawBatch
from operators.decode import Decoder
from tests.operators.payloads import real_file, records

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Holds(NamedTuple):
    """What a file holds; by reading, not by running."""

    posts: int
    blank: int = 0
    trends: int = 0
    unknown_shape: int = 0
    not_json: int = 0


_GNIP = "gnip_tweet_parser"
_BROKEN = f"{_GNIP}/broken_and_unsupported_payloads"
_HOLDS = {
    # Activity Streams is none of the shapes that are looked for; a mapping reads it (below).
    f"{_GNIP}/activity_streams_examples.json.gz": Holds(0, unknown_shape=25),
    f"{_BROKEN}/activity_streams_additional_field.json.gz": Holds(1),
    f"{_BROKEN}/activity_streams_missing_field.json.gz": Holds(0, unknown_shape=1),
    f"{_BROKEN}/original_format_additional_field.json.gz": Holds(1),
    f"{_BROKEN}/original_format_missing_field.json.gz": Holds(1),
    f"{_BROKEN}/original_format_missing_quotetweet_field.json.gz": Holds(1),
    f"{_BROKEN}/original_format_missing_user.json.gz": Holds(1),
    f"{_BROKEN}/public_api_sample.json.gz": Holds(20),
    f"{_GNIP}/original_format_examples.json.gz": Holds(25),
    "rumoureval2017_train_dev.jsonl.gz": Holds(4519),
    "simdjson_twitter.json.gz": Holds(100),
    "stream_nl_2016.jsonl.gz": Holds(1000),
    "v11_python_twitter/get_home_timeline.json.gz": Holds(20),
    "v11_python_twitter/get_mentions.json.gz": Holds(19),
    "v11_python_twitter/get_search_geocode.json.gz": Holds(15),
    "v11_python_twitter/get_search_raw.json.gz": Holds(100),
    "v11_python_twitter/get_status_ext_alt.json.gz": Holds(1),
    "v11_python_twitter/get_status_with_place.json.gz": Holds(1),
    "v11_python_twitter/get_statuses.1.json.gz": Holds(100),
    "v11_python_twitter/get_trends_current.json.gz": Holds(0, trends=1),
    "v11_python_twitter/get_trends_current_unicode.json.gz": Holds(0, trends=1),
    "v11_python_twitter/get_user_timeline_count.json.gz": Holds(63),
    "v11_python_twitter/models_status_quoted_tweet.json.gz": Holds(1),
    "v11_python_twitter/models_status_quoted_tweet_with_media.json.gz": Holds(1),
    "v11_python_twitter/public_timeline.json.gz": Holds(20),
    "v11_python_twitter/streaming_lines.json.gz": Holds(72),
    "v11_twitter_ruby/premium_search_from.json.gz": Holds(58),
    "v11_twitter_ruby/premium_search_point_radius.json.gz": Holds(100),
    "v11_twitter_ruby/premium_search_to.json.gz": Holds(100),
    "v11_twitter_ruby/retweets.json.gz": Holds(1),
    "v11_twitter_ruby/search.json.gz": Holds(3),
    "v11_twitter_ruby/statuses.json.gz": Holds(20),
    "v11_twitter_ruby/track_streaming.json.gz": Holds(2, blank=1),
    "v2_twarc/brexit.jsonl.gz": Holds(100),
    "v2_twarc/cashtags.jsonl.gz": Holds(1),
    "v2_twarc/cotweet.jsonl.gz": Holds(1),
    "v2_twarc/edited_after.jsonl.gz": Holds(1),
    "v2_twarc/edited_before.jsonl.gz": Holds(1),
    "v2_twarc/entities_test.jsonl.gz": Holds(474),
    "v2_twarc/flat.jsonl.gz": Holds(100),
    "v2_twarc/geo_tweets.jsonl.gz": Holds(2),
    "v2_twarc/many_urls.jsonl.gz": Holds(1),
    "v2_twarc/media_policy_violation_off.jsonl.gz": Holds(100),
    "v2_twarc/media_tweet.jsonl.gz": Holds(1),
    "v2_twarc/mentions_tweet.jsonl.gz": Holds(1),
    "v2_twarc/noflat.jsonl.gz": Holds(100),
    "v2_twarc/quoted_edit.jsonl.gz": Holds(1),
    "v2_twarc/streaming_output_with_error.jsonl.gz": Holds(7, not_json=1),
    "v2_twarc/two_tweets.jsonl.gz": Holds(1),
}
_FILES = [name for name in _HOLDS if real_file(name)]


def decode(name: str, decoder: Decoder | None = None) -> Batch:
    path = real_file(name)
    assert path is not None
    values = records(path)
    decoder = decoder or Decoder(clock=lambda: NOW)
    return decoder.decode(RawBatch(name, 0, list(range(len(values))), values))


def posts(name: str) -> dict[str, Envelope]:
    return {change.post.id: change for change in decode(name).changes if isinstance(change, Envelope)}


def objects(name: str) -> list[dict[str, Any]]:
    """All JSON objects of a file that look like v1.1 tweets, however deep."""
    path = real_file(name)
    assert path is not None
    found: list[dict[str, Any]] = []

    def walk(value: Any) -> None:
        if isinstance(value, list):
            for each in value:
                walk(each)
        elif isinstance(value, dict):
            if "created_at" in value and ("text" in value or "full_text" in value):
                found.append(value)
            else:
                walk(list(value.values()))

    for line in records(path):
        if line.strip():
            walk(json.loads(line))
    return found


def test_the_tree_holds_files_of_its_own() -> None:
    assert len(_FILES) >= 19


@pytest.mark.parametrize("name", _FILES)
def test_a_file_holds(name: str) -> None:
    batch = decode(name)
    holds = _HOLDS[name]
    causes = Counter(letter.cause for letter in batch.dead)
    assert (
        Holds(
            posts=len(batch.changes),
            blank=batch.skipped["blank"],
            trends=batch.skipped["trends"],
            unknown_shape=causes["unknown_shape"],
            not_json=causes["not_json"],
        )
        == holds
    )
    assert sum(batch.skipped.values()) == holds.blank + holds.trends
    assert len(batch.dead) == holds.unknown_shape + holds.not_json


@pytest.mark.parametrize("name", [name for name in _FILES if not name.startswith("v2") and _HOLDS[name].posts])
def test_a_tweet_tells_what_a_plain_reading_of_its_json_tells(name: str) -> None:
    plain = objects(name)
    decoded = posts(name)
    assert {str(tweet.get("id_str", tweet["id"])) for tweet in plain} == set(decoded)
    for tweet in plain:
        post = decoded[str(tweet.get("id_str", tweet["id"]))].post
        original = tweet.get("retweeted_status")
        assert post.repost_of == (original["id_str"] if original else None)
        assert post.author == tweet.get("user", {}).get("screen_name")
        assert post.created_at == datetime.strptime(tweet["created_at"], "%a %b %d %H:%M:%S %z %Y")
        assert post.reply_to == (tweet.get("in_reply_to_status_id_str") or None)
        told = original or tweet
        told = {**told, **told.get("extended_tweet", {})}
        text = told.get("full_text") or told["text"]
        assert post.text == text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("&quot;", '"')
        tags = [tag["text"] for tag in told.get("entities", {}).get("hashtags", [])]
        if not any(f"#{tag}…" in text for tag in tags):
            assert set(post.hashtags) == {tag.lower() for tag in tags}


@pytest.mark.parametrize(
    "name", [name for name in _FILES if name.startswith("v2") and not name.endswith("/flat.jsonl.gz")]
)
def test_each_post_of_a_v2_page_decodes_alone(name: str) -> None:
    decoder = Decoder(clock=lambda: NOW)
    for envelope in posts(name).values():
        assert decoder.decode_record(envelope.raw) == envelope.post


def test_activity_streams_can_be_mapped() -> None:
    mapping = Mapping(
        source="provider.displayName",
        author="actor.preferredUsername",
        text="body",
        created_at="postedTime",
        lang="twitter_lang",
        hashtags="twitter_entities.hashtags",
    )
    for name in _FILES:
        if name.endswith("activity_streams_examples.json.gz"):
            batch = decode(name, Decoder("generic", mapping, clock=lambda: NOW))
            assert len(batch.changes) == 25


def test_edits_keep_their_own_ids() -> None:
    before, after = (set(posts(f"v2_twarc/edited_{when}.jsonl.gz")) for when in ("before", "after"))
    assert len(before | after) == 2
