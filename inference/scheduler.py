"""What the device runs next: the queue policy as a state machine, without threads, device or clock.

Rows wait in two lanes. Those of one group (a version of a model and the outputs wanted of
it) may share a batch; within a group they wait by length. The laws:

* The device never idles while rows fill a batch, or one has waited ``linger``.
* Every batch holds the oldest row of its lane, so that none starves; rows of one group and
  length go in the order in which they came.
* A batch keeps within its budget, unless one row alone is beyond it, and is padded no
  more than the limits allow.
* Live rows go before backfill; while both wait, backfill is sure of a share of the
  device's time.
* A batch that failed is halved until the row to blame is alone. Halves take turns with
  fresh batches of their lane, and give way to live ones as all backfill does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from inference.limits import Lane, Limits, bucket


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """A row that waits: ``size`` tokens, row ``index`` of what ``owner`` brought, there ``since`` (seconds)."""

    order: int
    since: float
    size: int
    owner: Any
    index: int


class Batch(NamedTuple):
    """Rows for one call of the device, padded to ``length``."""

    lane: Lane
    group: Any
    length: int
    tickets: Sequence[Ticket]

    @property
    def cost(self) -> int:
        """Tokens that the device reads, padding included."""
        return len(self.tickets) * self.length


class Scheduler:
    """The queue before one device. Times are seconds of any clock that never goes back; not thread-safe.

    ``suits`` tells the tokens of a batch that suit a group, where the limits do not set them.
    """

    def __init__(self, limits: Limits, suits: Callable[[Any], int] = lambda _: 1024) -> None:
        def budget(group: Hashable) -> int:
            return limits.batch_tokens or suits(group)

        self._limits: Final = limits
        self._lanes: Final = {lane: _Lane(lane, limits, budget) for lane in Lane}
        self._arrived = 0
        self._running: Batch | None = None
        #: Whose rows were withdrawn while the device had some of them.
        self._gone: set[Hashable] = set()
        self._began = 0.0
        self._contended = False
        #: Seconds of the device that backfill has to get before live rows.
        self._owed = 0.0

    @property
    def running(self) -> Batch | None:
        """What the device has now."""
        return self._running

    def waiting(self, lane: Lane) -> int:
        """Rows of a lane that wait, those to be tried again included."""
        return self._lanes[lane].rows

    def room(self, lane: Lane) -> int:
        """Rows that a lane can take now."""
        return max(0, self._limits.queue_rows - self._lanes[lane].rows)

    def offer(self, lane: Lane, group: Hashable, owner: Hashable, sizes: Sequence[int], now: float, first: int) -> None:
        """Queue rows of these ``sizes`` in tokens; they are the owner's rows from ``first`` on.

        No more than there is room for: it is the caller who waits.
        """
        tickets = [
            Ticket(order, now, size, owner, index)
            for order, index, size in zip(
                range(self._arrived, self._arrived + len(sizes)), range(first, first + len(sizes)), sizes, strict=True
            )
        ]
        self._arrived += len(sizes)
        self._lanes[lane].add(group, tickets)

    def next(self, now: float, *, backfill: bool = True) -> Batch | None:
        """The batch to run now; ``None`` while the device is busy, nothing waits, or rows linger.

        ``backfill`` says whether that lane may go now. After a batch, :meth:`finished` or
        :meth:`failed` has to be told.
        """
        due = self.due(backfill=backfill)
        if due is None or due > now:
            return None
        live, back = self._lanes[Lane.LIVE], self._lanes[Lane.BACKFILL]
        both = bool(live.rows and back.rows and backfill)
        chosen = back if not live.rows or (both and self._owed > 0) else live
        self._running = chosen.take()
        self._began = now
        self._contended = both
        return self._running

    def due(self, *, backfill: bool = True) -> float | None:
        """When :meth:`next` has a batch if nothing else comes; ``None`` while busy or empty."""
        lanes = [lane for lane in self._lanes.values() if lane.rows and (backfill or lane.lane is Lane.LIVE)]
        if self._running is not None or not lanes:
            return None
        if any(lane.retries for lane in lanes):
            return float("-inf")
        full = (
            sum(lane.fill for lane in lanes) >= 1 - 1e-9 or sum(lane.rows for lane in lanes) >= self._limits.batch_rows
        )
        return float("-inf") if full else min(lane.oldest().since for lane in lanes) + self._limits.linger

    def finished(self, now: float) -> Batch:
        """The device has run its batch."""
        batch = self._running
        assert batch is not None, "no batch runs"  # noqa: S101
        self._running = None
        self._gone.clear()
        self._account(batch.lane, max(0.0, now - self._began))
        return batch

    def failed(self, now: float) -> Ticket | None:
        """The device could not run its batch: halves of it wait again, or the row that was alone is to blame."""
        gone = frozenset(self._gone)
        batch = self.finished(now)
        if len(batch.tickets) == 1:
            return batch.tickets[0]
        left = [ticket for ticket in batch.tickets if ticket.owner not in gone]
        self._lanes[batch.lane].retry(batch, left)
        return None

    def withdraw(self, owners: Collection[Hashable]) -> int:
        """Forget the rows of these owners that wait; how many there were. What the device has it keeps."""
        if self._running is not None:
            self._gone.update(owners)
        return sum(lane.withdraw(owners) for lane in self._lanes.values())

    def _account(self, lane: Lane, seconds: float) -> None:
        """Keep what backfill is owed: it earns by live time that it waited through, and pays by its own.

        It earns nothing while it need not wait, and time that it had for nothing wipes out what it had earned.
        """
        share = self._limits.backfill_share
        if self._contended:
            self._owed += seconds * share / (1 - share) if lane is Lane.LIVE else -seconds
        elif lane is Lane.BACKFILL:
            self._owed = min(self._owed, 0.0)


class _Lane:
    """The rows of a lane, by group, and the halves of batches that failed."""

    def __init__(self, lane: Lane, limits: Limits, budget: Callable[[Hashable], int]) -> None:
        self.lane: Final = lane
        self.rows = 0
        self.retries: deque[Batch] = deque()
        self._limits = limits
        self._budget = budget
        self._lines: dict[Hashable, _Line] = {}
        self._retried = False

    @property
    def fill(self) -> float:
        """The batches that the fresh rows would fill, each row padded to its bucket."""
        return sum(line.cost / line.budget for line in self._lines.values())

    def oldest(self) -> Ticket:
        """The oldest fresh row; there must be one."""
        return min((line.oldest() for line in self._lines.values()), key=_by_order)

    def add(self, group: Hashable, tickets: Sequence[Ticket]) -> None:
        if tickets:
            self.rows += len(tickets)
            if group not in self._lines:
                self._lines[group] = _Line(self._limits, self._budget(group))
            self._lines[group].add(tickets)

    def take(self) -> Batch:
        """The next batch; the lane must not be empty."""
        if self.retries and not (self._retried and self._lines):
            self._retried = True
            batch = self.retries.popleft()
        else:
            self._retried = False
            group = min(self._lines, key=lambda group: self._lines[group].oldest().order)
            line = self._lines[group]
            batch = Batch(self.lane, group, *line.take())
            if not line.cost:
                del self._lines[group]
        self.rows -= len(batch.tickets)
        return batch

    def retry(self, batch: Batch, tickets: Sequence[Ticket]) -> None:
        """Put both halves of what is left of a batch where they are tried before all others."""
        middle = len(tickets) // 2
        for half in (tickets[middle:], tickets[:middle]):
            if half:
                self.retries.appendleft(self._again(batch, half))
                self.rows += len(half)

    def withdraw(self, owners: Collection[Hashable]) -> int:
        before = self.rows
        for group, line in list(self._lines.items()):
            self.rows -= line.withdraw(owners)
            if not line.cost:
                del self._lines[group]
        retries, self.retries = self.retries, deque()
        for batch in retries:
            kept = [ticket for ticket in batch.tickets if ticket.owner not in owners]
            self.rows -= len(batch.tickets) - len(kept)
            if kept:
                self.retries.append(self._again(batch, kept))
        return before - self.rows

    def _again(self, batch: Batch, tickets: Sequence[Ticket]) -> Batch:
        longest = max(ticket.size for ticket in tickets)
        return batch._replace(tickets=tickets, length=bucket(longest, self._limits.buckets))


class _Line:
    """The fresh rows of one group, by bucket; rows of a bucket are in the order of their arrival."""

    def __init__(self, limits: Limits, budget: int) -> None:
        #: Tokens of a batch.
        self.budget: Final = budget
        self._limits = limits
        self._buckets: dict[int, deque[Ticket]] = {}
        #: Tokens, each row padded to its bucket.
        self.cost = 0

    def oldest(self) -> Ticket:
        return min((waiting[0] for waiting in self._buckets.values()), key=_by_order)

    def add(self, tickets: Iterable[Ticket]) -> None:
        lengths = self._limits.buckets
        for ticket in tickets:
            length = bucket(ticket.size, lengths)
            self.cost += length
            try:
                self._buckets[length].append(ticket)
            except KeyError:
                self._buckets[length] = deque([ticket])

    def take(self) -> tuple[int, list[Ticket]]:
        """The length of the next batch and its rows, the oldest of all among them."""
        whole = self._together()
        length = whole[-1]
        room = self._room(length)
        chosen: list[Ticket] = []
        for waiting in reversed(whole):
            self._move(waiting, min(room, len(self._buckets[waiting])), chosen)
        tokens = sum(ticket.size for ticket in chosen)
        for shorter in sorted((other for other in self._buckets if other < whole[0]), reverse=True):
            fitting = 0
            for ticket in islice(self._buckets[shorter], room - len(chosen)):
                if not self._close(length, len(chosen) + fitting + 1, tokens + ticket.size):
                    break
                tokens += ticket.size
                fitting += 1
            if not fitting:
                break
            self._move(shorter, fitting, chosen)
        return length, chosen

    def _together(self) -> list[int]:
        """The bucket of the oldest row, and longer ones after it where all rows up to them make one good batch."""
        oldest = bucket(self.oldest().size, self._limits.buckets)
        together, found = [oldest], [oldest]
        rows = len(self._buckets[oldest])
        for longer in sorted(other for other in self._buckets if other > oldest):
            together.append(longer)
            rows += len(self._buckets[longer])
            if rows > self._room(longer):
                break
            tokens = sum(ticket.size for length in together for ticket in self._buckets[length])
            if self._close(longer, rows, tokens):
                found = list(together)
        return found

    def _room(self, length: int) -> int:
        """Rows of ``length`` tokens that a batch holds."""
        return max(1, min(self._limits.batch_rows, self.budget // length))

    def _close(self, length: int, rows: int, tokens: int) -> bool:
        """Whether rows of so many tokens in all may be padded to this length."""
        cells = length * rows
        return cells - tokens <= max(self._limits.padding * cells, self._limits.call_tokens)

    def _move(self, length: int, count: int, chosen: list[Ticket]) -> None:
        waiting = self._buckets[length]
        chosen += [waiting.popleft() for _ in range(count)]
        self.cost -= length * count
        if not waiting:
            del self._buckets[length]

    def withdraw(self, owners: Collection[Hashable]) -> int:
        gone = 0
        for length, waiting in list(self._buckets.items()):
            kept = deque(ticket for ticket in waiting if ticket.owner not in owners)
            count = len(waiting) - len(kept)
            gone += count
            self.cost -= length * count
            if kept:
                self._buckets[length] = kept
            else:
                del self._buckets[length]
        return gone


def _by_order(ticket: Ticket) -> int:
    return ticket.order
