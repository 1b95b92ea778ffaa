"""One process of the posts job: its parts, put together and run."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bytewax._bytewax import cluster_main

from connectors.breadcrumbs import Breadcrumbs
from connectors.credits import Credits
from connectors.dead_letter_sink import DeadLetterSink
from connectors.dead_letter_source import DeadLetterSource
from connectors.document_sink import DocumentSink
from connectors.document_store import DocumentStore
from connectors.health_server import HealthServer
from connectors.patience import Patience
from connectors.presence import Presence
from connectors.recovery import open_recovery
from connectors.source import CompositeSource, PostSource
from connectors.trend_sink import TrendSink
from connectors.trend_store import TrendStore
from dataflows import assembly, models, posts
from dataflows.order import Order
from dataflows.sources import open_replay, open_sources
from dataflows.trends import TrendsBranch
from groundswell import metrics, step_ids
from groundswell.errors import GroundswellError, StopJob, Unavailable
from groundswell.health import Health
from groundswell.progress import Progress
from groundswell.readiness import Check
from groundswell.reports import Status
from groundswell.waits import Waits
from operators.analyse import Analyser
from operators.dead_share import DeadShare
from operators.in_hand import TracedAnalyser, TracedDecoder

#: The engine's words for a state that belongs to no partition of today.
_UNKNOWN_PARTITION = re.compile(r'StateKey\("([^"]*)"\) is not in this worker\'s routing map')


def _now() -> datetime:
    return datetime.now(UTC)


def _trouble(store: DocumentStore) -> str | None:
    """What a readiness check says of the document store."""
    try:
        store.ping()
    except GroundswellError as error:
        return str(error)
    return None


class Job:
    """Everything that one process owns; ``run`` blocks until the sources end or ``stop`` is set."""

    def __init__(self, order: Order, stop: threading.Event) -> None:
        settings = order.settings
        self._order = order
        self._stop = stop
        self._give_up: float | None = None
        self._epochs = 0
        self._progress = Progress()
        self._waits = Waits()
        self._ready_when: dict[str, Check] = {"job": lambda: "starting"}
        self._health = Health(self._waits, settings.job.stall_after, ready_when=self._ready_when)
        self._presence: Presence | None = None
        self._model: models.ServedModel | None = None
        self._server: HealthServer | None = None
        observability = settings.observability
        if observability.port:
            self._server = HealthServer(observability.host, observability.port + order.process, self._health)
        metrics.RESTARTS.set(order.restarts)

    def run(self) -> None:
        """Open everything, run the flow to its end, and leave every accepted record confirmed.

        Raises:
            StopJob: a dependency or the stream is such that a restart would not help.
            Draining: told to stop while a dependency did not answer.
        """
        order = self._order
        if self._server is not None:
            self._server.start()
        self._presence = assembly.open_presence(order, self._waits, self.status)
        store = assembly.open_documents(order.settings, self._waits)
        self._until_it_answers(store.prepare)
        dead_letters = assembly.open_dead_letters(order.settings, self._waits)
        self._until_it_answers(dead_letters.prepare)
        model = self._model = self._open_model()
        allowance = Credits(order.settings.sources.credit_records, order.settings.sources.credit_bytes)
        self._ready_when["documents"] = lambda: _trouble(store)
        if model is not None:
            self._ready_when["model"] = model.trouble
        del self._ready_when["job"]
        replay = self._replay(allowance) if order.replay else None
        sources = [replay] if replay else self._sources(allowance)
        marks = Breadcrumbs(Path(order.breadcrumbs_dir), order.process)
        analyser = Analyser(model.read if model else None, _now)
        slots = step_ids.slots_of(order.process, order.processes)
        source = CompositeSource(sources, self._epoch_closed, idle_timeout=order.settings.trends.idle_timeout)
        self._health.idle_when(lambda: source.idle)
        trend_stores = self._trend_stores(store)
        documents = DocumentSink(store, dead_letters, allowance, slots, self._keep_waiting, self._dead_share())
        self._run_flow(
            posts.PostsFlow(
                source=source,
                isolation=order.isolation,
                decoder=TracedDecoder(assembly.open_decoder(order.settings, _now), marks, self._dead_share()),
                analyser=TracedAnalyser(analyser, marks, self._health.working, one_by_one=bool(order.isolation)),
                documents=documents,
                dead_letters=DeadLetterSink(dead_letters, slots, self._keep_waiting),
                slots=slots,
                now=_now,
                trends=self._trends(source, trend_stores),
            )
        )
        documents.raise_failure()
        if replay is not None and not self._stop.is_set():
            replay.finish()
        dead_letters.close()
        for trend_store in trend_stores:
            trend_store.close()
        store.close()

    def status(self) -> Status:
        """What a status line shows."""
        done, left = self._progress.measure()
        return Status(
            totals=metrics.totals(),
            epochs=self._epochs,
            lag=metrics.lag(),
            waits=self._waits.current(),
            done=done,
            left=left,
            models=self._model.serving() if self._model else (),
            provider=self._model.provider if self._model else "",
            embedding_space=self._model.embedding_space() if self._model else None,
        )

    def close(self) -> None:
        """Stop what runs beside the flow."""
        if self._model is not None:
            self._model.close()
        if self._presence is not None:
            self._presence.close()
        if self._server is not None:
            self._server.close()

    def drain(self) -> None:
        """Told to stop: still alive, but not ready for more."""
        self._health.draining()
        if self._presence is not None:
            self._presence.draining()

    def _run_flow(self, parts: posts.PostsFlow) -> None:
        order = self._order
        job = order.settings.job
        try:
            cluster_main(
                posts.build(parts),
                list(order.addresses),
                order.process,
                epoch_interval=timedelta(seconds=job.epoch_interval),
                recovery_config=open_recovery(Path(order.recovery_dir), job.recovery_partitions),
                worker_count_per_proc=job.workers,
            )
        except RuntimeError as error:
            unknown = _UNKNOWN_PARTITION.search(str(error))
            if unknown is None:
                raise
            raise StopJob(
                f"the recovery store {order.recovery_dir} holds a position of {unknown[1]!r}, which the sources have "
                "no longer (another source, topic, fewer partitions or files.lanes): go back to them, or name another "
                "job.recovery_dir and read from the start; what is stored already is not stored twice"
            ) from None

    def _open_model(self) -> models.ServedModel | None:
        """The model, loaded, warm and proved; for a large one on a GPU that takes minutes, which is no stall."""
        self._waits.begin("models", f"{self._order.settings.models.posts} is being loaded")
        try:
            return models.open_model(self._order.settings, shared=True, judged=True)
        finally:
            self._waits.end("models")

    def _replay(self, allowance: Credits) -> DeadLetterSource:
        return open_replay(self._order.settings, allowance, self._stop, self._waits, self._order.replay)

    def _sources(self, allowance: Credits) -> list[PostSource]:
        return open_sources(self._order.settings, allowance, self._stop, self._waits, until_end=self._order.until_end)

    def _trend_stores(self, documents: DocumentStore) -> list[TrendStore]:
        """Where the one process that writes windows and trends puts them."""
        order = self._order
        if order.process != 0 or not order.settings.trends.enabled or order.replay:
            return []
        stores = assembly.open_trend_stores(order.settings, self._waits, order.redis_url, documents)
        for store in stores:
            self._until_it_answers(store.prepare)
        return stores

    def _trends(self, source: CompositeSource, stores: list[TrendStore]) -> TrendsBranch | None:
        """The branch that counts hashtags; a dead letter's second try is no news, so its tags are not counted."""
        order = self._order
        if not order.settings.trends.enabled or order.replay:
            return None
        sink = TrendSink(stores, self._keep_waiting, owner=order.process == 0)
        return TrendsBranch(assembly.trend_options(order.settings), source.partition_keys, sink, _now)

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

    def _dead_share(self) -> DeadShare | None:
        """The guard of the share of dead letters; bad records in given files never stop a run that ends with them."""
        settings = self._order.settings
        if self._order.replay or (self._order.until_end and "kafka" not in settings.sources.use):
            return None
        return DeadShare(settings.dead_letters.max_share, settings.dead_letters.window)

    def _until_it_answers(self, prepare: Callable[[], None]) -> None:
        patience: Patience | None = None
        while True:
            try:
                prepare()
            except Unavailable as error:
                patience = patience or Patience(error.dependency, self._waits, self._keep_waiting)
                patience.pause(error.reason)
            else:
                break
        if patience is not None:
            patience.succeeded()
