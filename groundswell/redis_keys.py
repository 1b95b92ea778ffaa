"""Every key in Redis, below ``redis.prefix``."""

from __future__ import annotations

from typing import Final

#: Sorted set of the processes that reported, scored by the Unix time at which their report expires.
PROCESSES: Final = "jobs"

#: ``job:<job>:<process>``: the last report of one process, JSON; expires soon after the process ended.
PROCESS: Final = "job:"


def process_member(job: str, process: int) -> str:
    """A process as a member of :data:`PROCESSES`; its report lies at ``PROCESS + member``.

    >>> PROCESS + process_member("posts", 0)
    'job:posts:0'
    """
    return f"{job}:{process}"
