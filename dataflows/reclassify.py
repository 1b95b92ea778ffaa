"""The reclassify flow: events of trends in, probabilities of documents out.

::

    trend events ─ (by tag) ─ rescore ─ scores (sink)
"""

from __future__ import annotations

from dataclasses import dataclass

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import Sink

from groundswell import step_ids
from groundswell.candidates import ScoreBatch
from groundswell.trends import TrendEvent
from operators.topics.rescore import Rescorer, rescore_step


@dataclass(frozen=True)
class ReclassifyFlow:
    """What the flow is made of."""

    source: Source[TrendEvent]
    rescorer: Rescorer
    scores: Sink[tuple[str, ScoreBatch]]


def build(parts: ReclassifyFlow) -> Dataflow:
    """Wire the flow."""
    flow = Dataflow(step_ids.RECLASSIFY_FLOW)
    events = op.input(step_ids.TREND_EVENTS, flow, parts.source)
    by_tag = op.key_on(f"{step_ids.TREND_EVENTS}-by-tag", events, lambda event: event.trend.tag)
    op.output(step_ids.SCORES, rescore_step(step_ids.RESCORE, by_tag, parts.rescorer), parts.scores)
    return flow
