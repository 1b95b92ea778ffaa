"""Log lines: one JSON object each, or readable; secrets in neither."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.logs import configure_logging, mask
from groundswell.input_settings import Kafka
from groundswell.output_settings import Documents

_LOG = logging.getLogger("groundswell.test")


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], _ = before
    root.setLevel(before[1])
    logging.captureWarnings(False)


def lines(log_format: str, level: str = "INFO") -> io.StringIO:
    stream = io.StringIO()
    configure_logging(log_format, level, stream)
    return stream


def last_json(stream: io.StringIO) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(stream.getvalue().rstrip("\n").split("\n")[-1])
    return parsed


def test_a_json_line_has_time_level_logger_message_and_extras() -> None:
    stream = lines("json")
    _LOG.warning("retry %d", 3, extra={"dependency": "kafka", "seconds": 0.5, "ids": (1, 2)})
    line = last_json(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "WARNING",
        "logger": "groundswell.test",
        "message": "retry 3",
        "dependency": "kafka",
        "seconds": 0.5,
        "ids": [1, 2],
    }


def test_an_exception_stays_on_its_json_line() -> None:
    stream = lines("json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        _LOG.exception("failed")
    assert stream.getvalue().count("\n") == 1
    assert last_json(stream)["exception"].endswith("ValueError: two\nlines")


def test_a_text_line_reads_from_left_to_right() -> None:
    stream = lines("text")
    _LOG.warning("retry %d", 3, extra={"dependency": "kafka"})
    assert re.fullmatch(r"\S+Z WARNING groundswell\.test: retry 3 dependency=kafka\n", stream.getvalue())


def test_lines_below_the_level_and_chatter_of_clients_are_left_out() -> None:
    stream = lines("text")
    _LOG.debug("detail")
    logging.getLogger("elastic_transport.transport").info("POST /_bulk [status:200]")
    assert stream.getvalue() == ""


def test_configuring_twice_does_not_double_the_lines() -> None:
    lines("text")
    stream = lines("json")
    _LOG.info("once")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_is_written(log_format: str) -> None:
    stream = lines(log_format)
    _LOG.info("connecting to %s", "rediss://job:hunter2@cache:6379/0")
    _LOG.info("settings %r", Kafka(sasl_password="hunter2"))
    _LOG.info("settings", extra={"password": "hunter2", "documents": Documents(api_key="hunter2"), "count": 1})
    _LOG.info("client {'sasl.password': 'hunter2', 'x': 1}")
    try:
        raise ConnectionError("http://elastic:hunter2@search:9200 refused")
    except ConnectionError:
        _LOG.exception("failed")
    assert "hunter2" not in stream.getvalue()
    assert "cache:6379" in stream.getvalue()
    assert "search:9200" in stream.getvalue()


def test_an_extra_that_json_cannot_hold_is_written_as_text() -> None:
    stream = lines("json")
    _LOG.info("odd", extra={"what": object, "where": {1, 2}, "who": "\ud800", "share": float("nan")})
    line = last_json(stream)
    assert (line["what"], line["who"], line["share"]) == ("<class 'object'>", "\ud800", "nan")


@given(st.text())
def test_any_message_is_one_line_of_valid_json(text: str) -> None:
    stream = lines("json")
    _LOG.info("%s", text)
    assert len(stream.getvalue().split("\n")) == 2
    assert last_json(stream)["message"] == mask(text)


def test_lines_go_to_what_standard_error_is_at_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", "INFO")
    replaced = io.StringIO()
    with contextlib.redirect_stderr(replaced):
        _LOG.info("one")
    _LOG.info("two")
    assert replaced.getvalue().endswith("groundswell.test: one\n")
    assert capsys.readouterr().err.endswith("groundswell.test: two\n")
