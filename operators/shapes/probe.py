"""A first look at a record of unknown shape: which telling keys does it have?"""

from __future__ import annotations

from typing import TypeGuard

import msgspec
from msgspec import UNSET, Raw, UnsetType


class Probe(msgspec.Struct, gc=False):
    """The keys that tell shapes apart, undecoded."""

    id: Raw | UnsetType = UNSET
    id_str: Raw | UnsetType = UNSET
    text: Raw | UnsetType = UNSET
    full_text: Raw | UnsetType = UNSET
    user: Raw | UnsetType = UNSET
    author: Raw | UnsetType = UNSET
    hashtags: Raw | UnsetType = UNSET
    # Wrappers.
    statuses: Raw | UnsetType = UNSET
    results: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    # Messages of Twitter's v1.1 streams and answers of its API.
    delete: Raw | UnsetType = UNSET
    limit: Raw | UnsetType = UNSET
    scrub_geo: Raw | UnsetType = UNSET
    status_withheld: Raw | UnsetType = UNSET
    user_withheld: Raw | UnsetType = UNSET
    disconnect: Raw | UnsetType = UNSET
    warning: Raw | UnsetType = UNSET
    friends: Raw | UnsetType = UNSET
    friends_str: Raw | UnsetType = UNSET
    direct_message: Raw | UnsetType = UNSET
    event: Raw | UnsetType = UNSET
    target: Raw | UnsetType = UNSET
    trends: Raw | UnsetType = UNSET
    screen_name: Raw | UnsetType = UNSET
    errors: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    # Twitter v2.
    includes: Raw | UnsetType = UNSET
    meta: Raw | UnsetType = UNSET
    matching_rules: Raw | UnsetType = UNSET
    author_id: Raw | UnsetType = UNSET
    edit_history_tweet_ids: Raw | UnsetType = UNSET
    public_metrics: Raw | UnsetType = UNSET
    username: Raw | UnsetType = UNSET
    tweet_count: Raw | UnsetType = UNSET
    # Mastodon.
    account: Raw | UnsetType = UNSET
    content: Raw | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET
    # Bluesky.
    did: Raw | UnsetType = UNSET
    kind: Raw | UnsetType = UNSET


_decode = msgspec.json.Decoder(Probe).decode


def look(value: bytes | Raw) -> Probe:
    """The telling keys of a JSON object; raises what ``msgspec`` does."""
    return _decode(value)


def present(field: Raw | UnsetType) -> TypeGuard[Raw]:
    """Whether a key is there and not null."""
    return field is not UNSET and bytes(field) != b"null"


def identify(probe: Probe) -> str | None:
    """The name of the shape that a single post seems to have; ``None`` when it may be any other.

    Agrees with what each shape's ``read(..., sure=False)`` takes for its own.
    """
    if present(probe.text) or present(probe.full_text):
        # A user that is a name alone stands in a table of tweets, not in a tweet.
        if bytes(probe.user)[:1] == b"{" if present(probe.user) else present(probe.id_str):
            return "twitter_v1"
        if present(probe.author_id) or present(probe.edit_history_tweet_ids) or present(probe.public_metrics):
            return "twitter_v2"
        return None
    if present(probe.data):
        return "twitter_v2"
    if (present(probe.account) and present(probe.content)) or (present(probe.event) and present(probe.payload)):
        return "mastodon"
    if present(probe.did) and present(probe.kind):
        return "bluesky"
    return "twitter_v1" if present(probe.id_str) and present(probe.user) else None
