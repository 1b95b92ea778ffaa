"""Wait on a condition with a deadline; the only place in the tests that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout: float, what: str, interval: float = 0.05) -> T:
    """Call ``condition`` until it returns something true, and return that.

    ``timeout`` and ``interval`` are seconds; ``what`` completes "waited ... s for". Raises
    :class:`TimeoutError` with ``what`` and the last value seen. What ``condition`` raises
    goes through.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {timeout:g} s for {what}; last seen: {value!r}")
        time.sleep(interval)
    return value
