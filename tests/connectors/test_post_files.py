from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.file_formats import FileOptions, FileRecords
from connectors.post_files import write_to_file


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.jsonl.gz", "posts.jsonl.zst"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    records = [b'{"id": %d}' % number for number in range(1000)]
    assert write_to_file(iter(records), tmp_path / name) == 1000
    assert [path.name for path in tmp_path.iterdir()] == [name]
    reader = FileRecords(tmp_path / name, FileOptions())
    assert reader.take(2000, 1 << 20) == records
    reader.close()


def test_a_file_that_was_not_finished_does_not_appear(tmp_path: Path) -> None:
    def failing() -> Iterator[bytes]:
        yield b"{}"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_to_file(failing(), tmp_path / "posts.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_plain_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert write_to_file([b"one", b"two"], pipe) == 2
        assert os.read(reader, 100) == b"one\ntwo\n"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
