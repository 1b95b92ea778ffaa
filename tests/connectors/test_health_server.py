"""``/metrics``, ``/healthz`` and ``/readyz`` as a scraper and a probe see them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors.health_server import HealthServer
from groundswell.errors import StopJob
from groundswell.health import Health
from groundswell.readiness import Check
from groundswell.waits import Waits


class Probe:
    """A served process and what a client gets from it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits = Waits(self.clock)
        self.checks: dict[str, Check] = {}
        self.health = Health(self.waits, 60.0, self.clock, ready_when=self.checks)
        self.server = HealthServer("127.0.0.1", 0, self.health)
        self.server.start()

    def clock(self) -> float:
        return self.now

    def request(self, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def ask(self, path: str) -> tuple[int, object]:
        response, body = self.request(path)
        return response.status, msgspec.json.decode(body)


@pytest.fixture
def probe() -> Iterator[Probe]:
    probe = Probe()
    yield probe
    probe.server.close()


def test_healthz_tells_a_stall_from_a_wait(probe: Probe) -> None:
    assert probe.ask("/healthz") == (200, {"alive": True, "reason": "starting"})
    probe.health.epoch_closed()
    probe.now = 61.0
    status, body = probe.ask("/healthz")
    assert status == 503
    assert isinstance(body, dict)
    assert body["alive"] is False
    probe.waits.begin("elasticsearch", "connection refused")
    assert probe.ask("/healthz?verbose") == (
        200,
        {"alive": True, "reason": "waiting for elasticsearch: connection refused"},
    )


def test_readyz_names_what_is_missing(probe: Probe) -> None:
    probe.checks["model"] = lambda: "not loaded"
    assert probe.ask("/readyz") == (503, {"ready": False, "troubles": {"model": "not loaded"}})
    probe.checks.clear()
    probe.now = 2.0
    assert probe.ask("/readyz") == (200, {"ready": True, "troubles": {}})


def test_metrics_hold_memory_and_epoch_age_as_of_the_scrape(probe: Probe) -> None:
    probe.health.epoch_closed()
    probe.now = 12.5
    response, body = probe.request("/metrics")
    assert response.status == 200
    assert (response.getheader("Content-Type") or "").startswith("text/plain; version=0.0.4")
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if not sample.labels
    }
    assert values["groundswell_epoch_age_seconds"] == 12.5
    assert values["groundswell_resident_memory_bytes"] > 1_000_000
    assert b"_created" not in body


def test_a_scraper_that_asks_for_openmetrics_gets_it(probe: Probe) -> None:
    response, body = probe.request("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert (response.getheader("Content-Type") or "").startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


def test_other_paths_and_methods_are_refused(probe: Probe) -> None:
    assert probe.request("/")[0].status == 404
    assert probe.request("/healthz", "POST")[0].status == 501
    response, body = probe.request("/healthz", "HEAD")
    assert (response.status, body) == (200, b"")


def test_a_silent_client_holds_up_nobody(probe: Probe) -> None:
    with socket.create_connection(("127.0.0.1", probe.server.port)):
        assert probe.ask("/healthz")[0] == 200


def test_a_port_in_use_stops_the_job_and_names_the_setting(probe: Probe) -> None:
    with pytest.raises(StopJob, match=r"in use: set observability\.port"):
        HealthServer("127.0.0.1", probe.server.port, probe.health).start()


def test_a_host_that_is_not_here_names_the_setting(probe: Probe) -> None:
    with pytest.raises(StopJob, match=r"192\.0\.2\.1:0.*observability\.host"):
        HealthServer("192.0.2.1", 0, probe.health).start()


def test_the_port_is_free_again_after_close(probe: Probe) -> None:
    port = probe.server.port
    probe.server.close()
    again = HealthServer("127.0.0.1", port, probe.health)
    again.start()
    again.close()


def test_it_listens_on_ipv6_too(probe: Probe) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return  # this machine has no IPv6
    server = HealthServer("::1", 0, probe.health)
    server.start()
    connection = HTTPConnection("::1", server.port, timeout=10)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    server.close()
