"""One process of the job: the flows it was told to run, and what runs beside them."""

from __future__ import annotations

import threading

from connectors.health_server import HealthServer
from connectors.presence import Presence
from dataflows import assembly
from dataflows.host import Host
from dataflows.models import ServedModel
from dataflows.order import Order
from dataflows.posts_job import PostsJob
from dataflows.reclassify_job import ReclassifyJob
from dataflows.topics import can_reclassify, reads_pairs
from groundswell import metrics
from groundswell.health import AllHealthy
from groundswell.progress import Progress
from groundswell.readiness import Check
from groundswell.reports import Status


class Job:
    """Everything that one process owns; ``run`` blocks until the sources end or ``stop`` is set.

    With ``all``, both flows share one engine. The re-reading is one process's: the first's.
    """

    def __init__(self, order: Order, stop: threading.Event) -> None:
        self._order = order
        self._host = Host(order, stop)
        self._progress = Progress()
        self._presence: Presence | None = None
        self._model: ServedModel | None = None
        self._server: HealthServer | None = None
        self._posts_done = threading.Event()
        self._ready_when: dict[str, Check] = {"job": lambda: "starting"}
        self._flows: list[PostsJob | ReclassifyJob] = []
        if order.flow != "reclassify":
            self._flows.append(PostsJob(self._host, self._ready_when))
        if _reclassifies(order):
            upstream = self._posts_done.is_set if order.until_end else lambda: False
            self._flows.append(ReclassifyJob(self._host, self._ready_when, upstream))
        if order.flow == "reclassify" and order.until_end:
            self._posts_done.set()
        self._health = AllHealthy([flow.health for flow in self._flows])
        observability = order.settings.observability
        if observability.port:
            self._server = HealthServer(observability.host, observability.port + order.process, self._health)
        metrics.RESTARTS.set(order.restarts)

    def run(self) -> None:
        """Run the flows to their ends, and leave every accepted record confirmed.

        Raises:
            StopJob: a dependency or the stream is such that a restart would not help.
            Draining: told to stop while a dependency did not answer.
        """
        if self._server is not None:
            self._server.start()
        self._presence = assembly.open_presence(self._order, self._host.waits, self.status)
        pairs_too = bool(self._order.redis_url) and reads_pairs(self._order.settings)
        model = self._model = self._host.open_model(pairs_too=pairs_too)
        del self._ready_when["job"]
        first, *others = self._flows
        beside = [_Beside(flow, model, self._host.stop) for flow in others]
        for each in beside:
            each.start()
        try:
            first.run(model)
        except BaseException:
            self._host.stop.set()
            raise
        finally:
            self._posts_done.set()
            for each in beside:
                each.join()
        for each in beside:
            if each.failure is not None:
                raise each.failure

    def status(self) -> Status:
        """What a status line shows."""
        done, left = self._progress.measure()
        return Status(
            totals=metrics.totals(),
            epochs=sum(flow.epochs for flow in self._flows),
            lag=metrics.lag(),
            waits=self._host.waits.current(),
            done=done,
            left=left,
            models=self._model.serving() if self._model else (),
            provider=self._model.provider if self._model else "",
            embedding_space=self._model.embedding_space() if self._model else None,
        )

    def close(self) -> None:
        """Stop what runs beside the flows."""
        if self._model is not None:
            self._model.close()
        if self._presence is not None:
            self._presence.close()
        if self._server is not None:
            self._server.close()

    def drain(self) -> None:
        """Told to stop: still alive, but not ready for more."""
        for flow in self._flows:
            flow.health.draining()
        if self._presence is not None:
            self._presence.draining()


def _reclassifies(order: Order) -> bool:
    """Whether this process re-reads documents; beside the posts only where it can."""
    if order.flow == "posts" or order.process != 0 or order.replay:
        return False
    return order.flow == "reclassify" or (bool(order.redis_url) and can_reclassify(order.settings))


class _Beside(threading.Thread):
    """A flow on a thread of its own; where it fails, the others are told to stop."""

    def __init__(self, flow: PostsJob | ReclassifyJob, model: ServedModel | None, stop: threading.Event) -> None:
        super().__init__(name="beside")
        self._flow = flow
        self._model = model
        self._stop_all = stop
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._flow.run(self._model)
        except BaseException as error:  # noqa: BLE001 - the boundary: kept, and raised by the job
            self.failure = error
            self._stop_all.set()
