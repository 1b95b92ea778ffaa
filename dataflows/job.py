"""One process of the posts job: its parts, put together and run."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bytewax._bytewax import cluster_main
from connectors.dead_letter_sink import DeadLetterSink
from connectors.document_sink import DocumentSink
from connectors.presence import Presence

from connectors.breadcrumbs import Breadcrumbs
from connectors.credits import Credits
from connectors.document_store import DocumentStore
from connectors.health_server import HealthServer
from connectors.patience import Patience
from connectors.recovery import open_recovery
from connectors.source import CompositeSource
from dataflows import assembly, posts
from dataflows.order import Order
from groundswell import metrics, step_ids
from groundswell.errors import Unavailable
from groundswell.health import Health
from groundswell.reports import Status
from groundswell.waits import Waits
from operators.analyse import Analyser
from operators.dead_share import DeadShare
from operators.in_hand import TracedAnalyser, TracedDecoder


def _now() -> datetime:
    return datetime.now(UTC)


class Job:
    """Everything that one process owns; ``run`` blocks until the sources end or ``stop`` is set."""

    def __init__(self, order: Order, stop: threading.Event) -> None:
        settings = order.settings
        self._order = order
        self._stop = stop
        self._give_up: float | None = None
        self._epochs = 0
        self._waits = Waits()
        self._health = Health(self._waits, settings.job.stall_after)
        self._server: HealthServer | None = None
        observability = settings.observability
        if observability.port:
            self._server = HealthServer(observability.host, observability.port + order.process, self._health)
        self._presence: Presence | None = None
        metrics.RESTARTS.set(order.restarts)

    def run(self) -> None:
        """Open everything, run the flow to its end, and leave every accepted record confirmed.

        Raises:
            StopJob: a dependency or the stream is such that a restart would not help.
            Draining: told to stop while a dependency did not answer.
        """
        order = self._order
        settings = order.settings
        if self._server is not None:
            self._server.start()
        store = assembly.open_documents(settings, self._waits)
        self._health_checks(store)
        self._prepare(store)
        dead_letters = assembly.open_dead_letters(settings, self._waits)
        engine = assembly.open_engine(settings)
        credits_ = Credits(settings.sources.credit_records, settings.sources.credit_bytes)
        marks = Breadcrumbs(Path(order.breadcrumbs_dir), order.process)
        share = None
        if not (order.until_end and "kafka" not in settings.sources.use):
            share = DeadShare(settings.dead_letters.max_share, settings.dead_letters.window)
        slots = step_ids.slots_of(order.process, order.processes)
        flow = posts.build(
            posts.PostsFlow(
                source=CompositeSource(
                    assembly.open_sources(settings, credits_, self._stop, self._waits, order.until_end, order.replay),
                    on_epoch=self._epoch_closed,
                ),
                isolation=order.isolation,
                decoder=TracedDecoder(assembly.open_decoder(settings, _now), marks, share),
                analyser=TracedAnalyser(Analyser(engine, _now), marks, one_by_one=bool(order.isolation)),
                documents=DocumentSink(store, dead_letters, credits_, slots, self._keep_waiting),
                dead_letters=DeadLetterSink(dead_letters, slots),
                slots=slots,
                now=_now,
            )
        )
        self._announce(engine)
        cluster_main(
            flow,
            list(order.addresses),
            order.process,
            epoch_interval=timedelta(seconds=settings.job.epoch_interval),
            recovery_config=open_recovery(Path(order.recovery_dir), settings.job.recovery_partitions),
            worker_count_per_proc=settings.job.workers,
        )

    def status(self) -> Status:
        """What a status line shows."""
        done, left = metrics.progress()
        return Status(
            totals=metrics.totals(),
            epochs=self._epochs,
            lag=metrics.lag(),
            waits=self._waits.current(),
            done=done,
            left=left,
        )

    def close(self) -> None:
        """Stop what runs beside the flow."""
        if self._presence is not None:
            self._presence.close()
        if self._server is not None:
            self._server.close()

    def drain(self) -> None:
        """Told to stop: still alive, but not ready for more."""
        self._health.draining()

    def _epoch_closed(self) -> None:
        self._epochs += 1
        self._health.epoch_closed()

    def _keep_waiting(self) -> bool:
        """Whether an outage may be waited out: always, until the time to drain is over."""
        if not self._stop.is_set():
            return True
        if self._give_up is None:
            self._give_up = time.monotonic() + self._order.settings.job.drain_timeout
        return time.monotonic() < self._give_up

    def _prepare(self, store: DocumentStore) -> None:
        patience = Patience("documents", self._waits, self._keep_waiting)
        while True:
            try:
                store.prepare()
            except Unavailable as error:
                patience.pause(error.reason)
            else:
                patience.succeeded()
                return
