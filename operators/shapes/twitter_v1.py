"""Twitter API v1.1: tweets of the REST and streaming APIs, and what else those send.

The text is the whole text (``extended_tweet`` or ``full_text`` where there is one, also
outside ``display_text_range``: a name or link that a reader does not see is still
looked for). A retweet has the text and hashtags of the original. A quoted tweet is
a post of its own; the quoting one has only its own words.
"""

from __future__ import annotations

from typing import Any

import msgspec

from groundswell.records import Deletion, Geo, Post
from operators import hashtags
from operators.shapes import fields
from operators.shapes.probe import Probe, present
from operators.shapes.shape import Skip

SOURCE = "twitter"


class _User(msgspec.Struct, gc=False):
    screen_name: str | None = None


class _Hashtag(msgspec.Struct, gc=False):
    text: str
    indices: tuple[int, int]


class _Entities(msgspec.Struct, gc=False):
    hashtags: list[_Hashtag] | None = None


class _Extended(msgspec.Struct, gc=False):
    full_text: str | None = None
    entities: _Entities | None = None


class _Tweet(msgspec.Struct, gc=False):
    """The fields that matter, in the order in which Twitter sends them (it is found fastest so)."""

    created_at: str | float | None = None
    id: int | str | None = None
    id_str: str | None = None
    text: str | None = None
    full_text: str | None = None
    truncated: bool | None = None
    in_reply_to_status_id: int | str | None = None
    in_reply_to_status_id_str: str | None = None
    user: _User | None = None
    geo: Any = None
    coordinates: Any = None
    retweeted_status: _Tweet | None = None
    extended_tweet: _Extended | None = None
    entities: _Entities | None = None
    lang: str | None = None


_decode = msgspec.json.Decoder(_Tweet).decode


class TwitterV1:
    """Tweets of API v1.1."""

    name = "twitter_v1"

    def read(self, value: bytes, *, sure: bool) -> Post | None:
        tweet = _decode(value)
        if tweet.text is None and tweet.full_text is None:
            return None
        if not sure and tweet.user is None and tweet.id_str is None:
            return None
        return _post(tweet)


def _post(tweet: _Tweet) -> Post:
    identity = fields.post_id(tweet.id_str or tweet.id)
    original = tweet.retweeted_status
    repost_of = None
    told = tweet
    if original is not None:
        repost_of = fields.post_id(original.id_str or original.id)
        if original.text or original.full_text:
            told = original
    text, tags = _text(told)
    author = fields.word(tweet.user.screen_name) if tweet.user is not None else None
    return Post(
        identity,
        SOURCE,
        text,
        fields.twitter_moment(tweet.created_at, identity),
        author,
        fields.twitter_language(told.lang),
        tags,
        f"https://twitter.com/{author}/status/{identity}" if author else None,
        fields.optional_id(tweet.in_reply_to_status_id_str or tweet.in_reply_to_status_id),
        repost_of,
        _place(tweet) if tweet.coordinates is not None or tweet.geo is not None else None,
        tags if repost_of else (),
    )


def _text(tweet: _Tweet) -> tuple[str, tuple[str, ...]]:
    """The whole text without HTML entities, and its hashtags."""
    text, entities, truncated = tweet.full_text or tweet.text, tweet.entities, bool(tweet.truncated)
    extended = tweet.extended_tweet
    if extended is not None and extended.full_text:
        text, entities, truncated = extended.full_text, extended.entities, False
    readable = fields.unescape(fields.body(text))
    if not text or not hashtags.has_sign(text):
        return readable, ()
    if entities is not None and entities.hashtags:
        # Positions count in the text before its HTML entities are resolved.
        given = hashtags.from_entities(
            text, ((tag.text, *tag.indices) for tag in entities.hashtags), truncated=truncated
        )
        if given is not None:
            return readable, given
    return readable, hashtags.extract(readable)


def _place(tweet: _Tweet) -> Geo | None:
    """``coordinates`` is GeoJSON; ``geo``, its forerunner, has latitude first."""
    return fields.lon_lat(tweet.coordinates) or fields.lon_lat(tweet.geo, latitude_first=True)


class _Deleted(msgspec.Struct):
    id_str: str | None = None
    id: int | str | None = None


class _Delete(msgspec.Struct):
    status: _Deleted | None = None
    favorite: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_delete = msgspec.json.Decoder(_Delete).decode

#: Messages of the streaming API that are no posts: the key that marks one, and its reason.
_NOTICES = {
    "limit": "limit",
    "scrub_geo": "scrub_geo",
    "status_withheld": "withheld",
    "user_withheld": "withheld",
    "disconnect": "disconnect",
    "warning": "warning",
    "friends": "friends",
    "friends_str": "friends",
    "direct_message": "direct_message",
    "trends": "trends",
    "screen_name": "user",
    "errors": "error",
    "error": "error",
}


def notice(probe: Probe) -> Deletion | Skip | None:
    """What a record without a text is, when Twitter's API sends such a thing.

    Raises ``DecodeError`` for a deletion that names no tweet.
    """
    if present(probe.delete):
        told = _decode_delete(probe.delete)
        if told.status is None and told.favorite is not msgspec.UNSET:
            return Skip("unlike")
        deleted = told.status or _Deleted()
        return Deletion(SOURCE, fields.post_id(deleted.id_str or deleted.id))
    if present(probe.event):
        return Skip("event") if present(probe.target) else None
    for key, reason in _NOTICES.items():
        if present(getattr(probe, key)):
            return Skip(reason)
    return None
