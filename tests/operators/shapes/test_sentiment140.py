from __future__ import annotations

from datetime import UTC, datetime

import pytest

from groundswell.errors import DecodeError
from groundswell.records import Post
from operators.decode import Decoder
from operators.shapes.shape import Skip
from tests.operators.payloads import SENTIMENT140, packed


@pytest.mark.parametrize("shape", ["auto", "sentiment140"])
@pytest.mark.parametrize(
    "record",
    [
        SENTIMENT140,
        SENTIMENT140 + b"\r\n",
        packed(["0", "1467810369", "Mon Apr 06 22:19:45 PDT 2009", "NO_QUERY", "marsh", "Awww, that&apos;s a #bummer"]),
        packed([0, 1467810369, "Mon Apr 06 22:19:45 PDT 2009", None, "marsh", "Awww, that's a #bummer"]),
    ],
)
def test_a_row(record: bytes, shape: str) -> None:
    assert Decoder(shape).decode_record(record) == Post(
        id="1467810369",
        source="twitter",
        text="Awww, that's a #bummer",
        created_at=datetime(2009, 4, 7, 5, 19, 45, tzinfo=UTC),
        author="marsh",
        hashtags=("bummer",),
        url="https://twitter.com/marsh/status/1467810369",
    )


def test_rows_of_the_published_files_are_latin_1() -> None:
    outcome = Decoder().decode_record(SENTIMENT140.replace(b"bummer", b"caf\xe9"))
    assert isinstance(outcome, Post)
    assert outcome.hashtags == ("café",)


def test_a_header_is_skipped() -> None:
    assert Decoder().decode_record(b"target,ids,date,flag,user,text") == Skip("header")


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (SENTIMENT140.replace(b"1467810369", b""), "bad_id"),
        (SENTIMENT140.replace(b"Apr", b"Foo"), "bad_time"),
        (b'"0","1","Mon Apr 06 22:19:45 PDT 2009","q","u",""', "empty_text"),
        (b'"0","1","q"', "not_json"),
        (b"two\nlines", "not_json"),
        (b'["0","1","q"]', "unknown_shape"),
        (b'"0"', "unknown_shape"),
    ],
)
def test_bad_rows_name_their_cause(record: bytes, cause: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Decoder().decode_record(record)
    assert caught.value.cause == cause
