"""What an alias means now, loaded: each version is tried as often as makes sense, and told about once."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Final

from groundswell.errors import ModelError, Unavailable
from groundswell.metrics import MODEL_REFUSALS
from groundswell.records import ModelRef
from inference.loaded import Load, Loaded
from inference.repository import Repository

_LOG = logging.getLogger("groundswell.models")

#: Why a version must not serve: the values of the metric's label ``cause``.
ALIAS: Final = "alias"
FILES: Final = "files"
UNAVAILABLE: Final = "unavailable"
MODEL: Final = "model"
TASKS: Final = "tasks"
SPACE: Final = "space"
UNFORESEEN: Final = "unforeseen"
_PASSING: Final = frozenset({FILES, UNAVAILABLE, UNFORESEEN})

#: Seconds before what may heal by itself is tried again: at first, and at most.
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 300.0


class Refused(ModelError):
    """A version that must not serve, with its cause."""

    def __init__(self, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause


class AliasWatch:
    """Follows one alias of one model. Not thread-safe, :meth:`refuse` excepted.

    ``fits`` raises :class:`Refused` for a version that loads and yet must not serve here.
    ``clock`` gives seconds.
    """

    def __init__(
        self,
        repository: Repository,
        load: Load,
        name: str,
        alias: str,
        fits: Callable[[Loaded], None],
        clock: Callable[[], float],
    ) -> None:
        self._repository = repository
        self._load = load
        self._name = name
        self._alias = alias
        self._fits = fits
        self._clock = clock
        self._refused: set[str] = set()
        self._told: tuple[str, str] | None = None
        self._wait = _FIRST_WAIT
        self._again = -math.inf
        self._meant: str | None = None

    def refuse(self, version: str) -> None:
        """Do not try ``version`` before the alias has moved."""
        self._refused.add(version)

    def see(self, version: str | None) -> None:
        """The alias means ``version`` now; ``None`` where there is no such alias."""
        if version != self._meant:
            self._meant, self._again, self._wait = version, -math.inf, _FIRST_WAIT
            self._refused.clear()

    def ready(self, version: str, in_memory: Callable[[str], Loaded | None]) -> Loaded | None:
        """The version that was seen, loaded, or ``None`` where it must not serve, or not yet.

        What is wrong with the files, or with the way to them, may heal: it is tried again,
        after 1 s at first and after 5 minutes at most. Anything else is final until the
        alias moves.
        """
        # In this order: a version that falls is refused before it leaves the memory.
        loaded = in_memory(version)
        if version in self._refused:
            return None
        if loaded is None and self._clock() >= self._again:
            loaded = self._try(version)
        if loaded is not None:
            self._told = None
        return loaded

    def tell(self, refusal: Refused) -> None:
        """Count a refusal and log it, unless it is the one that was told last."""
        told = (refusal.cause, str(refusal))
        if told != self._told:
            self._told = told
            MODEL_REFUSALS.labels(self._name, refusal.cause).inc()
            _LOG.error("%s@%s: %s", self._name, self._alias, refusal, extra={"cause": refusal.cause})

    def _try(self, version: str) -> Loaded | None:
        try:
            return self._loaded(version)
        except Refused as refusal:
            self.tell(refusal)
            if refusal.cause in _PASSING:
                self._again = self._clock() + self._wait
                self._wait = min(2 * self._wait, _LONGEST_WAIT)
            else:
                self._refused.add(version)
            return None

    def _loaded(self, version: str) -> Loaded:
        try:
            opened = self._repository.fetch(ModelRef(self._name, version))
        except ModelError as error:
            raise Refused(FILES, str(error)) from error
        except Unavailable as error:
            raise Refused(UNAVAILABLE, str(error)) from error
        try:
            loaded = Loaded(opened, self._load)
        except ModelError as error:
            raise Refused(MODEL, str(error)) from error
        # The boundary: whatever else goes wrong with a new version, the old one must go on.
        except Exception as error:
            raise Refused(UNFORESEEN, f"{type(error).__name__}: {error}") from error
        self._fits(loaded)
        return loaded
