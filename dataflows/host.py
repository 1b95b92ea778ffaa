"""What the flows of one process share: how long they wait, what they tell, and how they are run."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bytewax._bytewax import cluster_main
from bytewax.dataflow import Dataflow

from connectors.document_store import DocumentStore
from connectors.patience import Patience
from connectors.recovery import open_recovery
from dataflows import models
from dataflows.order import Order
from groundswell.errors import GroundswellError, StopJob, Unavailable
from groundswell.waits import Waits

#: The engine's words for a state that belongs to no partition of today.
_UNKNOWN_PARTITION = re.compile(r'StateKey\("([^"]*)"\) is not in this worker\'s routing map')


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


class Host:
    """One process of the job: its order, its stop flag and what it waits for."""

    def __init__(self, order: Order, stop: threading.Event) -> None:
        self.order = order
        self.settings = order.settings
        self.stop = stop
        self.waits = Waits()
        self._give_up: float | None = None

    def keep_waiting(self) -> bool:
        """Whether an outage may be waited out: always, until the time to drain is over."""
        if not self.stop.is_set():
            return True
        if self._give_up is None:
            self._give_up = time.monotonic() + self.settings.job.drain_timeout
        return time.monotonic() < self._give_up

    def until_it_answers(self, prepare: Callable[[], None]) -> None:
        """Call ``prepare`` until it does not raise ``Unavailable``; raises ``Draining`` when told to stop meanwhile."""
        patience: Patience | None = None
        while True:
            try:
                prepare()
            except Unavailable as error:
                patience = patience or Patience(error.dependency, self.waits, self.keep_waiting)
                patience.pause(error.reason)
            else:
                break
        if patience is not None:
            patience.succeeded()

    def open_model(self, *, pairs_too: bool) -> models.ServedModel | None:
        """The model, loaded, warm and proved, and the cross-encoder with ``pairs_too``.

        For a large one on a GPU that takes minutes, which is no stall.
        """
        self.waits.begin("models", f"{self.settings.models.posts} is being loaded")
        try:
            return models.open_model(self.settings, shared=True, judged=True, pairs_too=pairs_too)
        finally:
            self.waits.end("models")

    def run_flow(
        self, flow: Dataflow, recovery: Path, *, addresses: Sequence[str] = (), process: int = 0, workers: int = 1
    ) -> None:
        """Run a flow to its end.

        Raises ``StopJob`` where its state does not fit its sources, and whatever its steps raise.
        """
        job = self.settings.job
        try:
            cluster_main(
                flow,
                list(addresses),
                process,
                epoch_interval=timedelta(seconds=job.epoch_interval),
                recovery_config=open_recovery(recovery, job.recovery_partitions),
                worker_count_per_proc=workers,
            )
        except RuntimeError as error:
            unknown = _UNKNOWN_PARTITION.search(str(error))
            if unknown is None:
                raise
            raise StopJob(
                f"the recovery store {recovery} holds a position of {unknown[1]!r}, which the sources have "
                "no longer (another source, topic, fewer partitions or files.lanes): go back to them, or name another "
                "job.recovery_dir and read from the start; what is stored already is not stored twice"
            ) from None


def trouble(store: DocumentStore) -> str | None:
    """What a readiness check says of the document store."""
    try:
        store.ping()
    except GroundswellError as error:
        return str(error)
    return None
