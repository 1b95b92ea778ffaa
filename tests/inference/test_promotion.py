"""Moving aliases: only to what is there, only from what was seen, never silently into another embedding space."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.promotion import point, roll_back
from inference.repository import Repository
from model_export.publish import publish
from tests.inference.tiny import NAME, remanifest, tiny_draft
from tests.inference.tiny_bert import NAME as BERT
from tests.inference.tiny_bert import tiny_bert_draft


def published(root: Path, *temperatures: float) -> list[ModelRef]:
    return [publish(root, tiny_draft(temperature=each), alias="candidate") for each in temperatures]


def test_of_many_who_promote_from_the_same_champion_one_wins(tmp_path: Path) -> None:
    first, *others = published(tmp_path, 1, 2, 3, 4, 5)
    repository = Repository(tmp_path)
    point(repository, NAME, "champion", first.version)
    outcomes: list[dict[str, str] | ModelError] = []

    def promote(version: str) -> None:
        try:
            outcomes.append(point(repository, NAME, "champion", version, expected=first.version))
        except ModelError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=promote, args=(ref.version,)) for ref in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (won,) = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    assert repository.aliases(NAME) == won
    assert won["previous"] == first.version


def test_writers_of_different_aliases_never_lose_each_other_s(tmp_path: Path) -> None:
    (ref,) = published(tmp_path, 1)
    names = [f"alias{number}" for number in range(8)]
    threads = [threading.Thread(target=point, args=(Repository(tmp_path), NAME, name, ref.version)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(names) <= Repository(tmp_path).aliases(NAME).keys()


@pytest.mark.parametrize("version", ["gone", "../tiny", ""])
def test_an_alias_never_points_to_nowhere(tmp_path: Path, version: str) -> None:
    (ref,) = published(tmp_path, 1)
    with pytest.raises(ModelError):
        point(Repository(tmp_path), NAME, "champion", version)
    assert Repository(tmp_path).aliases(NAME) == {"candidate": ref.version}


def test_a_champion_that_was_lost_can_be_replaced_and_not_gone_back_to(tmp_path: Path) -> None:
    (ref,) = published(tmp_path, 1)
    repository = Repository(tmp_path)
    repository.write_aliases(NAME, {"champion": "lost"})
    point(repository, NAME, "champion", ref.version)
    assert repository.aliases(NAME) == {"champion": ref.version, "previous": "lost"}
    with pytest.raises(ModelError, match="there is no tiny@lost"):
        roll_back(repository, NAME)
    assert repository.resolve(NAME) == ref


def test_a_champion_of_another_space_needs_to_be_meant(tmp_path: Path) -> None:
    first = publish(tmp_path, tiny_bert_draft(0))
    second = publish(tmp_path, tiny_bert_draft(1), alias="candidate")
    repository = Repository(tmp_path)
    with pytest.raises(ModelError, match=r"embeds in tiny-1, the champion .* in tiny-0: .*--new-space"):
        point(repository, BERT, "champion", second.version)
    assert repository.resolve(BERT) == first
    point(repository, BERT, "champion", second.version, new_space=True)
    with pytest.raises(ModelError, match="embeds in tiny-0"):
        roll_back(repository, BERT)
    roll_back(repository, BERT, new_space=True)
    assert repository.resolve(BERT) == first


def test_a_champion_of_the_same_space_or_the_first_with_one_is_let_through(tmp_path: Path) -> None:
    first, second, third = published(tmp_path, 1, 2, 3)
    folder = tmp_path / NAME
    remanifest(folder / second.version, embedding_space="here")
    remanifest(folder / third.version, embedding_space="here")
    repository = Repository(tmp_path)
    for ref in (first, second, third):
        point(repository, NAME, "champion", ref.version)
    with pytest.raises(ModelError, match="embeds in no space"):
        point(repository, NAME, "champion", first.version)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelError, match=r"the aliases of tiny in .*file cannot be changed"):
        point(Repository(tmp_path / "file"), NAME, "champion", "a")
