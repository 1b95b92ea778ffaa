"""The connection to Elasticsearch: the official client's transport, with errors said in our terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from elastic_transport import ApiResponse, Serializer, TlsError, TransportError
from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError

from groundswell.errors import StopJob, Unavailable

#: The name of the dependency in metrics, health and waits.
ELASTICSEARCH = "elasticsearch"

_JSON = {"accept": "application/json", "content-type": "application/json"}
_BULK = {"accept": "application/json", "content-type": "application/x-ndjson"}
_BULK_MIMETYPE = "application/vnd.elasticsearch+x-ndjson"
_JSON_MIMETYPE = "application/vnd.elasticsearch+json"


class _Bytes(Serializer):
    """Passes bytes through: bodies are ready-made, answers are parsed by their readers."""

    mimetype = _BULK_MIMETYPE

    def dumps(self, data: Any) -> bytes:
        return bytes(data) if not isinstance(data, bytes) else data

    def loads(self, data: bytes) -> Any:
        return data


class TooLarge(Exception):
    """The server does not take a request of this size."""


class Rejected(Exception):
    """A request that the server understood and refuses; ``type`` is Elasticsearch's name of the error."""

    def __init__(self, status: int, type_: str, reason: str) -> None:
        super().__init__(f"{type_}: {reason}" if reason else type_)
        self.status = status
        self.type = type_


class ElasticsearchClient:
    """Requests with bytes in and out. Thread-safe; connections are pooled.

    ``url`` may list several nodes, separated by commas. Times are in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str = "",
        password: str = "",
        api_key: str = "",
        ca_certs: str = "",
        timeout: float = 60.0,
        connections: int = 10,
    ) -> None:
        options: dict[str, Any] = {}
        if api_key:
            options["api_key"] = api_key
        elif username:
            options["basic_auth"] = (username, password)
        if ca_certs:
            options["ca_certs"] = ca_certs
        try:
            self._client = Elasticsearch(
                [_with_port(node.strip()) for node in url.split(",")],
                request_timeout=timeout,
                connections_per_node=connections,
                # Every retry is ours: only we know which items are still to be sent.
                max_retries=0,
                retry_on_timeout=False,
                serializers={_BULK_MIMETYPE: _Bytes(), _JSON_MIMETYPE: _Bytes(), "application/json": _Bytes()},
                **options,
            )
        except (ValueError, OSError) as error:
            raise StopJob(f"documents.url or documents.ca_certs cannot be used: {error}") from None

    def bulk(self, body: bytes, filter_path: str, *, gzipped: bool, refresh: bool = False) -> bytes:
        """Send a bulk body and return the answer's bytes. Raises like :meth:`request`.

        ``refresh`` makes what it wrote visible to searches before it returns.
        """
        headers = {**_BULK, "content-encoding": "gzip"} if gzipped else _BULK
        params = {"filter_path": filter_path} | ({"refresh": "true"} if refresh else {})
        return self.request("POST", "/_bulk", body, params, headers)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = _JSON,
    ) -> bytes:
        """Send a request and return the answer's bytes.

        Raises:
            Unavailable: no answer, a broken one, or one that asks to come again (429, 5xx).
            TooLarge: status 413.
            Rejected: another refusal of this request (400, 404, 409, ...).
            StopJob: credentials, permissions or certificates that do not fit, or no Elasticsearch.
        """
        try:
            answer: ApiResponse[Any] = self._client.perform_request(
                method, path, params=params, headers=headers, body=body
            )
        except UnsupportedProductError:
            raise StopJob("what answers at documents.url is not Elasticsearch") from None
        except ApiError as error:
            raise _explain(error) from None
        except TlsError as error:
            raise _explain_tls(error) from None
        except TransportError as error:
            raise Unavailable(ELASTICSEARCH, _first_line(str(error.errors[0] if error.errors else error))) from None
        # An answer with a media type of its own (a proxy's page) arrives as text.
        return answer.body if isinstance(answer.body, bytes) else str(answer.body or "").encode()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _explain(error: ApiError) -> Exception:
    status = error.status_code
    kind, reason = _error_of(error.body)
    said = f"{kind}: {reason}" if reason else kind or f"status {status}"
    if status == 413:
        return TooLarge(said)
    if status in (408, 429) or status >= 500:
        return Unavailable(ELASTICSEARCH, f"status {status}: {said}" if kind else said)
    if status == 401:
        return StopJob(f"Elasticsearch does not accept the credentials; check documents.username or api_key ({said})")
    if status == 403 and kind == "security_exception":
        return StopJob(f"Elasticsearch does not allow it; give this user rights on the indices ({said})")
    if status == 406 or "media_type" in kind or "content_type" in kind:
        return StopJob(f"Elasticsearch 9 is needed, or elasticsearch>=8.19,<9 installed for a server of 8.19 ({said})")
    return Rejected(status, kind or f"status {status}", reason)


def _error_of(body: Any) -> tuple[str, str]:
    """The type and the reason that an error's body gives, as far as it can be read."""
    try:
        parsed = msgspec.json.decode(body if isinstance(body, bytes) else str(body).encode())
    except msgspec.DecodeError:
        return "", _first_line(str(body))
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if not isinstance(error, dict):
        return "", _first_line(str(error or parsed))
    causes = error.get("root_cause") or [error]
    first = causes[0] if isinstance(causes[0], dict) else error
    deepest = first if isinstance(first.get("caused_by"), dict) or "caused_by" not in error else error
    while isinstance(deepest.get("caused_by"), dict):
        deepest = deepest["caused_by"]
    return str(error.get("type", "")), _first_line(str(deepest.get("reason") or first.get("reason") or ""))


def _explain_tls(error: TlsError) -> Exception:
    said = _first_line(str(error.errors[0] if error.errors else error))
    if "certificate" in said.lower():
        return StopJob(f"Elasticsearch's certificate is not trusted; set documents.ca_certs ({said})")
    return Unavailable(ELASTICSEARCH, said)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:500] if text.strip() else ""


def _with_port(node: str) -> str:
    """The client wants the port spelt out."""
    parts = urlsplit(node)
    if parts.scheme in ("http", "https") and parts.hostname and ":" not in parts.netloc.rsplit("@")[-1].rsplit("]")[-1]:
        port = 443 if parts.scheme == "https" else 9200
        return node.replace(parts.netloc, f"{parts.netloc}:{port}", 1)
    return node
