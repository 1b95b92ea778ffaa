"""A small HTTP proxy that spoils answers on purpose, in front of a real server."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class Request:
    """A request on its way; ``number`` counts the bulks from 0, and is -1 for anything else."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes, number: int) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.number = number

    @property
    def plain_body(self) -> bytes:
        """The body as it was before it was compressed."""
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body


class Reply:
    """What goes back. ``cut`` ends the connection after so many bytes of the body."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = headers or {"content-type": "application/json", "x-elastic-product": "Elasticsearch"}
        self.cut = cut


#: Decides what becomes of a request; the second argument passes a request on to the server.
Fault = Callable[[Request, Callable[[Request], Reply]], Reply | None]


class FlakyProxy:
    """Listens on 127.0.0.1; ``fault`` may be set at any time and sees every bulk.

    A fault that returns ``None`` ends the connection without an answer.
    """

    def __init__(self, target: str, fault: Fault | None = None) -> None:
        self.fault = fault
        self.bulks: list[Request] = []
        self._target = urlsplit(target)
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                proxy.answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815 (the base class's names)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Pass a request on, as far as the fault lets it."""
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        is_bulk = "/_bulk" in handler.path
        with self._lock:
            request = Request(handler.command, handler.path, headers, body, len(self.bulks) if is_bulk else -1)
            if is_bulk:
                self.bulks.append(request)
        fault = self.fault
        reply = fault(request, self._pass_on) if fault and is_bulk else self._pass_on(request)
        if reply is None:
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
        handler.close_connection = reply.cut is not None

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _pass_on(self, request: Request) -> Reply:
        connection = http.client.HTTPConnection(self._target.hostname or "", self._target.port, timeout=60)
        try:
            passed = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
            connection.request(request.method, request.path, request.body or None, passed)
            answer = connection.getresponse()
            dropped = ("content-length", "transfer-encoding", "connection")
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in dropped}
            return Reply(answer.status, answer.read(), kept)
        except OSError:
            return Reply(502, b'{"error":"no upstream"}')
        finally:
            connection.close()


def reject_items(
    chosen: Callable[[int], bool], status: int = 429, type_: str = "es_rejected_execution_exception"
) -> Fault:
    """A server that is too busy for the chosen items of each bulk: they are never applied."""

    def fault(request: Request, pass_on: Callable[[Request], Reply]) -> Reply:
        operations = _operations(request.plain_body)
        kept = [operation for number, operation in enumerate(operations) if not chosen(number)]
        answer: dict[str, Any] = {"errors": True, "items": []}
        headers = {name: value for name, value in request.headers.items() if name != "content-encoding"}
        if kept:
            passed = pass_on(Request(request.method, request.path, headers, b"".join(kept), request.number))
            if passed.status != 200:
                return passed
            answer = json.loads(passed.body)
        applied = iter(answer["items"])
        rejected = {"status": status, "error": {"type": type_, "reason": "rejected execution"}}
        items = [
            {next(iter(json.loads(operation.split(b"\n", 1)[0]))): rejected} if chosen(number) else next(applied)
            for number, operation in enumerate(operations)
        ]
        return Reply(200, json.dumps({"errors": True, "items": items}).encode())

    return fault


def _operations(body: bytes) -> list[bytes]:
    """The operations of a bulk body, each with its document."""
    lines = body.splitlines(keepends=True)
    operations: list[bytes] = []
    while lines:
        action = lines.pop(0)
        operations.append(action if b'"delete"' in action[:12] else action + lines.pop(0))
    return operations
