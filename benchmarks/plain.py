"""The plain way from a tweet's JSON to a bulk action: ``json.loads`` and dictionaries."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from connectors.elasticsearch_schema import index_name
from groundswell.records import document_id

_TIME_FORMAT = "%a %b %d %H:%M:%S %z %Y"


def plain_action(value: bytes, alias: str) -> dict[str, Any]:
    """The action for the client's bulk helpers that creates the document of a tweet (v1.1)."""
    tweet = json.loads(value)
    told = tweet.get("retweeted_status") or tweet
    whole = told.get("extended_tweet") or told
    text = whole.get("full_text") or told["text"]
    created_at = datetime.strptime(tweet["created_at"], _TIME_FORMAT)
    author = tweet["user"]["screen_name"]
    source: dict[str, Any] = {
        "id": tweet["id_str"],
        "source": "twitter",
        "text": text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"),
        "created_at": created_at.isoformat(),
        "indexed_at": datetime.now(UTC).isoformat(),
        "author": author,
        "lang": told.get("lang"),
        "hashtags": [tag["text"].lower() for tag in whole["entities"]["hashtags"]],
        "url": f"https://twitter.com/{author}/status/{tweet['id_str']}",
        "reply_to": tweet["in_reply_to_status_id_str"],
    }
    if told is not tweet:
        source["repost_of"] = told["id_str"]
    if tweet["coordinates"]:
        lon, lat = tweet["coordinates"]["coordinates"]
        source["geo"] = {"lat": lat, "lon": lon}
    return {
        "_op_type": "create",
        "_index": index_name(alias, "week", created_at),
        "_id": document_id("twitter", tweet["id_str"]),
        "_source": source,
    }
