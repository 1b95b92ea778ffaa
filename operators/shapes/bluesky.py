"""Bluesky: the events of its Jetstream, one JSON object each.

A post's id is its ``at://`` address; the author is the DID (the stream carries no handle).
Likes, follows and the like are skipped, as are posts without words (media alone).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from groundswell.errors import DecodeError
from groundswell.records import Deletion, Post
from operators import hashtags, times
from operators.shapes import fields
from operators.shapes.shape import Skip

SOURCE = "bluesky"
_POSTS = "app.bsky.feed.post"
#: Other collections that have a reason of their own; the rest is ``other_collection``.
_REASONS = {
    "app.bsky.feed.like": "like",
    "app.bsky.feed.repost": "repost",
    "app.bsky.graph.follow": "follow",
    "app.bsky.graph.block": "block",
    "app.bsky.actor.profile": "profile",
}


class _Feature(msgspec.Struct, gc=False):
    tag: str | None = None


class _Facet(msgspec.Struct, gc=False):
    features: list[_Feature] | None = None


class _Reference(msgspec.Struct, gc=False):
    uri: str | None = None


class _Reply(msgspec.Struct, gc=False):
    parent: _Reference | None = None


class _Record(msgspec.Struct, gc=False):
    createdAt: str | None = None  # noqa: N815 (their name)
    facets: list[_Facet] | None = None
    langs: list[str] | None = None
    reply: _Reply | None = None
    tags: list[str] | None = None
    text: str | None = None


class _Commit(msgspec.Struct, gc=False):
    operation: str
    collection: str
    rkey: str
    #: Decoded only when it is a post: other collections have records of other forms.
    record: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Event(msgspec.Struct, gc=False):
    did: str | None = None
    time_us: int | None = None
    kind: str | None = None
    commit: _Commit | None = None
    text: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Event).decode
_decode_record = msgspec.json.Decoder(_Record).decode


class Bluesky:
    """Jetstream events."""

    name = "bluesky"

    def read(self, value: bytes, *, sure: bool) -> Post | Deletion | Skip | None:
        event = _decode(value)
        if event.did is None or event.kind is None:
            return None
        if not sure and event.text is not msgspec.UNSET:
            return None
        if event.kind != "commit":
            return Skip(event.kind if event.kind in ("identity", "account") else "other_kind")
        if event.commit is None:
            raise DecodeError("invalid", "a commit event without its commit")
        return _outcome(event.did, event.commit, event.time_us)


def _outcome(did: str, commit: _Commit, time_us: int | None) -> Post | Deletion | Skip:
    if commit.collection != _POSTS:
        return Skip(_REASONS.get(commit.collection, "other_collection"))
    address = fields.post_id(f"at://{did}/{_POSTS}/{commit.rkey}")
    if commit.operation == "delete":
        return Deletion(SOURCE, address)
    if commit.record is msgspec.UNSET:
        raise DecodeError("invalid", "a post without its record")
    record = _decode_record(commit.record)
    if record.text is not None and not record.text.strip():
        return Skip("no_text")
    text = fields.body(record.text)
    reply = record.reply.parent.uri if record.reply is not None and record.reply.parent is not None else None
    return Post(
        address,
        SOURCE,
        text,
        _moment(record.createdAt, time_us),
        fields.word(did),
        fields.word(record.langs[0]) if record.langs else None,
        _tags(text, record),
        f"https://bsky.app/profile/{did}/post/{commit.rkey}",
        fields.optional_id(reply),
    )


def _moment(created_at: str | None, time_us: int | None) -> datetime:
    """The author's own time; the server's where that is none."""
    if created_at:
        try:
            return times.parse(created_at)
        except ValueError:
            if time_us is None:
                raise DecodeError("bad_time", f"createdAt {created_at[:60]!r}, and no time_us") from None
    return fields.moment(time_us)


def _tags(text: str, record: _Record) -> tuple[str, ...]:
    given = [
        feature.tag
        for facet in record.facets or ()
        for feature in facet.features or ()
        if feature.tag  # links and mentions have none
    ]
    given.extend(record.tags or ())
    return hashtags.normalise(given) if given else hashtags.extract(text)
