"""The posts flow: raw records in, documents and dead letters out.

::

    source ─ isolate ─ decode ─┬─ analyse ─ route ─ documents (sink)
                               ├─ route ─ dead letters (sink)
                               └─ trends (a branch of its own, with its sink)

A batch stays on the worker that read it and goes to sink partitions of its own process:
credits therefore bound what a process holds, whatever the size of the cluster. Only
hashtags leave their worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import Source
from bytewax.outputs import Sink

from dataflows.trends import TrendsBranch, build_trends
from groundswell import step_ids
from groundswell.records import Batch, RawBatch
from operators.analyse import Analyses, analyse_step
from operators.decode import Decodes, decode_step
from operators.isolate import Isolation, isolate_step


@dataclass(frozen=True)
class PostsFlow:
    """What the flow is made of; ``slots`` are the sink partitions of this process."""

    source: Source[RawBatch]
    isolation: Isolation
    decoder: Decodes
    analyser: Analyses
    documents: Sink[tuple[str, Batch]]
    dead_letters: Sink[tuple[str, Batch]]
    slots: Sequence[int]
    now: Callable[[], datetime]
    trends: TrendsBranch | None = None


def build(parts: PostsFlow) -> Dataflow:
    """Wire the flow."""
    flow = Dataflow(step_ids.POSTS_FLOW)
    records = op.input(step_ids.SOURCE, flow, parts.source)
    isolated = isolate_step(step_ids.ISOLATE, records, parts.isolation, parts.now)
    decoded = decode_step(step_ids.DECODE, isolated, parts.decoder)
    analysed = analyse_step(step_ids.ANALYSE, decoded, parts.analyser)
    documents = _route(step_ids.ROUTE_DOCUMENTS, analysed, parts.slots)
    op.output(step_ids.DOCUMENTS, documents, parts.documents)
    dead = _route(step_ids.ROUTE_DEAD_LETTERS, decoded, parts.slots, only_dead=True)
    op.output(step_ids.DEAD_LETTERS, dead, parts.dead_letters)
    if parts.trends is not None:
        build_trends(decoded, parts.trends)
    return flow


def _route(
    step_id: str, stream: Stream[Batch], slots: Sequence[int], *, only_dead: bool = False
) -> Stream[tuple[str, Batch]]:
    """Key each batch by a sink partition of this process, one stream partition always by the same."""

    def route(batches: list[Batch]) -> list[tuple[str, Batch]]:
        return [
            (
                str(slots[crc32(f"{batch.stream}/{batch.partition}".encode("utf-8", "surrogatepass")) % len(slots)]),
                batch,
            )
            for batch in batches
            if batch.dead or not only_dead
        ]

    return op.flat_map_batch(step_id, stream, route)
