"""The engine: what every operator hands its texts to, and the only owner of the device.

``submit`` blocks the calling worker (without the interpreter lock) and answers one value a
text, in order. Texts are encoded, and answers read, on the caller's thread, beside the
device; one thread of the engine runs what the :mod:`~inference.scheduler` says. A text
that cannot be scored answers with an error value and takes none of its neighbours with it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final

from groundswell.errors import ModelError
from groundswell.metrics import (
    INFERENCE_BATCH_ROWS,
    INFERENCE_BATCH_SECONDS,
    INFERENCE_QUEUED,
    INFERENCE_TOKENS,
    INFERENCE_WAIT,
)
from groundswell.records import Analysis
from inference.limits import Lane, Limits
from inference.live_latency import LiveLatency
from inference.live_signal import CLAIM_POLL, LiveSignal
from inference.routing import Router, Share
from inference.rows import DEVICE, Outputs, RowError, Text
from inference.scheduler import Batch, Scheduler
from inference.session import DeviceError
from inference.submission import Cancelled, Chunk, Flag, Group, Submission, complete, count, merged

#: Texts that are encoded at a time: few enough that the device need not wait, and that little is held.
CHUNK: Final = 256


class Engine:
    """Scores texts with the models of a router, in batches that merge what several threads submit.

    It owns the device and the router: :meth:`close` closes both. ``clock`` gives seconds
    that never go back; ``live_latency`` is how engines of other processes on the same
    device are told of live rows, and heard; it becomes the engine's own.
    """

    def __init__(
        self,
        router: Router,
        limits: Limits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        live_latency: LiveLatency | None = None,
    ) -> None:
        limits = limits or Limits()
        self._router = router
        self._clock = clock
        self._scheduler = Scheduler(limits, lambda group: group.reader.batch_tokens)
        self._signal = LiveSignal(live_latency, limits.backfill_share)
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        #: Who waits for room in a lane, in the order in which they get it.
        self._turns: dict[Lane, deque[Submission]] = {lane: deque() for lane in Lane}
        self._submissions: set[Submission] = set()
        self._closed = False
        self._stopped = False
        self._metrics = {lane: _LaneMetrics(lane) for lane in Lane}
        self._thread = threading.Thread(target=self._serve, name="inference-device", daemon=True)
        self._thread.start()

    def submit(
        self,
        texts: Sequence[Text],
        tasks: Collection[str],
        lane: Lane = Lane.LIVE,
        cancelled: Flag | None = None,
    ) -> list[Analysis | RowError]:
        """One analysis or error a text, in order; blocks until all are there.

        Where the version that serves a text fails on it, and another one read it in the
        shadow, that one's answer stands. Once ``cancelled`` is set, rows that wait are
        forgotten, and texts without an answer get a :data:`~inference.rows.CANCELLED` one.
        Raises :class:`ModelError` on an engine that is closed, or is closed meanwhile, and
        for tasks or texts that no model serves.
        """
        if self._closed:
            raise ModelError("the engine is closed")
        if not tasks:
            raise ModelError("name at least one task")
        if not texts:
            return []
        shares: list[tuple[Share, list[Analysis | RowError]]]
        shares = [(share, []) for share in self._router.route(texts, tasks)]
        submission = Submission(lane, tasks, cancelled, self._lock)
        with self._lock:
            self._submissions.add(submission)
        whole = True
        try:
            self._read(submission, texts, shares)
        except Cancelled:
            whole = False
            submission.collect()
        finally:
            with self._lock:
                self._submissions.discard(submission)
                self._scheduler.withdraw({chunk for chunk, _ in submission.pending})
                self._let_in(lane)
        for share, found in shares:
            complete(share, found)
        answers = merged(len(texts), shares)
        for share, found in shares:
            count(share, answers)
            # An answer that was not waited for says nothing of the model.
            if whole:
                self._router.observe(share, tasks, found)
        return answers

    def tasks(self) -> frozenset[str]:
        """What can be asked now."""
        return self._router.tasks()

    def close(self) -> None:
        """Take no more texts; what is on the device finishes, and whoever waits for more has an error.

        Closing twice is harmless.
        """
        with self._lock:
            self._closed = True
            self._wake_all()
        self._thread.join()
        self._router.close()
        self._signal.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What follows runs on the threads of those who submit.

    def _read(
        self,
        submission: Submission,
        texts: Sequence[Text],
        shares: Sequence[tuple[Share, list[Analysis | RowError]]],
    ) -> None:
        """Bring all texts of all shares before the device, a chunk at a time, and read what it says of them."""
        for share, answers in shares:
            group = Group(share.reader, tuple(share.reader.outputs(submission.tasks)))
            for start in range(0, len(share.positions), CHUNK):
                since = self._clock()
                part = [texts[position] for position in share.positions[start : start + CHUNK]]
                chunk = Chunk(submission, group, share.reader.encode(part), since)
                submission.pending.append((chunk, answers))
                self._offer(submission, chunk)
                submission.collect()
        while submission.pending:
            self._wait(submission, submission.pending[0][0])
            submission.collect()

    def _offer(self, submission: Submission, chunk: Chunk) -> None:
        """Queue a chunk: in turn, and in pieces where there is no room for all of it."""
        scheduler, lane, turns = self._scheduler, submission.lane, self._turns[submission.lane]
        sizes = [row.size for row in chunk.rows]
        with self._lock:
            turns.append(submission)
            try:
                while chunk.offered < len(sizes):
                    self._check(submission, self._closed)
                    room = scheduler.room(lane) if turns[0] is submission else 0
                    if not room:
                        submission.wait()
                        continue
                    now = self._clock()
                    piece = sizes[chunk.offered : chunk.offered + room]
                    scheduler.offer(lane, chunk.group, chunk, piece, now, chunk.offered)
                    chunk.offered += len(piece)
                    if lane is Lane.LIVE:
                        self._signal.arrived(now)
                    self._work.notify()
            finally:
                turns.remove(submission)
                self._let_in(lane)

    def _wait(self, submission: Submission, chunk: Chunk) -> None:
        with self._lock:
            while chunk.left:
                # What the device has when the engine is closed still comes; once it has stopped nothing does.
                self._check(submission, self._stopped)
                submission.wait()

    @staticmethod
    def _check(submission: Submission, over: bool) -> None:
        if over:
            raise ModelError("the engine was closed")
        submission.check()

    # What follows needs the lock.

    def _let_in(self, lane: Lane) -> None:
        """Wake whose turn it is, where there is room."""
        self._metrics[lane].queued.set(self._scheduler.waiting(lane))
        if self._turns[lane] and self._scheduler.room(lane):
            self._turns[lane][0].ready.notify()

    def _wake_all(self) -> None:
        self._work.notify()
        for submission in self._submissions:
            submission.ready.notify()

    # What follows runs on the thread of the device.

    def _serve(self) -> None:
        try:
            while (batch := self._next()) is not None:
                self._run(batch)
        finally:
            # Also where the engine itself is at fault: nobody may wait for ever.
            with self._lock:
                self._closed = self._stopped = True
                self._wake_all()

    def _next(self) -> Batch | None:
        """The next batch, waited for; ``None`` once the engine is closed."""
        scheduler = self._scheduler
        with self._lock:
            while not self._closed:
                now = self._clock()
                held = bool(scheduler.waiting(Lane.BACKFILL)) and self._signal.holds_backfill(now)
                batch = scheduler.next(now, backfill=not held)
                if batch is not None:
                    self._signal.dispatched(batch.lane, now, now - min(ticket.since for ticket in batch.tickets))
                    self._let_in(batch.lane)
                    return batch
                due = scheduler.due(backfill=not held)
                waits = [CLAIM_POLL] if held else []
                if due is not None:
                    waits.append(due - now)
                self._work.wait(min(waits, default=None))
        return None

    def _run(self, batch: Batch) -> None:
        group: Group = batch.group
        rows = [ticket.owner.rows[ticket.index] for ticket in batch.tickets]
        began = self._clock()
        # Whatever a reader raises is about this batch: it is halved until the row to blame is alone.
        try:
            outputs = group.reader.run(rows, batch.length, group.outputs)
            for name in group.outputs:
                if len(outputs[name]) != len(rows):
                    raise DeviceError(f"{name} has {len(outputs[name])} lines for {len(rows)} rows")
        except Exception as error:  # noqa: BLE001
            self._blame(batch, RowError(DEVICE, str(error) or type(error).__name__))
        else:
            self._scatter(batch, outputs, began)
        self._metrics[batch.lane].ran(batch, self._clock() - began)

    def _blame(self, batch: Batch, error: RowError) -> None:
        with self._lock:
            to_blame = self._scheduler.failed(self._ended(batch))
            if to_blame is not None and to_blame.owner.failed(to_blame.index, error):
                to_blame.owner.submission.ready.notify()
            self._let_in(batch.lane)

    def _scatter(self, batch: Batch, outputs: Outputs, began: float) -> None:
        """Give each chunk its lines of the outputs; the submitters put them together."""
        lines: dict[Chunk, tuple[list[int], list[int]]] = {}
        for line, ticket in enumerate(batch.tickets):
            found = lines.get(ticket.owner)
            if found is None:
                found = lines[ticket.owner] = ([], [])
            found[0].append(line)
            found[1].append(ticket.index)
        waited = self._metrics[batch.lane].wait
        with self._lock:
            self._scheduler.finished(self._ended(batch))
            for chunk, (places, indexes) in lines.items():
                waited.observe(began - chunk.since)
                if chunk.arrived(outputs, places, indexes):
                    chunk.submission.ready.notify()

    def _ended(self, batch: Batch) -> float:
        """Now; and the others are told that a batch is through."""
        now = self._clock()
        self._signal.ended(batch.lane, now, live_waits=self._scheduler.waiting(Lane.LIVE) > 0)
        return now


class _LaneMetrics:
    """What is measured of a lane: once a batch, not once a row."""

    def __init__(self, lane: Lane) -> None:
        self.queued = INFERENCE_QUEUED.labels(lane.value)
        #: Of the rows of a chunk that share a batch, one is measured.
        self.wait = INFERENCE_WAIT.labels(lane.value)
        self._seconds = INFERENCE_BATCH_SECONDS.labels(lane.value)
        self._rows = INFERENCE_BATCH_ROWS.labels(lane.value)
        self._text = INFERENCE_TOKENS.labels("text")
        self._padding = INFERENCE_TOKENS.labels("padding")

    def ran(self, batch: Batch, seconds: float) -> None:
        """A batch was on the device for so long, with or without success."""
        text = sum(ticket.size for ticket in batch.tickets)
        self._seconds.observe(seconds)
        self._rows.observe(len(batch.tickets))
        self._text.inc(text)
        self._padding.inc(batch.cost - text)
