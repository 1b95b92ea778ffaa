"""Whatever the bytes are: posts, deletions, skips or dead letters, and nothing else.

``GROUNDSWELL_FUZZ_CASES`` sets the number of mutated payloads (100,000 by default).
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell.records import Batch, DeadLetter, Deletion, Envelope, Origin, Post, RawBatch
from operators.decode import Decoder
from operators.shapes.causes import CAUSES, REASONS
from tests.operators.payloads import (
    NOTICES,
    SENTIMENT140,
    generic,
    jetstream,
    packed,
    real_file,
    records,
    status,
    tweet,
    tweet_v2,
)

CASES = int(os.environ.get("GROUNDSWELL_FUZZ_CASES", "100000"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATEST = NOW + timedelta(days=1)
FLOOR = datetime(2006, 1, 1, tzinfo=UTC)
SHAPES = ("auto", "twitter_v1", "twitter_v2", "mastodon", "bluesky", "sentiment140", "generic")
#: Larger payloads are left to their own test: a mutation of a page tells little more than one of a post.
_LARGEST = 12_000

_FILES = (
    "simdjson_twitter.json.gz",
    "stream_nl_2016.jsonl.gz",
    "v11_python_twitter/streaming_lines.json.gz",
    "v11_python_twitter/get_status_with_place.json.gz",
    "v11_python_twitter/models_status_quoted_tweet.json.gz",
    "v11_python_twitter/public_timeline.json.gz",
    "v11_python_twitter/get_trends_current.json.gz",
    "v11_twitter_ruby/premium_search_to.json.gz",
    "v11_twitter_ruby/search.json.gz",
    "v2_twarc/edited_after.jsonl.gz",
    "v2_twarc/flat.jsonl.gz",
    "v2_twarc/geo_tweets.jsonl.gz",
    "v2_twarc/mentions_tweet.jsonl.gz",
    "v2_twarc/streaming_output_with_error.jsonl.gz",
    "v2_twarc/two_tweets.jsonl.gz",
)

_TOKENS = [
    b"\x00", b"\xff", b"\xed\xa0\x80", rb"\ud800", rb"\udc00", rb"\u0000", rb"\\", b'"', b"{", b"}", b"[", b"]", b",",
    b"null", b"NaN", b"-", b"1e999", b"9" * 400, b"9" * 5000, b'""', b"[]", b"{}", b"[" * 2000, b"#", b"\xef\xbc\x83",
    b"&#99999999999999;", b"&#" + b"9" * 4400 + b";", b"&amp;#", b"\xe2\x80\xa6", b"<br>", b"\n", b"\xef\xbb\xbf",
]  # fmt: skip

_VALUES: list[Any] = [
    None, True, 0, -1, 2**63, 10**25, 1e308, 0.5, "", " ", "\x00", "#", "#a", "x" * 3000, "\ud800", [], {}, [[]],
    [None], {"": 0}, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "Wed Aug 27 13:08:45 +0000 2099", 10**16,
    {"coordinates": [1e300, "x"]}, {"hashtags": [{"text": "a", "indices": [10**12, -5]}]}, "&#" + "9" * 4400 + ";",
]  # fmt: skip


def _seeds() -> list[bytes]:
    seeds = [SENTIMENT140, *NOTICES, tweet(), packed(generic()), packed(status()), packed(jetstream())]
    seeds += [
        packed(status(reblog=status())),
        packed({"event": "update", "payload": json.dumps(status())}),
        packed({"data": tweet_v2(), "includes": {"users": [{"id": "42", "username": "eider"}]}}),
        packed(tweet_v2(author={"username": "eider"})),
        packed(["0", "1", "Mon Apr 06 22:19:45 PDT 2009", "q", "u", "text #tag"]),
        packed(generic(hashtags=["#A", "b"], url="u", reply_to=1, repost_of="2")),
    ]
    for name in _FILES:
        path = real_file(name)
        for record in records(path) if path else []:
            seeds.extend(_posts_of(record))
    return [seed for seed in seeds if len(seed) <= _LARGEST]


def _posts_of(record: bytes) -> Iterator[bytes]:
    """The record, and the posts that it wraps."""
    yield record
    try:
        value = json.loads(record)
    except ValueError:
        return
    wrapped = value if isinstance(value, list) else value.get("statuses") or value.get("results") or []
    yield from map(packed, wrapped)


def _truncate(value: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    return value[: chance.randrange(len(value) + 1)]


def _flip(value: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    changed = bytearray(value)
    for _times in range(chance.randint(1, 8) if changed else 0):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _insert(value: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    at = chance.randrange(len(value) + 1)
    return value[:at] + chance.choice(_TOKENS) + value[at:]


def _drop(value: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    at = chance.randrange(len(value) + 1)
    return value[:at] + value[at + chance.randint(1, 200) :]


def _splice(value: bytes, chance: random.Random, seeds: list[bytes]) -> bytes:
    other = chance.choice(seeds)
    return value[: chance.randrange(len(value) + 1)] + other[chance.randrange(len(other) + 1) :]


def _wrap(value: bytes, chance: random.Random, seeds: list[bytes]) -> bytes:
    key = chance.choice([b'"statuses"', b'"results"', b'"data"', b'"retweeted_status"', b'"reblog"', b'"delete"'])
    inner = b"[" + value + b"," + chance.choice(seeds) + b"]" if chance.random() < 0.7 else value
    return inner if chance.random() < 0.2 else b"{" + key + b":" + inner + b"}"


def _replace(value: bytes, chance: random.Random, seeds: list[bytes]) -> bytes:
    """Valid JSON in which some values are others, some keys gone, some moved."""
    try:
        tree = json.loads(value)
    except (ValueError, RecursionError):
        return _insert(value, chance, seeds)
    for _times in range(chance.randint(1, 3)):
        node: Any = tree
        while isinstance(node, (dict, list)) and node:
            key = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
            below = node[key]
            if not isinstance(below, (dict, list)) or not below or chance.random() < 0.4:
                if chance.random() < 0.2:
                    del node[key]
                else:
                    node[key] = copy.deepcopy(chance.choice(_VALUES))  # a later change must not reach the list
                break
            node = below
    return packed(tree)


_MUTATIONS: list[Callable[[bytes, random.Random, list[bytes]], bytes]] = [
    _truncate, _flip, _flip, _insert, _insert, _drop, _splice, _wrap, _replace, _replace, _replace
]  # fmt: skip


def check(batch: RawBatch, decoded: Batch) -> None:
    """What holds of every decoded batch."""
    assert (decoded.records, decoded.size) == (len(batch.values), batch.size)
    origins: list[Origin] = []
    for change in decoded.changes:
        if isinstance(change, Envelope):
            origins.append(change.origin)
            _check_post(change.post)
        else:
            assert isinstance(change, Deletion)
            change.id.encode()
    for letter in decoded.dead:
        origins.append(letter.origin)
        _check_letter(letter, batch)
    assert len({origin.key for origin in origins}) == len(origins)
    assert {origin.offset for origin in origins} <= set(batch.offsets)
    assert set(decoded.skipped) <= set(REASONS)
    told = len(origins) + sum(decoded.skipped.values()) + len(decoded.changes)
    assert told >= len(batch.values)


def _check_post(post: Post) -> None:
    assert post.id
    assert post.source
    assert post.text.strip()
    assert "\x00" not in post.text
    assert FLOOR <= post.created_at <= LATEST
    assert len(set(post.hashtags)) == len(post.hashtags)
    assert not any(tag[0] == "#" for tag in post.hashtags)
    msgspec.json.encode(post)  # raises for what is no Unicode


def _check_letter(letter: DeadLetter, batch: RawBatch) -> None:
    assert letter.step == "decode"
    assert letter.cause in CAUSES
    letter.detail.encode()
    if letter.origin.index == 0:
        assert letter.value == batch.values[batch.offsets.index(letter.origin.offset)]


def test_mutated_payloads() -> None:
    chance = random.Random(20260101)
    seeds = _seeds()
    assert len(seeds) > 200
    decoders = [Decoder(shape, clock=lambda: NOW) for shape in SHAPES]
    outcomes = [0, 0, 0]
    for start in range(0, CASES, 50):
        values = []
        for _times in range(min(50, CASES - start)):
            value = chance.choice(seeds)
            for _more in range(chance.choice((1, 1, 2, 4))):
                value = chance.choice(_MUTATIONS)(value, chance, seeds)
            values.append(value)
        batch = RawBatch("fuzz", 0, list(range(start, start + len(values))), values)
        decoder = decoders[0] if chance.random() < 0.6 else chance.choice(decoders)
        decoded = decoder.decode(batch)
        check(batch, decoded)
        outcomes[0] += len(decoded.changes)
        outcomes[1] += len(decoded.dead)
        outcomes[2] += sum(decoded.skipped.values())
    # The mutations are worth something only while many payloads survive them and many do not.
    assert min(outcomes[0], outcomes[1]) > CASES / 10


_KEYS = [
    "id",
    "id_str",
    "text",
    "full_text",
    "user",
    "created_at",
    "entities",
    "hashtags",
    "data",
    "includes",
    "users",
    "tweets",
    "statuses",
    "delete",
    "status",
    "content",
    "account",
    "did",
    "kind",
    "commit",
    "record",
    "collection",
    "operation",
    "rkey",
    "event",
    "payload",
    "referenced_tweets",
    "author_id",
]

_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(_VALUES)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=6), st.sampled_from(_KEYS)), inner, max_size=6),
    ),
    max_leaves=20,
)


@settings(max_examples=1_000, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=200), _json.map(packed)), max_size=5), st.sampled_from(SHAPES))
def test_arbitrary_bytes_and_arbitrary_json(values: list[bytes], shape: str) -> None:
    batch = RawBatch("fuzz", 0, list(range(len(values))), values)
    check(batch, Decoder(shape, clock=lambda: NOW).decode(batch))
