"""Sentiment140: CSV of six columns without a header (polarity, id, date, query, user, text).

A record is one line as CSV, or the six columns as a JSON array. The polarity is the
business of evaluation, not of the job: it is left out. Lines that are not UTF-8 are
taken for Latin-1, in which the published files are written.
"""

from __future__ import annotations

import csv

import msgspec

from groundswell.errors import DecodeError
from groundswell.records import Post
from operators import hashtags
from operators.shapes import fields
from operators.shapes.shape import Skip

SOURCE = "twitter"
_COLUMNS = 6
_HEADS = frozenset(("target", "polarity", "sentiment", "label"))

_decode_row = msgspec.json.Decoder(list[str | int | float | None]).decode


class Sentiment140:
    """Rows of six columns."""

    name = "sentiment140"

    def read(self, value: bytes, *, sure: bool) -> Post | Skip | None:
        try:
            row = _row(value)
        except DecodeError:
            if sure:
                raise
            return None
        if row is None or len(row) != _COLUMNS:
            return None
        polarity, identity, date, _, author, text = row
        if polarity.strip().casefold() in _HEADS:
            return Skip("header")
        if not sure and not _is_polarity(polarity):
            return None
        tweet_id = fields.post_id(identity.strip())
        readable = fields.body(fields.unescape(text))
        name = fields.word(author)
        return Post(
            tweet_id,
            SOURCE,
            readable,
            fields.twitter_moment(date, tweet_id),
            name,
            None,
            hashtags.extract(readable),
            f"https://twitter.com/{name}/status/{tweet_id}" if name else None,
        )


def _is_polarity(text: str) -> bool:
    return text.strip() in ("0", "2", "4")


def _row(value: bytes) -> list[str] | None:
    start = value.lstrip()[:1]
    if start == b"[":
        return ["" if cell is None else str(cell) for cell in _decode_row(value)]
    if start == b"{":
        return None
    try:
        line = value.decode("utf-8")
    except UnicodeDecodeError:
        line = value.decode("latin-1")
    try:
        return next(csv.reader([line.strip("\r\n")]), None)
    except csv.Error as error:
        raise DecodeError("invalid", f"not a line of CSV: {error}") from error
