"""Batches: origins, unfolding, replays, refusals, and the step that carries them."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import msgspec
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from groundswell import metrics
from groundswell.errors import DecodeError
from groundswell.records import Batch, Deletion, Envelope, Origin, RawBatch
from operators.decode import Decoder, decode_step
from operators.shapes.reader import MOST_PARTS
from operators.shapes.shape import Outcome, Part
from tests.operators.payloads import NOTICES, SENTIMENT140, generic, jetstream, packed, status, tweet, tweet_v2

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def clock() -> datetime:
    return NOW


def decode(*values: bytes, decoder: Decoder | None = None, **changes: Any) -> Batch:
    batch = RawBatch("posts", 3, list(range(100, 100 + len(values))), list(values), **changes)
    return (decoder or Decoder(clock=clock)).decode(batch)


def envelopes(batch: Batch) -> list[Envelope]:
    return [change for change in batch.changes if isinstance(change, Envelope)]


class TestBatch:
    def test_every_record_becomes_a_change_a_dead_letter_or_a_skip(self) -> None:
        delete = packed({"delete": {"status": {"id_str": "5"}}})
        values = [tweet(), delete, b"{]", b'{"limit":{"track":1}}', tweet(id_str="6")]
        batch = decode(*values)
        assert (batch.stream, batch.partition, batch.records) == ("posts", 3, 5)
        assert batch.size == sum(map(len, values))
        first, deletion, last = batch.changes
        assert isinstance(first, Envelope)
        assert isinstance(last, Envelope)
        assert (first.origin, first.raw) == (Origin("posts", 3, 100), values[0])
        assert deletion == Deletion("twitter", "5")
        assert (last.origin, last.post.id) == (Origin("posts", 3, 104), "6")
        (dead,) = batch.dead
        assert (dead.origin, dead.step, dead.cause) == (Origin("posts", 3, 102), "decode", "not_json")
        assert (dead.time, dead.value) == (NOW, b"{]")
        assert batch.skipped == Counter(limit=1)

    def test_an_empty_batch(self) -> None:
        assert decode() == Batch("posts", 3, 0, 0, [], [], Counter())

    def test_a_source_that_knows_the_shape_overrules_the_setting(self) -> None:
        batch = decode(SENTIMENT140, decoder=Decoder("mastodon", clock=clock), shape="sentiment140")
        assert [each.post.author for each in envelopes(batch)] == ["marsh"]

    def test_an_unknown_shape_is_refused_at_once(self) -> None:
        with pytest.raises(ValueError, match="no shape 'myspace': one of auto, twitter_v1"):
            Decoder("myspace")


class TestUnfolding:
    @pytest.mark.parametrize(
        "wrap",
        [
            lambda posts: posts,
            lambda posts: {"statuses": posts, "search_metadata": {}},
            lambda posts: {"results": posts, "requestParameters": {}},
            lambda posts: {"data": posts},
            lambda posts: [{"statuses": posts}],
        ],
    )
    def test_the_posts_of_a_record_are_numbered_from_one(self, wrap: Any) -> None:
        posts = [msgspec.json.decode(tweet(id_str="1")), {"id_str": "2", "user": {}}, {"trends": []}]
        posts.append(msgspec.json.decode(tweet(id_str="4")))
        batch = decode(packed(wrap(posts)))
        assert [(each.origin.index, each.post.id) for each in envelopes(batch)] == [(1, "1"), (4, "4")]
        assert [(letter.key, letter.cause) for letter in batch.dead] == [("posts/3/100#2", "missing_text")]
        assert batch.skipped == Counter(trends=1)
        assert batch.records == 1

    def test_each_post_has_its_own_bytes(self) -> None:
        posts = [tweet(id_str="1"), b'{"id_str": "2",  "user": {}}', b"7"]
        batch = decode(b"[" + b" , ".join(posts) + b"]")
        assert [each.raw for each in envelopes(batch)] == posts[:1]
        assert [letter.value for letter in batch.dead] == posts[1:]

    def test_a_page_of_generic_posts(self) -> None:
        pages: list[dict[str, Any]] = [{}, {"meta": {"count": 2}}]
        without_author = {key: value for key, value in generic(id="a1").items() if key not in ("author", "hashtags")}
        for page in pages:
            for posts in ([generic(id=1), generic(id="2")], [without_author, generic(id=3)]):
                batch = decode(packed({"data": posts, **page}))
                assert [each.post.source for each in envelopes(batch)] == ["forum", "forum"]

    def test_posts_of_many_shapes_in_one_array(self) -> None:
        batch = decode(packed([msgspec.json.decode(tweet()), status(), jetstream(), generic(), {"data": tweet_v2()}]))
        sources = [each.post.source for each in envelopes(batch)]
        assert sources == ["twitter", "mastodon", "bluesky", "forum", "twitter"]

    def test_wrappers_are_opened_only_so_deep(self) -> None:
        batch = decode(b"[[[[[" + tweet() + b"]]]]]")
        assert [(letter.cause, letter.origin.index) for letter in batch.dead] == [("too_deep", 1)]

    def test_a_record_of_too_many_posts_is_one_dead_letter(self) -> None:
        value = b"[" + b"{}," * MOST_PARTS + b"{}]"
        assert [(letter.cause, letter.key) for letter in decode(value).dead] == [("too_many", "posts/3/100")]


class TestReplay:
    def test_a_replayed_record_keeps_its_first_origin(self) -> None:
        origin = Origin("feed", 1, 7, 2)
        batch = decode(b"{", tweet(), b"{", replayed={0: origin, 1: Origin("feed", 1, 8)})
        assert [letter.origin for letter in batch.dead] == [origin, Origin("posts", 3, 102)]
        assert [each.origin for each in envelopes(batch)] == [Origin("feed", 1, 8)]

    def test_a_dead_letter_from_a_page_decodes_alone_and_keeps_its_key(self) -> None:
        user = {"id": "42", "username": "eider"}
        late = tweet_v2(created_at="2026-03-01T00:00:00Z")
        batch = decode(packed({"data": [tweet_v2(), late], "includes": {"users": [user]}}))
        (dead,) = batch.dead
        assert (dead.cause, dead.key) == ("future", "posts/3/100#2")
        patient = Decoder(clock=lambda: NOW + timedelta(days=90))
        (again,) = envelopes(decode(dead.value, decoder=patient, replayed={0: dead.origin}))
        assert (again.origin, again.post.author) == (dead.origin, "eider")

    def test_a_replayed_page_unfolds_under_its_own_offset(self) -> None:
        batch = decode(packed([{}, {}]), replayed={0: Origin("feed", 1, 7)})
        assert [letter.key for letter in batch.dead] == ["feed/1/7#1", "feed/1/7#2"]

    def test_a_replayed_part_that_unfolds_takes_no_neighbours_key(self) -> None:
        batch = decode(packed([{}, {}]), replayed={0: Origin("feed", 1, 7, 2)})
        keys = [letter.origin.index for letter in batch.dead]
        assert len(set(keys)) == 2
        assert min(keys) > MOST_PARTS


class TestTimes:
    def test_a_post_from_the_future_is_refused_beyond_the_allowed_skew(self) -> None:
        at_the_limit, beyond = (packed(generic(created_at=f"2026-01-02T00:00:0{second}Z")) for second in (0, 1))
        batch = decode(at_the_limit, beyond)
        assert len(batch.changes) == 1
        assert [(letter.cause, letter.detail) for letter in batch.dead] == [
            ("future", "dated 2026-01-02T00:00:01+00:00, later than 2026-01-02T00:00:00+00:00")
        ]

    def test_a_post_before_the_floor_is_refused(self) -> None:
        decoder = Decoder(floor=datetime(2021, 1, 2, 3, 4, 6, tzinfo=UTC), clock=clock)
        batch = decode(packed(generic()), packed(generic(created_at="2021-01-02T03:04:06Z")), decoder=decoder)
        assert [letter.cause for letter in batch.dead] == ["before_floor"]
        assert len(batch.changes) == 1

    def test_decode_record_refuses_too(self) -> None:
        decoder = Decoder(clock=clock)
        with pytest.raises(DecodeError, match="future"):
            decoder.decode_record(packed(generic(created_at="2027-01-01")))
        parts = decoder.decode_record(packed([generic(created_at="1999-01-01")]))
        assert isinstance(parts, list)
        assert isinstance(parts[0].outcome, DecodeError)
        assert parts[0].outcome.cause == "before_floor"


class TestHostileRecords:
    @pytest.mark.parametrize(
        ("value", "cause"),
        [
            (b"\xff\xfe\x00", "not_json"),
            (tweet(text="TEXT").replace(b"TEXT", b"\xff"), "bad_utf8"),
            (b"[" * 100_000, "too_deep"),
            (b'{"text":' * 100_000, "too_deep"),
            (b'{"id":1,"text":"x","created_at":NaN}', "not_json"),
            (b'{"id":1,"text":"x","created_at":1e999}', "invalid"),
            (b'{"id":' + b"9" * 5000 + b',"text":"x","created_at":1}', "invalid"),
            (b'{"id":' + b"9" * 3000 + b',"text":"x","created_at":1}', "bad_id"),
            (b'{"id":1,"text":"x","created_at":' + b"9" * 300 + b"}", "bad_time"),
            (b"null", "unknown_shape"),
            (b"42", "unknown_shape"),
            (b"{}", "unknown_shape"),
            (b"[1,2]", "unknown_shape"),
            (b"a line of prose", "not_json"),
            (tweet()[:-1], "not_json"),
        ],
    )
    def test_each_is_one_dead_letter_with_its_bytes(self, value: bytes, cause: str) -> None:
        (dead,) = decode(value).dead
        assert (dead.cause, dead.value) == (cause, value)
        assert len(dead.detail) <= 300

    def test_a_record_above_the_limit(self) -> None:
        decoder = Decoder(clock=clock, max_record_bytes=100)
        batch = decode(b"x" * 101, tweet(), b" " * 100, decoder=decoder)
        assert [letter.cause for letter in batch.dead] == ["too_large", "too_large"]
        assert batch.skipped == Counter(blank=1)

    @pytest.mark.parametrize(
        ("escaped", "text"),
        [
            (rb"half \ud83d here", "half \ufffd here"),
            (rb"half \ude00", "half \ufffd"),
            (rb"\ud83d\ud83d\ude00", "\ufffd😀"),
            (rb"a path \\ud83d and \ud83d.", "a path \\ud83d and \ufffd."),
        ],
    )
    def test_half_an_emoji_is_replaced(self, escaped: bytes, text: str) -> None:
        value = tweet(text="TEXT", entities=None).replace(b"TEXT", escaped)
        (envelope,) = envelopes(decode(value))
        assert (envelope.post.text, envelope.raw) == (text, value)

    def test_a_nul_in_the_text_is_replaced(self) -> None:
        assert envelopes(decode(tweet(text="a\x00b #c")))[0].post.text == "a\ufffdb #c"

    def test_a_byte_order_mark_is_no_part_of_the_record(self) -> None:
        for shape in ("auto", "twitter_v1"):
            assert len(decode(b"\xef\xbb\xbf" + tweet() + b"\r\n", decoder=Decoder(shape, clock=clock)).changes) == 1


def test_a_record_means_the_same_whatever_came_before_it() -> None:
    records = [
        tweet(),
        packed({"data": tweet_v2()}),
        packed(tweet_v2()),
        packed({"data": [tweet_v2()], "meta": {}}),
        packed({"data": [generic()]}),
        packed({"data": [generic()], "meta": {}}),
        packed([generic(), status()]),
        packed(status()),
        packed({"event": "delete", "payload": "1"}),
        packed(jetstream()),
        packed(jetstream(kind="identity")),
        packed(generic()),
        packed(generic(user="x")),
        packed({"id": 1, "text": "x", "created_at": "2020-01-01"}),
        packed(generic(content="x", account={"acct": "y"})),
        packed(generic(did="x", kind="commit")),
        SENTIMENT140,
        packed(["4", "1", "Mon Apr 06 22:19:45 PDT 2009", "q", "u", "t"]),
        b"{",
        b"[]",
        *NOTICES,
    ]
    alone = {record: _outcome(Decoder(clock=clock), record) for record in records}
    shuffled = random.Random(7)
    decoder = Decoder(clock=clock)
    for _ in range(2_000):
        record = shuffled.choice(records)
        assert _outcome(decoder, record) == alone[record], record


def _outcome(decoder: Decoder, record: bytes) -> Outcome | list[Part] | str:
    try:
        return decoder.decode_record(record)
    except DecodeError as error:
        return str(error)


def test_the_step_counts_what_it_decodes_and_passes_on_what_is_decoded() -> None:
    def counted() -> dict[str, float]:
        names = {
            "posts": ("groundswell_posts_decoded_total", {}),
            "skipped": ("groundswell_records_skipped_total", {"reason": "limit"}),
            "dead": ("groundswell_dead_letters_total", {"step": "decode", "cause": "not_json"}),
            "batches": ("groundswell_step_seconds_count", {"step": "decode"}),
        }
        return {key: metrics.REGISTRY.get_sample_value(*name) or 0.0 for key, name in names.items()}

    before = counted()
    delete = packed({"delete": {"status": {"id_str": "5"}}})
    raw = RawBatch("posts", 0, [0, 1, 2, 3, 4], [tweet(), tweet(), delete, b"{", b'{"limit":{"track":1}}'])
    decoded = Batch("posts", 0, 1, 1, [], [], Counter())
    inputs: list[RawBatch | Batch] = [raw, decoded, raw]
    out: list[Batch] = []
    flow = Dataflow("decoding")
    source: TestingSource[RawBatch | Batch] = TestingSource(inputs)
    stream = op.input("in", flow, source)
    op.output("out", decode_step("decode", stream, Decoder(clock=clock)), TestingSink(out))
    run_main(flow)
    assert out[1] is decoded
    assert [len(batch.changes) for batch in out] == [3, 0, 3]
    assert {key: value - before[key] for key, value in counted().items()} == {
        "posts": 4,
        "skipped": 2,
        "dead": 2,
        "batches": 2,
    }
