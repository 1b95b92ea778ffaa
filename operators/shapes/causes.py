"""Why a record becomes a dead letter, and why it is skipped: every label value of the two counters.

``docs/decoding.md`` holds the same lines; a test compares them.
"""

from __future__ import annotations

from typing import Final

#: Causes of dead letters from the decode step.
CAUSES: Final = {
    "not_json": "The bytes are no JSON, and no row of a table that is known.",
    "unreadable": "What is left of a file that is damaged, cut off or gone; the detail says why.",
    "bad_utf8": "A field that is read is not UTF-8.",
    "too_deep": "Nested too deeply.",
    "too_large": "More bytes than `decode.max_record_bytes`.",
    "too_many": "One record wraps more than 100,000 posts.",
    "unknown_shape": "JSON, but no post of any known shape.",
    "invalid": "A field of the wrong type.",
    "missing_id": "No id.",
    "bad_id": "An id that is empty, too long, holds a NUL or is of the wrong type.",
    "missing_text": "No text where the shape has it.",
    "empty_text": "A text without a visible character.",
    "field_too_long": "An author, language or link of more than 2,000 characters.",
    "missing_time": "No time, and none in the id.",
    "bad_time": "A time in no known format.",
    "future": "Dated further ahead than `decode.max_future`.",
    "before_floor": "Dated before `decode.floor`.",
}

#: Reasons for which a record is skipped: it is no post, and that is no error.
REASONS: Final = {
    "blank": "An empty line.",
    "keep_alive": "A comment line of an event stream.",
    "header": "The header of a table.",
    "empty_page": "A page of an API without posts.",
    "error": "An error message of an API.",
    "user": "A user's profile.",
    "trends": "A list of trends.",
    "counts": "Counts of tweets.",
    "limit": "Twitter: some tweets were held back.",
    "scrub_geo": "Twitter: places are to be removed.",
    "withheld": "Twitter: a tweet or user is withheld somewhere.",
    "disconnect": "Twitter: the stream ends.",
    "warning": "Twitter: the reader is too slow.",
    "friends": "Twitter: whom the user follows.",
    "direct_message": "Twitter: a private message.",
    "event": "Twitter, Mastodon: something happened that is no post.",
    "unlike": "Twitter: a like was taken back.",
    "notification": "Mastodon: a notification.",
    "no_text": "Mastodon, Bluesky: a post of media alone.",
    "identity": "Bluesky: a handle changed.",
    "account": "Bluesky: an account's state changed.",
    "like": "Bluesky: a like.",
    "repost": "Bluesky: a repost, which has no text.",
    "follow": "Bluesky: a follow.",
    "block": "Bluesky: a block.",
    "profile": "Bluesky: a profile changed.",
    "other_collection": "Bluesky: a record of another collection.",
    "other_kind": "Bluesky: an event of another kind.",
}
