"""Labelled files: what a line may be, and how one that is none is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.datasets import DataError
from model_export.labelled_file import NO_JSON, UNDECODABLE, WRONG_COLUMNS, Flaw, LabelledRow, read, scan
from tests.model_export.labelled import nli_rows, sentiment_rows, write_lines


def test_single_texts_come_with_their_line_source_and_language(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"text": "hi", "label": "joy", "source": "x", "lang": "en"}, b"", b" "])
    assert read(file) == [LabelledRow(1, "hi", "joy", "x", "en", ("text", "label", "source", "lang"))]


def test_pairs_are_a_premise_and_a_hypothesis(tmp_path: Path) -> None:
    rows = read(write_lines(tmp_path / "a.jsonl", nli_rows(2)))
    assert [row.text for row in rows] == [("a train w0", "rain w0"), ("a train w1", "rain w1")]


def test_a_packed_file_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl.gz"
    lines = [json.dumps(row).encode() for row in sentiment_rows(3)]
    file.write_bytes(gzip.compress(b"\xef\xbb\xbf" + b"\r\n".join(lines)))
    assert [row.text for row in read(file)] == [row["text"] for row in sentiment_rows(3)]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"text": "caf\xe9", "label": "joy"}', UNDECODABLE),
        (b'{"text": "half', NO_JSON),
        (b"[" * 100_000, NO_JSON),
        (b'["text", "label"]', WRONG_COLUMNS),
        (b'{"text": "no label"}', WRONG_COLUMNS),
        (b'{"tweet": "other names", "label": "joy"}', WRONG_COLUMNS),
        (b'{"text": "by position", "label": 2}', WRONG_COLUMNS),
        (b'{"text": null, "label": "joy"}', WRONG_COLUMNS),
        (b'{"premise": "alone", "label": "neutral"}', WRONG_COLUMNS),
        (b'{"text": "both", "premise": "a", "hypothesis": "b", "label": "neutral"}', WRONG_COLUMNS),
        (b'{"text": "a", "label": "joy", "lang": 5}', WRONG_COLUMNS),
    ],
)
def test_a_line_that_is_no_labelled_text_is_a_flaw_and_reading_names_it(tmp_path: Path, line: bytes, kind: str) -> None:
    file = write_lines(tmp_path / "a.jsonl", [*sentiment_rows(2), line])
    (flaw,) = [row for row in scan(file) if isinstance(row, Flaw)]
    assert (flaw.line, flaw.kind) == (3, kind)
    with pytest.raises(DataError, match=f"line 3: {kind}"):
        read(file)


def test_texts_and_pairs_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: single texts and pairs"):
        read(write_lines(tmp_path / "a.jsonl", [*sentiment_rows(1), *nli_rows(1)]))


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_rows_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DataError, match="holds no rows"):
        read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("name", ["absent.jsonl", "broken.jsonl.gz", "cut.jsonl.gz"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.jsonl.gz").write_bytes(b"not packed")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a", "label": "b"}\n' * 1000)[:40])
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / name)


@given(st.lists(st.text(min_size=1), min_size=1), st.booleans())
def test_whatever_json_can_carry_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], raw: bool
) -> None:
    file = tmp_path_factory.mktemp("any") / "a.jsonl"
    lines = [json.dumps({"text": text, "label": "joy"}, ensure_ascii=not raw) for text in texts]
    file.write_bytes("".join(f"{line}\n" for line in lines).encode())
    assert [row.text for row in read(file)] == texts


def test_a_lone_surrogate_is_a_text(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [rb'{"text": "cut \ud83d", "label": "joy"}'])
    assert read(file)[0].text == "cut \ud83d"
