from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from groundswell.errors import DecodeError
from groundswell.records import Deletion, Post
from operators.decode import Decoder
from operators.shapes.mastodon import plain
from operators.shapes.shape import Skip
from tests.operators.payloads import packed, status


def read(record: dict[str, Any], shape: str = "auto") -> Any:
    return Decoder(shape).decode_record(packed(record))


@pytest.mark.parametrize("shape", ["auto", "mastodon"])
def test_a_status(shape: str) -> None:
    assert read(status(), shape) == Post(
        id="111222333444555666",
        source="mastodon",
        text="Hochwasser & Sturm in #Hamburg\n\nBleibt\ndaheim",
        created_at=datetime(2023, 11, 5, 9, 30, tzinfo=UTC),
        author="heron",
        lang="de",
        hashtags=("hamburg",),
        url="https://social.example/@heron/111222333444555666",
    )


def test_a_boost_has_the_text_and_tags_of_the_original() -> None:
    boosted = read(status(id="7", content="", tags=[], reblog=status(account={"acct": "tern@other.example"})))
    assert (boosted.id, boosted.repost_of, boosted.author) == ("7", "111222333444555666", "heron")
    assert boosted.text.startswith("Hochwasser")
    assert boosted.hashtags == boosted.original_hashtags == ("hamburg",)


def test_without_tags_they_come_from_the_text() -> None:
    assert read(status(tags=[], content="<p>#Hello</p>")).hashtags == ("hello",)


@pytest.mark.parametrize("event", ["update", "status.update"])
def test_a_streamed_status(event: str) -> None:
    streamed = {"stream": ["public"], "event": event, "payload": json.dumps(status())}
    assert read(streamed) == read(status())


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        ({"stream": ["public"], "event": "delete", "payload": "106692867363994015"}, "106692867363994015"),
        ({"event": "delete", "payload": 12}, "12"),
    ],
)
def test_a_deletion(record: dict[str, Any], outcome: str) -> None:
    assert read(record) == Deletion("mastodon", outcome)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"event": "notification", "payload": "{}"}, "notification"),
        ({"event": "filters_changed", "payload": ""}, "event"),
        (status(content="", media_attachments=[{"type": "image"}]), "no_text"),
        (status(content="<p></p>"), "no_text"),
    ],
)
def test_what_has_no_words_is_skipped(record: dict[str, Any], reason: str) -> None:
    assert read(record) == Skip(reason)


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (status(id=None), "missing_id"),
        (status(created_at=None), "missing_time"),
        (status(created_at="?"), "bad_time"),
        (status(tags=[{"name": 1}]), "invalid"),
        ({"event": "update", "payload": "{"}, "not_json"),
        ({"event": "update", "payload": 5}, "invalid"),
    ],
)
def test_bad_statuses_name_their_cause(record: dict[str, Any], cause: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(record)
    assert caught.value.cause == cause


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a<br>b<br/>c<BR />d", "a\nb\nc\nd"),
        ("<p>1 &lt; 2 &amp;&amp; 3 > 2</p>", "1 < 2 && 3 > 2"),
        (
            (
                '<a href="https://x.example/long"><span class="invisible">https://</span>'
                '<span class="ellipsis">x.example/lo</span><span class="invisible">ng</span></a>'
            ),
            "https://x.example/long",
        ),
        ("no tags", "no tags"),
        ("2 <3 you", "2 <3 you"),
    ],
)
def test_html_as_plain_text(html: str, text: str) -> None:
    assert plain(html) == text
