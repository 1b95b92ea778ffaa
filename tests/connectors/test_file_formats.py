"""Every format gives back the records that went in, whole or resumed anywhere."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.file_formats import FileOptions, FileRecords, Position
from connectors.json_values import MAX_RECORD_BYTES
from groundswell.records import UNREADABLE
from tests.shared_data import shared_data

Record = dict[str, Any]

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
_RECORDS = st.lists(
    st.builds(lambda text, number, inner: {"id": number, "text": text, "inner": inner}, _TEXT, st.integers(0, 10**18),
              st.lists(st.dictionaries(_TEXT, _TEXT, max_size=2), max_size=3)),
    max_size=12,
)  # fmt: skip


def _lines(records: list[Record]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def _lines_with_gaps(records: list[Record]) -> bytes:
    return b"\xef\xbb\xbf\r\n" + b"\r\n \r\n\r\n".join(
        json.dumps(record, ensure_ascii=False).encode() for record in records
    )


def _array(records: list[Record]) -> bytes:
    return json.dumps(records, ensure_ascii=False).encode()


def _pretty_array(records: list[Record]) -> bytes:
    return b"\n\n" + json.dumps(records, indent=2, ensure_ascii=False).encode() + b"\n"


def _pretty_documents(records: list[Record]) -> bytes:
    return b"\n".join(json.dumps(record, indent=1, ensure_ascii=False).encode() for record in records)


def _utf16_lines(records: list[Record]) -> bytes:
    return "\n".join(json.dumps(record) for record in records).encode("utf-16")


_JSON: dict[str, Callable[[list[Record]], bytes]] = {
    "lines": _lines,
    "lines with gaps": _lines_with_gaps,
    "array": _array,
    "pretty array": _pretty_array,
    "pretty documents": _pretty_documents,
    "lines in UTF-16": _utf16_lines,
}


def _two_members(data: bytes) -> bytes:
    return gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]) + bytes(7)


def _two_frames(data: bytes) -> bytes:
    pack = zstandard.ZstdCompressor().compress
    return pack(data[: len(data) // 3]) + pack(data[len(data) // 3 :])


_PACKING: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip in two members": _two_members,
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd in two frames": _two_frames,
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


_number = count()


def _file(folder: Path, data: bytes, suffix: str = "") -> Path:
    path = folder / f"{next(_number)}{suffix}"
    path.write_bytes(data)
    return path


def _read(path: Path, options: FileOptions = FileOptions(), position: Position = Position()) -> list[bytes]:  # noqa: B008
    reader = FileRecords(path, options, position)
    values = []
    while not reader.exhausted:
        values += reader.take(500, 1 << 20)
    reader.close()
    return values


def _read_with_resumes(path: Path, steps: list[int], options: FileOptions = FileOptions()) -> list[bytes]:  # noqa: B008
    """Take ``steps`` records at a time, each time with a new reader at the stored position."""
    values: list[bytes] = []
    position = Position()
    turn = 0
    while True:
        reader = FileRecords(path, options, position)
        values += reader.take(steps[turn % len(steps)], 1 << 20)
        turn += 1
        position = reader.position
        reader.close()
        assert position.ordinal == len(values)
        if reader.exhausted:
            return values


@pytest.mark.parametrize("packing", _PACKING)
@pytest.mark.parametrize("layout", _JSON)
@settings(max_examples=25, deadline=None)
@given(records=_RECORDS, steps=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_json_in_every_layout_and_packing(
    folder: Path, layout: str, packing: str, records: list[Record], steps: list[int]
) -> None:
    path = _file(folder, _PACKING[packing](_JSON[layout](records)))
    values = _read(path)
    assert [json.loads(value) for value in values] == records
    assert _read_with_resumes(path, steps) == values


def _csv(records: list[Record], delimiter: str, encoding: str = "utf-8") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["id", "text", "created at"])
    writer.writerows([record["id"], record["text"], "2020-01-01"] for record in records)
    return out.getvalue().encode(encoding)


# What a cell may hold besides text: separators, quotation marks, line breaks.
_CELL_TEXT = st.text(st.sampled_from("ab,;\t|\"'\n é😀#"), max_size=20)


@pytest.mark.parametrize("delimiter", [",", ";", "|"])
@settings(max_examples=50, deadline=None)
@given(texts=st.lists(_CELL_TEXT, max_size=8), steps=st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_csv_with_a_header_gives_objects(folder: Path, delimiter: str, texts: list[str], steps: list[int]) -> None:
    records: list[Record] = [{"id": number, "text": text} for number, text in enumerate(texts)]
    path = _file(folder, b"\xef\xbb\xbf" + _csv(records, delimiter), ".csv")
    options = FileOptions(delimiter=delimiter)
    values = _read(path, options)
    assert [json.loads(value) for value in values] == [
        {"id": str(number), "text": text, "created at": "2020-01-01"} for number, text in enumerate(texts)
    ]
    assert _read_with_resumes(path, steps, options) == values


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_by_looking(folder: Path, delimiter: str) -> None:
    records: list[Record] = [{"id": number, "text": f"Well, {number} words; some"} for number in range(30)]
    (first, *_) = _read(_file(folder, _csv(records, delimiter), ".csv.gz"))
    assert json.loads(first) == {"id": "0", "text": "Well, 0 words; some", "created at": "2020-01-01"}


def test_tables_with_tabs_keep_stray_quotation_marks(folder: Path) -> None:
    rows = ["id\ttext", '1\t"To be', '2\tor not" to be', '3\t"that', "4\tis"]
    values = _read(_file(folder, "\n".join(rows).encode(), ".tsv"))
    assert [json.loads(value)["text"] for value in values] == ['"To be', 'or not" to be', '"that', "is"]


def test_sentiment140_has_no_header_and_a_shape(folder: Path) -> None:
    row = '"0","1467810369","Mon Apr 06 22:19:45 PDT 2009","NO_QUERY","someone","is upset, that ""it"" failed"\r\n'
    reader = FileRecords(_file(folder, row.encode() * 3, ".csv"), FileOptions())
    assert reader.shape == "sentiment140"
    first, *_ = reader.take(10, 1000)
    assert json.loads(first)[5] == 'is upset, that "it" failed'
    reader.close()


def test_rows_without_a_header_are_arrays(folder: Path) -> None:
    path = _file(folder, b'2017-01-01,First headline\n2017-01-02,"Second, headline"\n')
    assert [json.loads(value) for value in _read(path)] == [
        ["2017-01-01", "First headline"],
        ["2017-01-02", "Second, headline"],
    ]


def test_the_header_setting_overrules_the_look(folder: Path) -> None:
    path = _file(folder, b"hello,world\nfoo,bar\n", ".csv")
    assert _read(path) == [b'{"hello":"foo","world":"bar"}']
    assert _read(path, FileOptions(header=False)) == [b'["hello","world"]', b'["foo","bar"]']


def test_odd_headers_and_rows_lose_nothing(folder: Path) -> None:
    path = _file(folder, b",text, text ,\n1,a,b,c,d,e\n2,f\n,,,\n\n3,g,,\n", ".csv")
    assert [json.loads(value) for value in _read(path)] == [
        {"column_1": "1", "text": "a", "text_2": "b", "column_4": "c", "_rest": ["d", "e"]},
        {"column_1": "2", "text": "f"},
        {"column_1": "3", "text": "g", "text_2": "", "column_4": ""},
    ]


def test_csv_in_another_encoding(folder: Path) -> None:
    data = "id,text\n1,déjà vu…\n2,naïve\n"
    path = _file(folder, data.encode("windows-1252"), ".csv")
    assert [json.loads(value)["text"] for value in _read(path, FileOptions(encoding="windows-1252"))] == [
        "déjà vu…",
        "naïve",
    ]
    # Read as UTF-8 the rows are refused with their bytes unchanged, not guessed at.
    assert _read(path) == ["1,déjà vu…".encode("windows-1252"), "2,naïve".encode("windows-1252")]


def test_csv_in_utf16_needs_no_setting(folder: Path) -> None:
    path = _file(folder, "id\ttext\r\n1\tдоброе утро\r\n".encode("utf-16"), ".txt")
    assert _read(path) == ['{"id":"1","text":"доброе утро"}'.encode()]


@settings(max_examples=25, deadline=None)
@given(records=_RECORDS, group=st.integers(1, 5), steps=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_parquet(folder: Path, records: list[Record], group: int, steps: list[int]) -> None:
    path = folder / f"{next(_number)}.parquet"
    rows = [{"id": record["id"], "text": record["text"]} for record in records]
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])  # type: ignore[attr-defined]
    table = pa.Table.from_pylist(rows, schema=schema)  # type: ignore[attr-defined]
    pq.write_table(table, path, row_group_size=group)  # type: ignore[no-untyped-call]
    values = _read(path)
    assert [json.loads(value) for value in values] == rows
    assert _read_with_resumes(path, steps) == values


# How a file is split follows from looking inside


def test_a_wrapper_is_one_record(folder: Path) -> None:
    document = {"statuses": [{"id": 1}, {"id": 2}], "search_metadata": {"count": 2}}
    for data in (json.dumps(document).encode(), json.dumps(document, indent=2).encode()):
        assert [json.loads(value) for value in _read(_file(folder, data, ".json"))] == [document]


def test_a_wrapper_with_its_posts_on_lines_is_no_lines_file(folder: Path) -> None:
    data = b'{"statuses": [\n{"id": 1},\n{"id": 2}\n]}\n'
    assert _read(_file(folder, data)) == [data.strip()]


def test_a_broken_first_line_does_not_hide_the_others(folder: Path) -> None:
    for broken in (b'{"id": 1, "text": "cut o', b'{"id": }', b"not json", b'{"id": 1, "text": "a'):
        data = broken + b'\n{"id": 2}\n{"id": 3}\n'
        assert _read(_file(folder, data)) == [broken, b'{"id": 2}', b'{"id": 3}']


def test_broken_lines_in_the_middle_stay_where_they_are(folder: Path) -> None:
    data = b'{"id": 1}\n{"id": 2, "te\nxt"}}}]\n[{"id": 3}\n{"id": 4}'
    assert _read(_file(folder, data)) == data.split(b"\n")


def test_lines_that_are_arrays_stay_arrays(folder: Path) -> None:
    data = b'["0","1467810369","a"]\n["4","1467810370","b"]\n'
    assert _read(_file(folder, data)) == data.splitlines()


def test_an_array_of_scalars_is_one_record(folder: Path) -> None:
    assert _read(_file(folder, b"[1, 2,\n3]")) == [b"[1, 2,\n3]"]


def test_files_with_nothing_in_them_hold_no_record(folder: Path) -> None:
    for data in (b"", b"\n\n \r\n", b"[]", b"[ ]\n", gzip.compress(b""), b"\xef\xbb\xbf"):
        assert _read(_file(folder, data)) == []


def test_a_log_file_is_lines(folder: Path) -> None:
    data = b"[INFO] started\n[WARN] slow\n"
    assert _read(_file(folder, data, ".log")) == data.splitlines()


# Large things


def test_a_large_wrapper_is_unfolded_with_all_its_other_members(folder: Path) -> None:
    posts = [{"id": str(number), "text": "x" * 1000} for number in range(10_000)]
    includes = {"users": [{"id": "7", "name": "seven"}]}
    data = json.dumps({"data": posts, "includes": includes, "meta": {"n": 1}}).encode()
    assert len(data) > MAX_RECORD_BYTES
    path = _file(folder, gzip.compress(data, 1), ".json.gz")
    values = _read(path)
    assert len(values) > 1
    assert all(len(value) <= MAX_RECORD_BYTES for value in values)
    decoded = [json.loads(value) for value in values]
    assert [post for part in decoded for post in part["data"]] == posts
    assert all(part["includes"] == includes for part in decoded)
    assert _read_with_resumes(path, [1, 2]) == values


def test_a_line_above_the_limit_is_one_record_just_above_it(folder: Path) -> None:
    long = b'{"text": "' + b"x" * (MAX_RECORD_BYTES + 1_000_000) + b'"}'
    data = b'{"id": 1}\n' + long + b'\n{"id": 2}\n'
    path = _file(folder, data)
    assert [len(value) for value in _read(path)] == [9, MAX_RECORD_BYTES + 1, 9]
    assert _read_with_resumes(path, [1]) == _read(path)


def test_a_batch_ends_once_it_holds_enough_bytes(folder: Path) -> None:
    reader = FileRecords(_file(folder, _lines([{"text": "x" * 90}] * 100)), FileOptions())
    assert len(reader.take(500, 1000)) == 10
    reader.close()


# Broken files: what is readable, then one record that says why there is no more


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
@settings(max_examples=40, deadline=None)
@given(cut=st.floats(0.01, 0.999))
def test_a_truncated_archive_gives_what_was_readable_and_one_record_with_the_reason(
    folder: Path, pack: Callable[[bytes], bytes], cut: float
) -> None:
    records: list[Record] = [{"id": number, "text": f"{number * 7919 % 104729:x}" * 20} for number in range(3000)]
    whole = _lines(records)
    packed = pack(whole)
    path = _file(folder, packed[: int(len(packed) * cut)])
    *readable, last = _read(path)
    assert last.startswith(UNREADABLE)
    assert b"ends too early" in last
    assert f"after {len(readable)} records".encode() in last
    assert readable == whole.splitlines()[: len(readable)]
    _, _, tail = last.partition(b"\n")
    assert whole.splitlines()[len(readable)].startswith(tail) if len(readable) < len(records) else not tail
    assert _read_with_resumes(path, [700]) == [*readable, last]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress])
def test_a_corrupt_archive_says_so(folder: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(_lines([{"id": number, "text": f"{number * 7919:x}"} for number in range(50_000)])))
    packed[len(packed) // 2 :][:4] = b"\xff\x00\xff\x00"
    for at in range(len(packed) // 2, len(packed) // 2 + 2000):
        packed[at] ^= 0x5A
    *_, last = _read(_file(folder, bytes(packed)))
    assert last.startswith(UNREADABLE)


def test_an_archive_cut_off_at_once_is_one_record(folder: Path) -> None:
    (only,) = _read(_file(folder, gzip.compress(b'{"id": 1}\n' * 100)[:12], ".jsonl.gz"))
    assert only.startswith(UNREADABLE)


def test_an_array_that_is_cut_off_says_so(folder: Path) -> None:
    whole = b'[{"id": 1},{"id": 2},{"id": 3}]'
    for cut in range(2, len(whole)):
        *readable, last = _read(_file(folder, whole[:cut]))
        assert readable == [b'{"id": %d}' % number for number in range(1, len(readable) + 1)]
        assert last.startswith(UNREADABLE)
        assert b"not closed" in last


def test_a_damaged_parquet_file_is_one_record(folder: Path) -> None:
    (only,) = _read(_file(folder, b"PAR1" + b"garbage" * 100 + b"PAR1"))
    assert only.startswith(UNREADABLE)


def test_a_packed_parquet_file_is_not_read(folder: Path) -> None:
    (only,) = _read(_file(folder, gzip.compress(b"PAR1" + bytes(100))))
    assert only.startswith(UNREADABLE)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300) | st.text(st.sampled_from('[]{}":,\\ab1\n \t'), max_size=80).map(str.encode))
def test_no_bytes_at_all_make_the_reader_fail_or_loop(folder: Path, data: bytes) -> None:
    path = _file(folder, data)
    values = _read(path)
    assert _read_with_resumes(path, [1]) == values


def test_real_payloads_are_split_as_they_should_be() -> None:
    expected = {
        "twitter_json/simdjson_twitter.json.gz": 1,
        "twitter_json/stream_nl_2016.jsonl.gz": 1000,
        "twitter_json/v11_python_twitter/public_timeline.json.gz": 20,
        "twitter_json/v11_python_twitter/streaming_lines.json.gz": 72,
        "twitter_json/v2_twarc/streaming_output_with_error.jsonl.gz": 8,
        "tweets_trend/fifa_world_cup_2022-11-20.csv.gz": 10_000,
        "tweets_trend/vaccination_tweets_2020-12_2021-04.csv.gz": 8082,
        "tweets_sentiment/us_airline_2015.csv.gz": 14_640,
        "nli/conjnli_adversarial_train_15k.tsv.gz": 15_000,
    }
    for relative, records in expected.items():
        path = shared_data(relative)
        if path is not None:
            values = _read(path)
            assert (relative, len(values)) == (relative, records)
            assert all(isinstance(msgspec.json.decode(value), dict | list) for value in values[:5])
