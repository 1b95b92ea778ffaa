from __future__ import annotations

from pathlib import Path

import pytest

from connectors.judgments import read_judgments
from groundswell.errors import StopJob


@pytest.mark.parametrize("header", ["", "query,document_id,grade\n", "\ufeffquery,id,relevance\r\n"])
def test_queries_keep_their_order_and_their_grades(tmp_path: Path, header: str) -> None:
    path = tmp_path / "judgments.csv"
    path.write_text(f'{header}#flood,1,3\n"river, high",a b,0\n\n#flood,2,0.5\n#flood,1,3\n', encoding="utf-8")
    assert read_judgments(path) == {"#flood": {"1": 3.0, "2": 0.5}, "river, high": {"a b": 0.0}}
    assert list(read_judgments(path)) == ["#flood", "river, high"]


def test_tabs_part_cells_as_well(tmp_path: Path) -> None:
    path = tmp_path / "judgments.tsv"
    path.write_text("a, b\t1\t2\n")
    assert read_judgments(path) == {"a, b": {"1": 2.0}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no judgments: give it lines of query, document id, grade"),
        ("query,id,grade\n", "holds no judgments"),
        ("#flood,1\n", "line 1: expected query, document id, grade, found 2 cells"),
        ("#flood,1,2\n,2,1\n", "line 2: expected query"),
        ("#flood,1,2\n#flood,2,high\n", "line 2: the grade 'high' is no number from 0"),
        ("#flood,1,-1\n", "line 1: the grade '-1' is no number from 0"),
        ("#flood,1,2\n#flood,2,nan\n", "line 2: the grade 'nan'"),
        ("#flood,1,2\n#flood,1,3\n", "line 2: '1' has the grade 2 for '#flood' already, and now 3: keep one"),
        ('"#flood,1,2\n', "is no CSV file in UTF-8"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "judgments.csv"
    path.write_text(text)
    with pytest.raises(StopJob) as caught:
        read_judgments(path)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_or_is_no_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(StopJob, match="No such file"):
        read_judgments(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00,1,2\n")
    with pytest.raises(StopJob, match="no CSV file in UTF-8"):
        read_judgments(tmp_path / "bytes.csv")
