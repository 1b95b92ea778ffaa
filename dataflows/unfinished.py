"""A re-reading by hand that was not finished, kept in the data directory so that the next call goes on with it."""

from __future__ import annotations

import logging
from hashlib import blake2b
from pathlib import Path

import msgspec

from groundswell.errors import StopJob
from groundswell.settings import Settings
from inference.atomic import replace_durably
from operators.topics.rescoring_state import RescoringState

_LOG = logging.getLogger("groundswell.topics")
_FOLDER = "reclassify"


class Unfinished(msgspec.Struct, frozen=True):
    """Where a re-reading of a store by a tag stands, and what it was asked for.

    ``label`` is the person's; ``scored_by`` names what scores. One that was asked for otherwise is another one.
    """

    store: str
    tag: str
    label: str | None
    coverage: str
    scored_by: str
    state: RescoringState


class UnfinishedFile:
    """The file of one tag and store."""

    def __init__(self, settings: Settings, store: str, tag: str) -> None:
        name = blake2b(f"{store}\0{tag}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        self._path = Path(settings.job.data_dir) / _FOLDER / f"{name}.json"

    def load(self) -> Unfinished | None:
        """What was kept; ``None`` for nothing, or for what another release has kept."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Unfinished)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            _LOG.warning("%s was kept by another release, and is passed over: %s", self._path, error)
            return None
        except OSError as error:
            raise StopJob(f"{self._path}: {error.strerror or error}") from None

    def keep(self, unfinished: Unfinished) -> None:
        """Keep it instead of what was kept; raises ``StopJob`` where it cannot be written."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_durably(self._path, msgspec.json.encode(unfinished))
        except OSError as error:
            raise StopJob(f"{self._path}: {error.strerror or error}: set job.data_dir to a folder of yours") from None

    def forget(self) -> None:
        """It is finished."""
        self._path.unlink(missing_ok=True)
