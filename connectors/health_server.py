"""``/metrics``, ``/healthz`` and ``/readyz`` over HTTP, from a thread of their own."""

from __future__ import annotations

import errno
import ipaddress
import socket
import socketserver
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import msgspec
import psutil
from prometheus_client.exposition import choose_encoder

from groundswell.errors import StopJob
from groundswell.health import AllHealthy, Health
from groundswell.metrics import EPOCH_AGE, REGISTRY, RESIDENT_BYTES


class HealthServer:
    """Serves from :meth:`start` to :meth:`close`; ``port`` 0 takes a free one.

    Raises:
        StopJob: from :meth:`start`, when the address cannot be used.
    """

    def __init__(self, host: str, port: int, health: Health | AllHealthy) -> None:
        self._host = host
        self._port = port
        self._health = health
        self._server: _Server | None = None

    def start(self) -> None:
        """Bind and serve."""
        try:
            self._server = _Server((self._host, self._port), self._health)
        except OSError as error:
            raise StopJob(self._explain(error)) from None
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health-server", daemon=True).start()

    @property
    def port(self) -> int:
        """The port in use once started."""
        return self._port

    def close(self) -> None:
        """Stop serving and free the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _explain(self, error: OSError) -> str:
        if error.errno == errno.EADDRINUSE:
            return (
                f"port {self._port} on {self._host} is in use: set observability.port to another (process i takes "
                "port + i), or to 0 to do without metrics and health"
            )
        reason = error.strerror or str(error)
        return f"cannot listen on {self._host}:{self._port}: {reason}: check observability.host and observability.port"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], health: Health | AllHealthy) -> None:
        self.health = health
        self.process = psutil.Process()
        if _is_ipv6(address[0]):
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the resolver for this machine's name, which can take many seconds.
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away while it was answered is its own affair."""


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    server_version = "groundswell"
    sys_version = ""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/metrics":
            self._metrics()
        elif path == "/healthz":
            alive, reason = self.server.health.alive()
            self._json(alive, {"alive": alive, "reason": reason})
        elif path == "/readyz":
            ready, troubles = self.server.health.ready()
            self._json(ready, {"ready": ready, "troubles": troubles})
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"try /metrics, /healthz or /readyz\n")

    do_HEAD = do_GET  # noqa: N815 - the name that the base class calls

    def _metrics(self) -> None:
        RESIDENT_BYTES.set(self.server.process.memory_info().rss)
        EPOCH_AGE.set(self.server.health.epoch_age())
        encode, content_type = choose_encoder(self.headers.get("Accept") or "")
        self._answer(HTTPStatus.OK, content_type, encode(REGISTRY))

    def _json(self, good: bool, body: object) -> None:
        status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer(status, "application/json", msgspec.json.encode(body) + b"\n")

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Probes come every few seconds for months: they are not logged."""
