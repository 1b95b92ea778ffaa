"""Rows of a Parquet file as JSON objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

_BATCH_ROWS = 500


def parquet_rows(path: Path, first: int = 0) -> Iterator[bytes]:
    """The rows from ordinal ``first`` on; whole row groups before it are not read.

    Times come as RFC 3339, decimals as strings, bytes as base64. Raises
    :class:`pyarrow.ArrowException` when the file is damaged.
    """
    encode = msgspec.json.Encoder(decimal_format="string", enc_hook=str).encode
    with pq.ParquetFile(path) as file:  # type: ignore[no-untyped-call]
        groups: list[int] = []
        for number in range(file.metadata.num_row_groups):
            count = file.metadata.row_group(number).num_rows
            if not groups and first >= count:
                first -= count
            else:
                groups.append(number)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, row_groups=groups):
            if first >= batch.num_rows:
                first -= batch.num_rows
                continue
            rows: list[dict[str, object]] = batch.slice(first).to_pylist()
            for row in rows:
                yield encode(row)
            first = 0
