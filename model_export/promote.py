"""Promoting and rolling back by hand: what is to serve is proved first."""

from __future__ import annotations

from pathlib import Path

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.aliases import PREVIOUS
from inference.names import CHAMPION
from inference.promotion import point
from inference.promotion import roll_back as _roll_back
from inference.remote import open_repository
from model_export.verify import require_good


def promote(
    root: Path | str,
    name: str,
    version: str,
    alias: str = CHAMPION,
    *,
    new_space: bool = False,
    cache: Path | None = None,
) -> ModelRef:
    """Let ``alias`` mean ``version`` (or what another alias means now), once it has proved itself.

    Raises :class:`ModelError`, and changes nothing, where it does not prove itself, or where
    :func:`~inference.promotion.point` refuses it.
    """
    repository = open_repository(root, cache)
    opened = repository.open(f"{name}@{version}")
    require_good(opened)
    point(repository, name, alias, opened.ref.version, new_space=new_space)
    return opened.ref


def roll_back(root: Path | str, name: str, *, new_space: bool = False, cache: Path | None = None) -> ModelRef:
    """Let the previous champion be the champion again, once it has proved itself; the version that serves then.

    Raises :class:`ModelError` where there is none, where it does not prove itself, or where
    somebody moved the champion meanwhile.
    """
    repository = open_repository(root, cache)
    # To lock a model makes its folder: not for a name that was mistyped.
    if name not in repository.models():
        raise ModelError(f"no model {name!r} in {repository.where}")
    aliases = repository.aliases(name)
    if PREVIOUS in aliases:
        require_good(repository.open(f"{name}@{PREVIOUS}"))
    aliases = _roll_back(repository, name, expected=aliases.get(CHAMPION), new_space=new_space)
    return ModelRef(name, aliases[CHAMPION])
