from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from groundswell.errors import DecodeError
from groundswell.records import Deletion, Post
from operators.decode import Decoder
from operators.shapes.shape import Skip
from tests.operators.payloads import jetstream, packed

DID = "did:plc:eygmaihciaxprqvxpfvl6flk"
ADDRESS = f"at://{DID}/app.bsky.feed.post/3l3qo2vuowo2b"


def read(record: dict[str, Any], shape: str = "auto") -> Any:
    return Decoder(shape).decode_record(packed(record))


@pytest.mark.parametrize("shape", ["auto", "bluesky"])
def test_a_post(shape: str) -> None:
    assert read(jetstream(), shape) == Post(
        id=ADDRESS,
        source="bluesky",
        text="The tide is coming #HighTide",
        created_at=datetime(2024, 9, 9, 19, 46, 2, 102_000, tzinfo=UTC),
        author=DID,
        lang="en",
        hashtags=("hightide",),
        url=f"https://bsky.app/profile/{DID}/post/3l3qo2vuowo2b",
    )


def test_replies_and_tags_beside_the_text() -> None:
    record = read(
        jetstream(record={"reply": {"parent": {"uri": "at://x/app.bsky.feed.post/1"}, "root": {}}, "tags": ["Sea"]})
    )
    assert record.reply_to == "at://x/app.bsky.feed.post/1"
    assert record.hashtags == ("hightide", "sea")


def test_without_facets_tags_come_from_the_text() -> None:
    assert read(jetstream(record={"facets": None})).hashtags == ("hightide",)


@pytest.mark.parametrize("created_at", [None, "", "not a time"])
def test_without_a_time_of_its_own_the_servers_holds(created_at: str | None) -> None:
    record = read(jetstream(record={"createdAt": created_at}))
    assert record.created_at == datetime(2024, 9, 9, 19, 46, 2, 329_308, tzinfo=UTC)


def test_a_deletion() -> None:
    record = jetstream(commit={"operation": "delete"})
    del record["commit"]["record"]
    assert read(record) == Deletion("bluesky", ADDRESS)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (jetstream(commit={"collection": "app.bsky.feed.like", "record": {"subject": {"uri": "at://x"}}}), "like"),
        (jetstream(commit={"collection": "app.bsky.feed.repost", "record": {}}), "repost"),
        (jetstream(commit={"collection": "app.bsky.graph.follow", "operation": "delete"}), "follow"),
        (jetstream(commit={"collection": "chat.example.message", "record": {"text": 7}}), "other_collection"),
        ({"did": DID, "time_us": 1, "kind": "identity", "identity": {"did": DID, "handle": "a.example"}}, "identity"),
        ({"did": DID, "time_us": 1, "kind": "account", "account": {"active": True, "did": DID}}, "account"),
        (jetstream(record={"text": "", "embed": {"$type": "app.bsky.embed.images"}}), "no_text"),
    ],
)
def test_what_is_no_post_is_skipped(record: dict[str, Any], reason: str) -> None:
    assert read(record) == Skip(reason)


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (jetstream(commit=None), "invalid"),
        (jetstream(record={"text": None}), "missing_text"),
        (jetstream(record={"text": 7}), "invalid"),
        (jetstream(record={"createdAt": "?"}, time_us=None), "bad_time"),
        (jetstream(record={"createdAt": None}, time_us=None), "missing_time"),
        (jetstream(commit={"rkey": "\x00"}), "bad_id"),
    ],
)
def test_bad_posts_name_their_cause(record: dict[str, Any], cause: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(record)
    assert caught.value.cause == cause
