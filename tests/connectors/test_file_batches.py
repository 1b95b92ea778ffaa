"""A file read from its first record to its last."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.file_batches import FileBatches
from connectors.file_formats import FileOptions
from connectors.source import BATCH_RECORDS

RECORDS = [{"id": str(number), "text": "x" * 50} for number in range(1_234)]


def write(path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(RECORDS), path)  # type: ignore[attr-defined,no-untyped-call]
        return
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS)
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.jsonl.gz", "posts.parquet"])
def test_every_record_comes_once_in_batches_of_one_partition(name: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    batches = FileBatches(tmp_path / name, FileOptions(), "files/x")
    done = []
    found = []
    for batch in batches:
        found.append(batch)
        done.append(batches.done)
    assert [json.loads(value) for batch in found for value in batch.values] == RECORDS
    assert [offset for batch in found for offset in batch.offsets] == list(range(len(RECORDS)))
    assert [len(batch.values) for batch in found] == [BATCH_RECORDS, BATCH_RECORDS, len(RECORDS) - 2 * BATCH_RECORDS]
    assert {(batch.part, batch.mark, batch.stream) for batch in found} == {("files/x", None, str(tmp_path / name))}
    assert done == sorted(done)
    assert done[-1] == batches.size == (tmp_path / name).stat().st_size


def test_an_empty_file_has_no_batches(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").touch()
    assert list(FileBatches(tmp_path / "none.jsonl", FileOptions(), "p")) == []


def test_the_rest_of_a_damaged_file_is_a_record_that_says_why(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl.gz"
    write(path)
    path.write_bytes(path.read_bytes()[:-200])
    *_, last = FileBatches(path, FileOptions(), "p")
    assert last.values[-1].startswith(b"unreadable: ")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileBatches(tmp_path / "none", FileOptions(), "p")
