"""Records for tests: real ones from public fixtures, and small ones written after the APIs' documentation."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from tests.shared_data import shared_data

_FIXTURES = Path(__file__).parents[1] / "fixtures" / "twitter_json"


def real_file(name: str) -> Path | None:
    """A file of real payloads: the shared data's, or the copy in the tree."""
    path = shared_data(f"twitter_json/{name}") or _FIXTURES / name
    return path if path.exists() else None


def records(path: Path) -> list[bytes]:
    """A file as a source reads it: one JSON document, or one record a line."""
    content = gzip.decompress(path.read_bytes())
    try:
        json.loads(content)
    except ValueError:
        return content.removesuffix(b"\n").split(b"\n")
    return [content]


def packed(value: Any) -> bytes:
    return json.dumps(value).encode()


def tweet(**changes: Any) -> bytes:
    """A tweet of API v1.1; ``None`` for a field drops it."""
    plain: dict[str, Any] = {
        "created_at": "Wed Aug 27 13:08:45 +0000 2008",
        "id": 901234567,
        "id_str": "901234567",
        "text": "High water in #Venice again",
        "truncated": False,
        "in_reply_to_status_id_str": None,
        "user": {"id": 7, "screen_name": "lagoon", "name": "L. Agoon"},
        "geo": None,
        "coordinates": None,
        "entities": {"hashtags": [{"text": "Venice", "indices": [14, 21]}], "urls": []},
        "lang": "en",
    }
    return packed({key: value for key, value in {**plain, **changes}.items() if value is not None})


def tweet_v2(**changes: Any) -> dict[str, Any]:
    """A tweet of API v2; ``None`` for a field drops it."""
    plain: dict[str, Any] = {
        "id": "1576994789110992896",
        "edit_history_tweet_ids": ["1576994789110992896"],
        "text": "First snow in #Oslo",
        "created_at": "2022-10-03T17:57:11.000Z",
        "author_id": "42",
        "lang": "en",
        "entities": {"hashtags": [{"start": 14, "end": 19, "tag": "Oslo"}]},
    }
    return {key: value for key, value in {**plain, **changes}.items() if value is not None}


def status(**changes: Any) -> dict[str, Any]:
    """A Mastodon status."""
    plain: dict[str, Any] = {
        "id": "111222333444555666",
        "created_at": "2023-11-05T09:30:00.000Z",
        "in_reply_to_id": None,
        "sensitive": False,
        "visibility": "public",
        "language": "de",
        "uri": "https://social.example/users/heron/statuses/111222333444555666",
        "url": "https://social.example/@heron/111222333444555666",
        "content": '<p>Hochwasser &amp; Sturm in <a href="https://social.example/tags/hamburg" class="mention hashtag" '
        'rel="tag">#<span>Hamburg</span></a></p><p>Bleibt<br />daheim</p>',
        "reblog": None,
        "account": {"id": "1", "username": "heron", "acct": "heron", "bot": False},
        "media_attachments": [],
        "tags": [{"name": "hamburg", "url": "https://social.example/tags/hamburg"}],
    }
    return {**plain, **changes}


def jetstream(**changes: Any) -> dict[str, Any]:
    """A Bluesky Jetstream commit that creates a post; ``record`` and ``commit`` are merged in."""
    record = {
        "$type": "app.bsky.feed.post",
        "createdAt": "2024-09-09T19:46:02.102Z",
        "langs": ["en"],
        "text": "The tide is coming #HighTide",
        "facets": [
            {
                "index": {"byteStart": 19, "byteEnd": 28},
                "features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "HighTide"}],
            }
        ],
        **changes.pop("record", {}),
    }
    changed = changes.pop("commit", {})
    commit = {
        "rev": "3l3qo2vutsw2b",
        "operation": "create",
        "collection": "app.bsky.feed.post",
        "rkey": "3l3qo2vuowo2b",
        "record": record,
        "cid": "bafyreidwaivazkwu67xztlmuobx35hs2lnfh3kolmgfmucldvhd3sgzcqi",
        **(changed or {}),
    }
    return {
        "did": "did:plc:eygmaihciaxprqvxpfvl6flk",
        "time_us": 1_725_911_162_329_308,
        "kind": "commit",
        "commit": None if changed is None else commit,
        **changes,
    }


SENTIMENT140 = b'"0","1467810369","Mon Apr 06 22:19:45 PDT 2009","NO_QUERY","marsh","Awww, that&apos;s a #bummer"'


def generic(**changes: Any) -> dict[str, Any]:
    """A post with the names of the default mapping."""
    plain = {
        "id": 17,
        "source": "forum",
        "author": "wren",
        "text": "Power is out in #Malmö",
        "created_at": "2021-01-02T03:04:05Z",
        "lang": "sv",
    }
    return {**plain, **changes}


#: Records of Twitter's v1.1 API that are no posts, and why they are skipped.
NOTICES = {
    b"": "blank",
    b" \r\n": "blank",
    b":thump": "keep_alive",
    b'{"limit":{"track":1234,"timestamp_ms":"1404129282346"}}': "limit",
    b'{"scrub_geo":{"user_id":14090452,"up_to_status_id":23260136625}}': "scrub_geo",
    b'{"status_withheld":{"id":1234567890,"user_id":123456,"withheld_in_countries":["DE"]}}': "withheld",
    b'{"user_withheld":{"id":123456,"withheld_in_countries":["DE"]}}': "withheld",
    b'{"disconnect":{"code":4,"stream_name":"x","reason":"y"}}': "disconnect",
    b'{"warning":{"code":"FALLING_BEHIND","message":"x","percent_full":60}}': "warning",
    b'{"friends":[1497,169686021]}': "friends",
    b'{"event":"favorite","created_at":"Sat Sep 04 16:10:54 +0000 2010","source":{},"target":{}}': "event",
    b'{"direct_message":{"id":1,"text":"psst"}}': "direct_message",
    b'{"delete":{"favorite":{"id":1,"user_id":3}}}': "unlike",
    b'{"errors":[{"message":"Rate limit exceeded","code":88}]}': "error",
    b'{"id":6253282,"id_str":"6253282","screen_name":"twitterapi","followers_count":1}': "user",
    b'{"statuses":[],"search_metadata":{"count":15}}': "empty_page",
    b'{"meta":{"result_count":0}}': "empty_page",
}
