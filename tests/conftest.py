"""Fixtures: the real servers, each started once per test session when first asked for.

=================  ====================================================================
fixture            what a test gets
=================  ====================================================================
``kafka``          ``.bootstrap_servers``, ``.port``,
                   ``.topic(partitions=1, **config) -> str``: a new topic
                   (``config`` with underscores for dots: ``retention_ms=1000``),
                   ``.create_topic(name, partitions=1, **config)``
``elasticsearch``  ``.url``, ``.port``,
                   ``.prefix() -> str``: a lower-case prefix; the indices and index
                   templates that begin with it go after the test,
                   ``.request(method, path, body=None) -> dict`` without a client
``redis``          ``.url``: an empty database of the test's own, ``.port``
=================  ====================================================================

All three have ``.start()`` (same port, same data; returns when it answers), ``.stop()``
(orderly), ``.kill()`` (SIGKILL), ``.running`` and ``.pid``. A test may leave a server
stopped: it runs again before the next test. For a fixture of a wider scope, take ``stack``
(session scope: ``stack.kafka``, ``stack.elasticsearch``, ``stack.redis``) and clean up.

With ``GROUNDSWELL_STRICT=1`` (in CI) a test that would be skipped fails, unless it needs a GPU.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings

from tests.stack.elasticsearch import ElasticsearchServer
from tests.stack.errors import StackError
from tests.stack.kafka import KafkaServer
from tests.stack.redis import RedisServer
from tests.stack.session import Stack

# Properties say nothing of time, and a busy machine may be slow.
settings.register_profile("groundswell", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("groundswell")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A run in the background inherits this, and so would every process that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The servers of this test session."""
    servers = Stack()
    yield servers
    servers.close()


@pytest.fixture
def kafka(stack: Stack) -> Iterator[KafkaServer]:
    try:
        server = stack.kafka
    except StackError as error:
        pytest.exit(str(error), returncode=1)
    yield server
    server.start()


@pytest.fixture
def elasticsearch(stack: Stack) -> Iterator[ElasticsearchServer]:
    try:
        server = stack.elasticsearch
    except StackError as error:
        pytest.exit(str(error), returncode=1)
    yield server
    server.start()
    server.clean()


@dataclass(frozen=True)
class RedisDatabase:
    """One database of the session's Redis."""

    url: str
    server: RedisServer

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def running(self) -> bool:
        return self.server.running

    @property
    def pid(self) -> int | None:
        return self.server.pid

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    def kill(self) -> None:
        self.server.kill()


@pytest.fixture
def redis(stack: Stack) -> Iterator[RedisDatabase]:
    server = stack.redis
    yield RedisDatabase(server.database(), server)
    server.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    excused = hasattr(report, "wasxfail") or item.get_closest_marker("gpu") is not None
    if os.environ.get("GROUNDSWELL_STRICT") == "1" and report.skipped and not excused:
        report.outcome = "failed"
        report.longrepr = f"skipped, which strict mode forbids: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if os.environ.get("GROUNDSWELL_STRICT") == "1" and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which strict mode forbids: {report.longrepr}"
    return report
