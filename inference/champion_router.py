"""The live router: follows the aliases of a repository and swaps what serves while the job runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from groundswell.errors import ModelError, Unavailable
from groundswell.metrics import MODEL_REFUSALS
from groundswell.records import Analysis, ModelRef
from inference.alias_watch import ALIAS, SPACE, TASKS, AliasWatch, Refused
from inference.aliases import CANDIDATE, PREVIOUS
from inference.champion import Champion, Fall, Rules
from inference.loaded import Load, Loaded
from inference.names import CHAMPION, parse
from inference.promotion import point, roll_back
from inference.repository import Repository
from inference.routing import Share
from inference.rows import RowError, Text
from inference.tasks import EMBEDDING

_LOG = logging.getLogger("groundswell.models")

#: Longest time that closing waits for a model that is being loaded.
_CLOSING: Final = 5.0


class ChampionRouter:
    """Serves each task with the version that its reference means, whichever that is by now.

    ``serve`` maps a task to ``name@alias`` or ``name@version``; tasks of one reference are
    answered by one version, and only they can be asked for together. ``load`` loads, warms
    and proves a version. Once constructed, all of them are ready; raises
    :class:`~groundswell.errors.ModelError` otherwise.

    Every ``refresh`` seconds a thread looks at the aliases (never, when 0). A new champion is
    opened and loaded beside the old one and takes over; one that must not serve is refused,
    counted and logged, and the old one goes on. A reference that names a version is never
    swapped and has no candidate.
    """

    def __init__(
        self,
        repository: Repository,
        serve: Mapping[str, str],
        load: Load,
        *,
        refresh: float = 0.0,
        rules: Rules | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        rules = rules or Rules()
        tasks: dict[str, set[str]] = {}
        for task, reference in serve.items():
            name, wanted = parse(reference)
            tasks.setdefault(f"{name}@{wanted}", set()).add(task)
        self._repository = repository
        self._looking = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._seats: list[_Seat] = []
        try:
            for reference, wanted_tasks in tasks.items():
                self._seats.append(_Seat(repository, reference, wanted_tasks, load, rules, clock))
        except BaseException:
            self._close_seats()
            raise
        self._of_task = {task: seat for seat in self._seats for task in seat.tasks}
        self.look()
        self._thread: threading.Thread | None = None
        if refresh:
            self._thread = threading.Thread(target=self._watch, args=(refresh,), name="champion-watch", daemon=True)
            self._thread.start()

    def route(self, texts: Sequence[Text], tasks: Collection[str]) -> list[Share]:
        """Shares that together serve every text exactly once, shadows apart; raises :class:`ModelError`."""
        return self._seat(tasks).champion.route(texts)

    def observe(self, share: Share, tasks: Collection[str], answers: Sequence[Analysis | RowError]) -> None:
        """Learn what became of a share."""
        self._seat(tasks).champion.observe(share, tasks, answers)

    def tasks(self) -> frozenset[str]:
        """What can be asked."""
        return frozenset(self._of_task)

    def serving(self) -> dict[str, ModelRef]:
        """Task → the champion that answers it now."""
        return {task: seat.champion.loaded.ref for task, seat in self._of_task.items()}

    def embedding_space(self) -> str | None:
        """The space that embeddings are in now, where they can be asked for."""
        seat = self._of_task.get(EMBEDDING)
        return seat.champion.loaded.manifest.embedding_space if seat else None

    def look(self) -> None:
        """Look at the aliases now and do what they ask for; returns when it is done. Never raises."""
        with self._looking:
            for seat in self._seats:
                if self._closed:
                    return
                # The boundary: whatever a look meets, the versions that serve go on serving.
                try:
                    seat.look()
                except Exception:  # noqa: BLE001
                    _LOG.exception("a look at the aliases of %s failed; what serves goes on", seat.name)

    def close(self) -> None:
        """Stop looking for new versions; closing twice is harmless."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_CLOSING)
        self._close_seats()

    def _seat(self, tasks: Collection[str]) -> _Seat:
        seats = {id(seat): seat for task in tasks if (seat := self._of_task.get(task))}
        if len(seats) == 1 and all(task in self._of_task for task in tasks):
            return next(iter(seats.values()))
        known = "; ".join(f"{seat.reference}: {', '.join(sorted(seat.tasks))}" for seat in self._seats) or "none"
        raise ModelError(f"no model answers {', '.join(tasks) or 'no task'} together (there: {known})")

    def _watch(self, refresh: float) -> None:
        while not self._wake.wait(refresh):
            self.look()

    def _close_seats(self) -> None:
        for seat in self._seats:
            seat.champion.close()


