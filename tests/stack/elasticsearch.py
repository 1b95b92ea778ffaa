"""Elasticsearch: one node from the integration-test distribution, never as root."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
import uuid
import zipfile
from pathlib import Path
from typing import Any

from tests.stack import download
from tests.stack.java import find_java
from tests.stack.ports import free_port
from tests.stack.process import Server, unprivileged

_SETTINGS = Path(__file__).parent / "settings"


class ElasticsearchServer(Server):
    """A node on 127.0.0.1; ``url`` stays the same over restarts."""

    name = "elasticsearch"
    start_timeout = 120.0

    def __init__(self, folder: Path, *, port: int | None = None, leashed: bool = True) -> None:
        super().__init__(folder, leashed=leashed)
        self.account = unprivileged()
        self._java_home = find_java(21, variable="ES_JAVA_HOME", for_everyone=self.account is not None)
        self.port = free_port(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self._prefixes: list[str] = []
        self._home = self._unpack()

    def command(self) -> list[str]:
        return ["bash", str(self._home / "bin" / "elasticsearch")]

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "ES_JAVA_HOME": str(self._java_home),
            "ES_JAVA_OPTS": "-Xms1g -Xmx1g",
        }

    def is_ready(self) -> bool:
        try:
            return bool(self.request("GET", "/_cluster/health")["status"] in {"green", "yellow"})
        except (OSError, http.client.HTTPException):
            return False

    def prefix(self) -> str:
        """A lower-case prefix for the indices, aliases and templates of one test."""
        made = f"t{uuid.uuid4().hex[:8]}-"
        self._prefixes.append(made)
        return made

    def clean(self) -> None:
        """Remove the indices and templates of every prefix given out so far."""
        for prefix in self._prefixes:
            self.request("DELETE", f"/{prefix}*?expand_wildcards=all")
            templates = self.request("GET", "/_index_template")["index_templates"]
            for name in (template["name"] for template in templates if template["name"].startswith(prefix)):
                self.request("DELETE", f"/_index_template/{name}")
            components = self.request("GET", "/_component_template")["component_templates"]
            for name in (component["name"] for component in components if component["name"].startswith(prefix)):
                self.request("DELETE", f"/_component_template/{name}")
        self._prefixes.clear()

    def request(self, method: str, path: str, body: object = None, timeout: float = 30.0) -> dict[str, Any]:
        """Send one request past every client library and return the answer's JSON object.

        Raises :class:`OSError` when the server does not answer or answers with an error status.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 -- the address is ours
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout) as answer:
            parsed: dict[str, Any] = json.load(answer)
        return parsed

    def _unpack(self) -> Path:
        """Unpack a copy of its own: the cache may lie where the server's user cannot read."""
        with zipfile.ZipFile(download.elasticsearch_zip()) as packed:
            packed.extractall(self.folder)
        home = self.folder / f"elasticsearch-{download.ELASTICSEARCH_VERSION}"
        settings = (_SETTINGS / "elasticsearch.yml").read_text()
        (home / "config" / "elasticsearch.yml").write_text(
            f"{settings}http.port: {self.port}\ntransport.port: {free_port()}\n"
        )
        if self.account:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, self.account.uid, self.account.gid)
        return home
