"""Moving aliases: a version becomes champion or candidate, or the champion before comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from groundswell.errors import ModelError, Unavailable
from groundswell.records import ModelRef
from inference.aliases import PREVIOUS, moved, rolled_back
from inference.names import CHAMPION, plain
from inference.repository import Repository


def point(
    repository: Repository,
    name: str,
    alias: str,
    version: str,
    *,
    expected: str | None = None,
    new_space: bool = False,
) -> dict[str, str]:
    """Let ``alias`` mean ``version`` from now on, in one step; the aliases as they are then.

    With ``expected``, only where the champion is still that version. Raises
    :class:`ModelError`, and changes nothing, where it is not, where the version is not
    there, where a champion's embeddings would mean something else than those of the one
    before (unless ``new_space``), or where the repository cannot be written.
    """
    return _change(repository, name, lambda aliases: moved(aliases, alias, plain(version)), expected, new_space)


def roll_back(
    repository: Repository, name: str, *, expected: str | None = None, new_space: bool = False
) -> dict[str, str]:
    """Let the previous champion be the champion again; otherwise as :func:`point`."""
    return _change(repository, name, rolled_back, expected, new_space)


def require_space(
    repository: Repository, champion: ModelRef, embedding_space: str | None, what: str = "the new champion"
) -> None:
    """Raise :class:`ModelError` where embeddings of ``embedding_space`` cannot stand beside those of ``champion``."""
    now = repository.manifest(champion).embedding_space
    if now is not None and now != embedding_space:
        raise ModelError(
            f"{what} embeds in {embedding_space or 'no space'}, the champion {champion.name}@{champion.version} in "
            f"{now}: what is stored could not be searched with it. Allow a new space (--new-space) if that is meant, "
            "and then run `groundswell embed`"
        )


def _change(
    repository: Repository,
    name: str,
    change: Callable[[Mapping[str, str]], dict[str, str]],
    expected: str | None,
    new_space: bool,
) -> dict[str, str]:
    try:
        with repository.locked(name):
            found = repository.look(name)
            if found.stale is not None:
                raise ModelError(f"the aliases of {name} are not known now: {found.stale}")
            before = found.aliases.get(CHAMPION)
            if expected is not None and before != expected:
                raise ModelError(f"the champion of {name} is {before} by now, not {expected}: look again")
            aliases = change(found.aliases)
            if aliases != found.aliases:
                _require_versions(repository, name, found.aliases, aliases, new_space)
                repository.write_aliases(name, aliases)
            return aliases
    except (OSError, Unavailable) as error:
        raise ModelError(f"the aliases of {name} in {repository.where} cannot be changed: {error}") from error


def _require_versions(
    repository: Repository, name: str, before: Mapping[str, str], after: Mapping[str, str], new_space: bool
) -> None:
    for alias, version in after.items():
        # A previous champion that is gone is no reason to refuse the next.
        if alias != PREVIOUS and before.get(alias) != version and not repository.has(ModelRef(name, version)):
            known = ", ".join(repository.versions(name)) or "none"
            raise ModelError(f"there is no {name}@{version} in {repository.where} (there: {known})")
    champion = before.get(CHAMPION)
    if new_space or champion is None or champion == after.get(CHAMPION) or not repository.has(ModelRef(name, champion)):
        return
    space = repository.manifest(ModelRef(name, after[CHAMPION])).embedding_space
    require_space(repository, ModelRef(name, champion), space, f"{name}@{after[CHAMPION]}")