class _Seat:
    """One reference: its champion, and what is done when its aliases move."""

    def __init__(
        self,
        repository: Repository,
        reference: str,
        tasks: Collection[str],
        load: Load,
        rules: Rules,
        clock: Callable[[], float],
    ) -> None:
        self.reference: Final = reference
        self.tasks: Final = frozenset(tasks)
        self.name, self._alias = parse(reference)
        self._repository = repository
        self._canary = rules.canary > 0
        ref = repository.resolve(reference)
        #: A version that was named is never swapped.
        self._pinned = ref.version == self._alias
        first = Loaded(repository.fetch(ref), load)
        self._require_tasks(first)
        self.champion: Final = Champion(first, rules, self._on_fall)
        self._champions = AliasWatch(repository, load, self.name, self._alias, self._fits, clock)
        self._candidates = AliasWatch(repository, load, self.name, CANDIDATE, self._fits, clock)
        self._return: _Return | None = None

    def look(self) -> None:
        if self._pinned:
            return
        if self._return is not None:
            self._point_back(self._return)
        try:
            aliases = self._repository.aliases(self.name)
            if self._alias not in aliases:
                raise ModelError(f"{self._repository.where} has no alias {self._alias} of {self.name} any more")
        except (ModelError, Unavailable) as error:
            self._champions.tell(Refused(ALIAS, str(error)))
            return
        self._follow(aliases[self._alias])
        if self._canary:
            self._follow_candidate(aliases.get(CANDIDATE))

    def _follow(self, version: str) -> None:
        champion = self.champion
        old = champion.loaded
        self._champions.see(version)
        loaded = self._champions.ready(version, champion.in_memory)
        if loaded is None or loaded is old:
            return
        if loaded is champion.previous:
            # Whoever goes back does not want what was left as a candidate either.
            self._candidates.refuse(old.ref.version)
        self._tell_space(loaded, old)
        champion.take_over(loaded)
        _LOG.info("%s serves in place of %s", loaded.name, old.name)

    def _follow_candidate(self, version: str | None) -> None:
        champion = self.champion
        old = champion.candidate
        self._candidates.see(version)
        if version is None or version == champion.loaded.ref.version:
            champion.set_candidate(None)
            return
        loaded = self._candidates.ready(version, champion.in_memory)
        if loaded is not None and self._moves_space(loaded, champion.loaded):
            # Also one that was here before the champion moved.
            self._candidates.refuse(version)
            self._candidates.tell(
                Refused(
                    SPACE,
                    f"{loaded.name} embeds in {loaded.manifest.embedding_space}, the champion in "
                    f"{champion.loaded.manifest.embedding_space}: no search would find its share of the documents, so "
                    "it gets none; promote it (--new-space) if it is to serve",
                )
            )
            loaded = None
        if loaded is old:
            return
        champion.set_candidate(loaded)
        if loaded is not None:
            _LOG.info("%s serves its share as a candidate beside %s", loaded.name, champion.loaded.name)

    def _moves_space(self, new: Loaded, old: Loaded) -> bool:
        return EMBEDDING in self.tasks and new.manifest.embedding_space != old.manifest.embedding_space

    def _tell_space(self, new: Loaded, old: Loaded) -> None:
        if self._moves_space(new, old):
            _LOG.warning(
                "%s embeds in another space, %s; that of %s is %s. Documents carry the space of their vector, and "
                "searches compare within one: run `groundswell embed` to bring the stored ones along",
                new.name,
                new.manifest.embedding_space,
                old.name,
                old.manifest.embedding_space,
            )

    def _fits(self, loaded: Loaded) -> None:
        """Raise where a version that loads must not take this seat all the same."""
        self._require_tasks(loaded)
        if loaded.pairs != self.champion.loaded.pairs:
            what = "pairs of texts" if loaded.pairs else "single texts"
            raise Refused(TASKS, f"{loaded.name} reads {what} and {self.champion.loaded.name} does not")

    def _require_tasks(self, loaded: Loaded) -> None:
        missing = self.tasks - loaded.reader.tasks
        if missing:
            raise Refused(
                TASKS,
                f"{loaded.name} does not answer {', '.join(sorted(missing))} "
                f"(it answers {', '.join(sorted(loaded.reader.tasks))}): choose another version",
            )

    def _on_fall(self, fall: Fall) -> None:
        """A version falls: it is not taken up again before its alias has moved."""
        version = fall.fallen.ref.version
        self._candidates.refuse(version)
        MODEL_REFUSALS.labels(self.name, fall.fault.cause).inc()
        if fall.back is None:
            _LOG.error("%s loses its share as a candidate: %s", fall.fallen.name, fall.fault.reason)
            return
        self._champions.refuse(version)
        self._return = _Return(fall.fallen, fall.back)
        _LOG.error("%s serves again in place of %s: %s", fall.back.name, fall.fallen.name, fall.fault.reason)
        self._tell_space(fall.back, fall.fallen)

    def _point_back(self, wanted: _Return) -> None:
        """Let the alias follow a roll back, where it is the champion's and still names the version that fell.

        Where the repository cannot be written now, that is tried again at every look, and told once:
        a job that starts anew would take the bad version up.
        """
        name, bad, good = self.name, wanted.bad.ref.version, wanted.good.ref.version
        try:
            aliases = self._repository.aliases(name)
            if self._alias == CHAMPION and aliases.get(CHAMPION) == bad:
                # Going back in the repository's own way leaves nobody a way to the bad version.
                if aliases.get(PREVIOUS) == good:
                    roll_back(self._repository, name, expected=bad, new_space=True)
                else:
                    point(self._repository, name, CHAMPION, good, expected=bad, new_space=True)
                _LOG.info("%s@%s means %s again", name, CHAMPION, good)
        except (ModelError, Unavailable) as error:
            if not wanted.told:
                wanted.told = True
                _LOG.warning("%s@%s could not be set back to %s: %s", name, CHAMPION, good, error)
            return
        # Another version may have fallen meanwhile.
        if self._return is wanted:
            self._return = None


class _Return:
    """A roll back that the alias has to follow; ``told`` says that it could not, and that this was logged."""

    def __init__(self, bad: Loaded, good: Loaded) -> None:
        self.bad: Final = bad
        self.good: Final = good
        self.told = False
