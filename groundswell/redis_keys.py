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
#: A window without any tag has no such key, only its fence.
WINDOW: Final = "trends:window:"

#: Sorted set of the ends of the windows that are kept.
WINDOWS: Final = "trends:windows"

#: Hash: tag -> JSON of the trend without its sample posts, for every tag that trends now.
TRENDS_ACTIVE: Final = "trends:active"

#: ``trends:trend:<id>``: JSON of the last event of a trend that had sample posts, with them; expires,
#: soon once the trend has ended.
TREND: Final = "trends:trend:"

#: Stream of the events of trends (``event``, ``tag``, ``at``, and JSON without sample posts as ``data``), capped.
TRENDS_CHANGES: Final = "trends:changes"

#: Hash: which write each of the keys above holds; a write with a lower fence changes nothing.
TRENDS_FENCE: Final = "trends:fence"

#: Sorted set: event time up to which a field of :data:`TRENDS_FENCE` matters, so that it can go.
TRENDS_FENCE_AGES: Final = "trends:fence:ages"

#: ``trends:fence:<end>``: the fence of one window; expires with it.
WINDOW_FENCE: Final = "trends:fence:"

#: Hash: tag -> JSON of the topic that fresh posts are scored against, for every tag that is active now.
TOPICS_ACTIVE: Final = "topics:active"

#: A text that changes with every change of :data:`TOPICS_ACTIVE`, so that looking costs next to nothing.
TOPICS_STAMP: Final = "topics:stamp"

#: Hash: tag -> JSON of how far the re-reading of the documents has come.
TOPICS_PROGRESS: Final = "topics:progress"

#: ``topics:known:<job>:<process>``: the topics that a process scores fresh posts against, JSON; expires
#: soon after the process ended.
TOPICS_KNOWN: Final = "topics:known:"

#: Sorted set of the processes that score fresh posts, scored by the Unix time at which their word expires.
TOPICS_READERS: Final = "topics:readers"


def process_member(job: str, process: int) -> str:
    """A process as a member of :data:`PROCESSES`; its report lies at ``PROCESS + member``.

    >>> PROCESS + process_member("posts", 0)
    'job:posts:0'
    """
    return f"{job}:{process}"
