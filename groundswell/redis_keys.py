"""Every key in Redis, below ``redis.prefix``."""

from __future__ import annotations

from typing import Final

#: Sorted set of the processes that reported, scored by the Unix time at which their report expires.
PROCESSES: Final = "jobs"

#: ``job:<job>:<process>``: the last report of one process, JSON; expires soon after the process ended.
PROCESS: Final = "job:"

#: Sorted set: tag -> posts that carry it in the newest window; the top tags and nothing else.
HASHTAGS: Final = "hashtags"

#: ``trends:window:<end>``: sorted set of one window's top tags, ``end`` in seconds since 1970; expires.
WINDOW: Final = "trends:window:"

#: Hash: tag -> JSON of the trend, for every tag that trends now.
TRENDS_ACTIVE: Final = "trends:active"

#: Stream of the events of trends, capped.
TRENDS_CHANGES: Final = "trends:changes"

#: Hash: which write each of the keys above holds; a write with a lower fence changes nothing.
TRENDS_FENCE: Final = "trends:fence"


def process_member(job: str, process: int) -> str:
    """A process as a member of :data:`PROCESSES`; its report lies at ``PROCESS + member``.

    >>> PROCESS + process_member("posts", 0)
    'job:posts:0'
    """
    return f"{job}:{process}"
