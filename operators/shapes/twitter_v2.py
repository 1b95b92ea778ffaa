"""Twitter API v2: pages and single tweets with their includes, and tweets that twarc flattened.

The text is the whole text (``note_tweet`` where there is one). A retweet has the text
and hashtags of the original when the includes hold it. An edited tweet has an id of its
own, which is kept. The author is the user name when the includes tell it, else the user id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from groundswell.errors import DecodeError
from groundswell.records import Geo, Post
from operators import hashtags
from operators.shapes import fields
from operators.shapes.shape import Part, Skip

SOURCE = "twitter"


class _User(msgspec.Struct, gc=False):
    id: str | int | None = None
    username: str | None = None


class _Hashtag(msgspec.Struct, gc=False):
    tag: str
    start: int
    end: int


class _Entities(msgspec.Struct, gc=False):
    hashtags: list[_Hashtag] | None = None


class _Note(msgspec.Struct, gc=False):
    text: str | None = None
    entities: _Entities | None = None


class _Reference(msgspec.Struct, gc=False):
    """Which tweet another one refers to; a flattened one carries its text here."""

    type: str
    id: str | int
    text: str | None = None
    note_tweet: _Note | None = None
    entities: _Entities | None = None
    lang: str | None = None


class _Geo(msgspec.Struct, gc=False):
    coordinates: Any = None


class _Tweet(msgspec.Struct, gc=False):
    id: str | int | None = None
    text: str | None = None
    created_at: str | float | None = None
    author_id: str | int | None = None
    author: _User | None = None
    lang: str | None = None
    entities: _Entities | None = None
    note_tweet: _Note | None = None
    referenced_tweets: list[_Reference] | None = None
    geo: _Geo | None = None
    edit_history_tweet_ids: Raw | UnsetType = UNSET
    public_metrics: Raw | UnsetType = UNSET
    # Things that v2 also sends as data: users, and counts.
    username: Raw | UnsetType = UNSET
    tweet_count: Raw | UnsetType = UNSET
    # Only tweets of v1.1 have these.
    id_str: Raw | UnsetType = UNSET
    user: Raw | UnsetType = UNSET


class _Page(msgspec.Struct, gc=False):
    data: Raw | UnsetType = UNSET
    text: Raw | UnsetType = UNSET
    full_text: Raw | UnsetType = UNSET
    includes: Raw | UnsetType = UNSET
    meta: Raw | UnsetType = UNSET


class _RawIncludes(msgspec.Struct, gc=False):
    users: list[Raw] | None = None
    tweets: list[Raw] | None = None


_decode_page = msgspec.json.Decoder(_Page).decode
_decode_tweet = msgspec.json.Decoder(_Tweet).decode
_decode_user = msgspec.json.Decoder(_User).decode
_decode_includes = msgspec.json.Decoder(_RawIncludes | None).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.Encoder().encode

_T = TypeVar("_T", _User, _Tweet)

#: An included user or tweet of more bytes is none: the longest real ones have a tenth of it.
_LARGEST_INCLUDED = 256 * 1024
#: Bytes of includes that may be copied into the records of single tweets, per byte of a page.
_MOST_COPIES = 16


class _Includes:
    """What the tweets of a page refer to: users and other tweets by id, with their bytes."""

    def __init__(self, raw: Raw | UnsetType = UNSET) -> None:
        self._users: dict[str, tuple[_User, bytes]] = {}
        self._tweets: dict[str, tuple[_Tweet, bytes]] = {}
        self._told: dict[str, tuple[str, tuple[str, ...]]] = {}
        held = None if raw is UNSET else _decode_includes(raw)
        for each in (held and held.users) or ():
            self._keep(self._users, _decode_user, bytes(each))
        for each in (held and held.tweets) or ():
            self._keep(self._tweets, _decode_tweet, bytes(each))
        # Many posts may repeat one tweet: their copies must not outgrow the page beyond measure.
        self._copies = 0 if raw is UNSET else _MOST_COPIES * len(bytes(raw))

    @staticmethod
    def _keep(into: dict[str, tuple[_T, bytes]], decode: Callable[[bytes], _T], raw: bytes) -> None:
        """File one under its id; a broken one is as good as a missing one, which is usual."""
        if len(raw) > _LARGEST_INCLUDED:
            return
        try:
            one = decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if one.id is not None:
            into[str(one.id)] = (one, raw)

    def username(self, author_id: str) -> str | None:
        known = self._users.get(author_id)
        return known[0].username if known else None

    def original(self, identity: str) -> _Tweet | None:
        known = self._tweets.get(identity)
        return known[0] if known else None

    def text_of(self, identity: str, original: _Tweet | _Reference) -> tuple[str, tuple[str, ...]]:
        """Text and hashtags of a retweeted tweet, found once for all its retweets."""
        if identity not in self._told:
            self._told[identity] = _text(original)
        return self._told[identity]

    def alone(self, raw: Raw, tweet: _Tweet | None) -> bytes:
        """A record with just this tweet and what it refers to, so that it decodes by itself."""
        users: list[Raw] = []
        tweets: list[Raw] = []
        if tweet is not None:
            if str(tweet.author_id) in self._users:
                users = [Raw(self._users[str(tweet.author_id)][1])]
            tweets = [Raw(self._tweets[key][1]) for key in dict.fromkeys(_referred(tweet)) if key in self._tweets]
        self._copies -= sum(len(bytes(each)) for each in (*users, *tweets))
        if self._copies < 0 or not (users or tweets):
            return _encode({"data": raw})
        return _encode({"data": raw, "includes": {"users": users, "tweets": tweets}})


def _referred(tweet: _Tweet) -> Iterator[str]:
    for reference in tweet.referenced_tweets or ():
        if reference.type == "retweeted":
            yield str(reference.id)


class TwitterV2:
    """Tweets of API v2."""

    name = "twitter_v2"

    def read(self, value: bytes, *, sure: bool) -> Post | Skip | list[Part] | None:
        page = _decode_page(value)
        if page.text is not UNSET or page.full_text is not UNSET:
            return self._flat(value, sure)
        if page.data is UNSET:
            return None
        start = bytes(page.data)[:1]
        if start == b"[":
            if not sure and page.includes is UNSET:  # other APIs have a ``meta``, too
                return None
            includes = _Includes(page.includes)
            return [_part(raw, includes) for raw in _decode_list(page.data)] or Skip("empty_page")
        if start != b"{":
            return None
        return _outcome(_decode_tweet(page.data), _Includes(page.includes))

    @staticmethod
    def _flat(value: bytes, sure: bool) -> Post | None:
        tweet = _decode_tweet(value)
        if tweet.text is None:
            return None
        if not sure:
            if tweet.id_str is not UNSET or tweet.user is not UNSET:
                return None
            if tweet.author_id is None and tweet.edit_history_tweet_ids is UNSET and tweet.public_metrics is UNSET:
                return None
        return _post(tweet, _Includes())


def _part(raw: Raw, includes: _Includes) -> Part:
    try:
        tweet = _decode_tweet(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Part(includes.alone(raw, None), fields.unreadable(error))
    try:
        return Part(includes.alone(raw, tweet), _outcome(tweet, includes))
    except DecodeError as error:
        return Part(includes.alone(raw, tweet), error)


def _outcome(tweet: _Tweet, includes: _Includes) -> Post | Skip:
    if tweet.text is None:
        if tweet.username is not UNSET:
            return Skip("user")
        if tweet.tweet_count is not UNSET:
            return Skip("counts")
    return _post(tweet, includes)


def _post(tweet: _Tweet, includes: _Includes) -> Post:
    identity = fields.post_id(tweet.id)
    reply_to = repost_of = None
    told: _Tweet | _Reference = tweet
    for reference in tweet.referenced_tweets or ():
        if reference.type == "replied_to":
            reply_to = fields.optional_id(reference.id)
        elif reference.type == "retweeted":
            repost_of = fields.post_id(reference.id)
            original = includes.original(repost_of) or reference
            if original.text:
                told = original
    text, tags = _text(tweet) if repost_of is None or told is tweet else includes.text_of(repost_of, told)
    author = fields.word(_author(tweet, includes))
    return Post(
        identity,
        SOURCE,
        text,
        fields.twitter_moment(tweet.created_at, identity),
        author,
        fields.twitter_language(told.lang),
        tags,
        f"https://twitter.com/{author}/status/{identity}" if author else None,
        reply_to,
        repost_of,
        _place(tweet.geo),
        tags if repost_of else (),
    )


def _author(tweet: _Tweet, includes: _Includes) -> str | None:
    if tweet.author is not None and tweet.author.username:
        return tweet.author.username
    if tweet.author_id is None:
        return None
    identity = str(tweet.author_id)
    return includes.username(identity) or identity


def _text(tweet: _Tweet | _Reference) -> tuple[str, tuple[str, ...]]:
    """The whole text without HTML entities, and its hashtags."""
    text, entities = tweet.text, tweet.entities
    if tweet.note_tweet is not None and tweet.note_tweet.text:
        text, entities = tweet.note_tweet.text, tweet.note_tweet.entities
    readable = fields.unescape(fields.body(text))
    if not text or not hashtags.has_sign(text):
        return readable, ()
    if entities is not None and entities.hashtags:
        given = hashtags.from_entities(
            text, ((tag.tag, tag.start, tag.end) for tag in entities.hashtags), truncated=False
        )
        if given is not None:
            return readable, given
    return readable, hashtags.extract(readable)


def _place(geo: _Geo | None) -> Geo | None:
    return fields.lon_lat(geo.coordinates) if geo is not None else None
