"""What a job process is told to do."""

from __future__ import annotations

from typing import Literal

import msgspec

from groundswell.settings import Settings
from operators.isolate import Isolation

Flow = Literal["posts", "reclassify", "all"]


class Order(msgspec.Struct, frozen=True):
    """One process's part of a run. It travels over a pipe, for the settings hold secrets.

    ``flow`` is what runs: the indexing of posts, the re-reading of documents, or both.

    ``replay``, when it is not 0, feeds the flow with the dead letters marked up to it for another try
    instead of with the sources.
    """

    settings: Settings
    process: int
    processes: int
    addresses: tuple[str, ...]
    isolation: Isolation
    until_end: bool
    replay: int
    restarts: int
    recovery_dir: str
    breadcrumbs_dir: str
    redis_url: str
    flow: Flow = "posts"
