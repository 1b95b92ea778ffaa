"""Free TCP ports that stay free while their server is down."""

from __future__ import annotations

import random
import socket

_FIRST, _LAST = 15_000, 31_999
_taken: set[int] = set()


def free_port(preferred: int | None = None) -> int:
    """A port of 127.0.0.1 that nobody listens on, ``preferred`` if it is free.

    It lies below the range from which systems take the ports of outgoing connections: else
    a client that retries while its server is stopped could connect to itself and hold the port.
    """
    candidates = random.sample(range(_FIRST, _LAST), 1000)
    for port in [preferred, *candidates] if preferred else candidates:
        if port not in _taken and _is_free(port):
            _taken.add(port)
            return port
    raise OSError(f"no free port between {_FIRST} and {_LAST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
