"""Step ids of the flows. Frozen: Bytewax files recovery state under them, and renaming one drops its state."""

from __future__ import annotations

from typing import Final

POSTS_FLOW: Final = "posts"

SOURCE: Final = "source"
ISOLATE: Final = "isolate"
DECODE: Final = "decode"
ANALYSE: Final = "analyse"
ROUTE_DOCUMENTS: Final = "route-documents"
DOCUMENTS: Final = "documents"
ROUTE_DEAD_LETTERS: Final = "route-dead-letters"
DEAD_LETTERS: Final = "dead-letters"
SPREAD_TAGS: Final = "spread-tags"
OPEN_PANES: Final = "open-panes"
CLOSED_PANES: Final = "closed-panes"
SLIDING_COUNTS: Final = "sliding-counts"
MERGE_WINDOWS: Final = "merge-windows"
TRENDS: Final = "trends"

RECLASSIFY_FLOW: Final = "reclassify"

TREND_EVENTS: Final = "trend-events"
RESCORE: Final = "rescore"
SCORES: Final = "scores"

#: Keys over which tags are spread, the same for every size of the cluster.
SHARDS: Final = 16

#: Sink partitions, the same for every size of the cluster: a recovery store that met
#: a partition which the next run does not list could not be resumed.
SLOTS: Final = 32


def slots_of(process: int, processes: int) -> list[int]:
    """The sink partitions that a process owns; together the processes own each exactly once.

    >>> slots_of(1, 3)[:3]
    [1, 4, 7]
    """
    return list(range(process, SLOTS, processes))
