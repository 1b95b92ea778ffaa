"""Log lines on standard error: JSON for machines, plain ones for people; no secrets in either."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

import msgspec

#: What every record has; anything else was passed as ``extra``.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET_FIELD = re.compile(r"password|passwd|secret|api_?key|token|authorization", re.IGNORECASE)
_SECRET_IN_TEXT = re.compile(
    r"(?P<url>://[^\s/:@]*:)[^\s/@]+(?=@)"
    r"|(?P<pair>\b(?:[\w.]*(?:password|secret|api_?key))\b['\"]?\s*[=:]\s*)(?:'[^']*'|\"[^\"]*\"|[^\s,;)}\]]+)",
    re.IGNORECASE,
)
#: Libraries that report every request, and every failure that their caller hears of anyway.
_CHATTY = ("elastic_transport", "elasticsearch", "urllib3", "httpx", "redis")


def mask(text: str) -> str:
    """The text without passwords in addresses and without the values of secret settings.

    >>> mask("redis://user:hunter2@cache:6379/0 refused, sasl.password=hunter2")
    'redis://user:***@cache:6379/0 refused, sasl.password=***'
    """
    return _SECRET_IN_TEXT.sub(lambda match: (match["url"] or match["pair"]) + "***", text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, extra fields, ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": mask(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in fields:
                fields[name] = "***" if _SECRET_FIELD.search(name) else _plain(value)
        trace = _trace(self, record)
        if trace:
            fields["exception"] = mask(trace)
        # ASCII, so that no character of a post can break a line or an encoding on the way.
        return json.dumps(fields)


class TextFormatter(logging.Formatter):
    """``time level logger: message key=value ...``, the exception below."""

    def format(self, record: logging.LogRecord) -> str:
        extras = "".join(
            f" {name}={'***' if _SECRET_FIELD.search(name) else mask(str(value))}"
            for name, value in vars(record).items()
            if name not in _STANDARD
        )
        line = f"{_time(record)} {record.levelname:<7} {record.name}: {mask(record.getMessage())}{extras}"
        trace = _trace(self, record)
        return f"{line}\n{mask(trace)}" if trace else line


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the time: a live status line puts itself in its place."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def configure_logging(log_format: str, level: str, stream: TextIO | None = None) -> None:
    """Send every log record of ``level`` and above to ``stream`` (standard error), and nowhere else.

    ``log_format`` is ``json`` or ``text``. May be called again.
    """
    handler = _StandardError() if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def _plain(value: object) -> object:
    try:
        return _mask_tree(msgspec.to_builtins(value, str_keys=True))
    except (TypeError, ValueError):
        return mask(str(value))


def _mask_tree(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: "***" if item and isinstance(key, str) and _SECRET_FIELD.search(key) else _mask_tree(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_mask_tree(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return mask(value) if isinstance(value, str) else value
