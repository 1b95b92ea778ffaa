"""Mastodon: statuses of its REST API, and the events of its streaming API.

A status's id is unique on its own server only, and a deletion names nothing else: read
one server's stream. The text is the HTML content as plain text. Boosts (``reblog``) have
the text and tags of the original. A status without words (media alone) is skipped.
"""

from __future__ import annotations

import re

import msgspec

from groundswell.records import Deletion, Post
from operators import hashtags
from operators.shapes import fields
from operators.shapes.shape import Skip

SOURCE = "mastodon"


class _Account(msgspec.Struct, gc=False):
    acct: str | None = None
    username: str | None = None


class _Tag(msgspec.Struct, gc=False):
    name: str


class _Status(msgspec.Struct, gc=False):
    id: str | int | None = None
    created_at: str | float | None = None
    in_reply_to_id: str | int | None = None
    language: str | None = None
    uri: str | None = None
    url: str | None = None
    content: str | None = None
    reblog: _Status | None = None
    account: _Account | None = None
    tags: list[_Tag] | None = None
    text: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    event: str | None = None
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Status).decode
_decode_payload = msgspec.json.Decoder(str | int | _Status).decode

_STATUS_EVENTS = frozenset(("update", "status.update"))


class Mastodon:
    """Statuses and stream events."""

    name = "mastodon"

    def read(self, value: bytes, *, sure: bool) -> Post | Deletion | Skip | None:
        status = _decode(value)
        if status.content is not None and (status.account is not None or sure):
            if not sure and status.text is not msgspec.UNSET and bytes(status.text) != b"null":
                return None
            return _outcome(status)
        if status.event is not None and status.payload is not msgspec.UNSET:
            return _event(status.event, status.payload)
        return None


def _event(event: str, raw: msgspec.Raw) -> Post | Deletion | Skip:
    """An event of the stream; its payload is JSON in a string, for a deletion the bare id."""
    if event == "delete":
        payload = _decode_payload(raw)
        return Deletion(SOURCE, fields.post_id(payload.id if isinstance(payload, _Status) else payload))
    if event not in _STATUS_EVENTS:
        return Skip("notification" if event == "notification" else "event")
    payload = _decode_payload(raw)
    if isinstance(payload, str):
        payload = _decode(payload)
    if isinstance(payload, int):
        raise msgspec.ValidationError("Expected a status, got a number - at `$.payload`")
    return _outcome(payload)


def _outcome(status: _Status) -> Post | Skip:
    original = status.reblog
    told = original if original is not None and original.content else status
    text = plain(told.content or "")
    if not text:
        return Skip("no_text")
    identity = fields.post_id(status.id)
    tags = hashtags.normalise(tag.name for tag in told.tags) if told.tags else hashtags.extract(text)
    account = status.account
    return Post(
        identity,
        SOURCE,
        text,
        fields.moment(status.created_at),
        fields.word(account.acct or account.username) if account is not None else None,
        fields.word(told.language),
        tags,
        fields.word(told.url or told.uri),
        fields.optional_id(status.in_reply_to_id),
        fields.post_id(original.id) if original is not None else None,
        None,
        tags if original is not None else (),
    )


_BREAK = re.compile(r"<br\s{0,3}/?>", re.IGNORECASE)
_PARAGRAPH = re.compile(r"</(?:p|li|blockquote|pre|h[1-6])>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")


def plain(content: str) -> str:
    """HTML as plain text: breaks and paragraphs become line ends, other tags vanish.

    >>> plain('<p>Sun &amp; <a href="https://x.org/tags/sea">#<span>sea</span></a></p><p>now</p>')
    'Sun & #sea\\n\\nnow'
    """
    if "<" in content:
        content = _TAG.sub("", _PARAGRAPH.sub("\n\n", _BREAK.sub("\n", content)))
    return fields.unescape(content).strip().replace("\x00", "\ufffd")
