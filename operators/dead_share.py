"""Too many dead letters: most likely the mapping is wrong, and the topic must not drain into them."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence

from groundswell.errors import StopJob
from groundswell.records import DeadLetter


class DeadShare:
    """Watches the share of dead letters among the last ``window`` records of a process."""

    def __init__(self, max_share: float, window: int) -> None:
        self._max_share = max_share
        self._window = window
        self._batches: deque[tuple[int, Counter[str]]] = deque()
        self._records = 0
        self._dead: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, posts: int, letters: Sequence[DeadLetter]) -> None:
        """Count ``posts`` more, ``letters`` among them.

        Raises:
            StopJob: the window is full and more than ``max_share`` of it is dead;
                the message names the causes and one example.
        """
        causes = Counter(letter.cause for letter in letters)
        if not posts:
            return
        with self._lock:
            self._batches.append((posts, causes))
            self._records += posts
            self._dead += causes
            while self._records - self._batches[0][0] >= self._window:
                old_posts, old_causes = self._batches.popleft()
                self._records -= old_posts
                self._dead -= old_causes
            dead = self._dead.total()
            if self._records >= self._window and dead > self._max_share * self._records:
                self._stop(letters, dead)

    def _stop(self, letters: Sequence[DeadLetter], dead: int) -> None:
        causes = ", ".join(f"{cause}: {count}" for cause, count in self._dead.most_common(3))
        example = f"; for example {letters[0].key}: {letters[0].detail}" if letters else ""
        raise StopJob(
            f"{dead} of the last {self._records} records are dead letters ({causes}{example}); check decode.shape and "
            f"decode.mapping, or raise dead_letters.max_share above {self._max_share}"
        )
