from __future__ import annotations

from io import BytesIO

import pytest

from connectors.given_texts import GivenText, given_texts
from groundswell.errors import StopJob


def read(content: bytes) -> list[GivenText]:
    return list(given_texts(BytesIO(content), "texts"))


def test_a_line_is_a_text() -> None:
    assert read("\ufeffone line \r\n\n  — two\nlast".encode()) == [
        GivenText("one line"),
        GivenText("— two"),
        GivenText("last"),
    ]


def test_json_lines_have_a_text_and_may_have_an_id() -> None:
    assert read(b'{"text": "a b", "id": 7, "label": "x"}\n\n{"id": "9", "text": ""}') == [
        GivenText("a b", 7),
        GivenText("", "9"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", 'texts holds no text: give it a text a line, or JSON lines that have a "text"'),
        (b"\n \n", "texts holds no text"),
        (b'{"text": "a"}\nplain\n', 'line 2 is not a JSON object with a "text"'),
        (b'{"body": "a"}\n', 'line 1 is not a JSON object with a "text": Object missing required field `text`'),
        (b"good\n\xff\xfe\n", "line 2 is not text in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(content: bytes, said: str) -> None:
    with pytest.raises(StopJob) as caught:
        read(content)
    assert said in str(caught.value)
