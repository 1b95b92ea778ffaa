"""Promoting, going back and listing, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundswell.errors import ModelError
from inference.manifest import LABELS, MODEL
from inference.repository import Repository
from model_export.listing import list_versions
from model_export.promote import promote, roll_back
from model_export.publish import publish
from tests.inference.tiny import NAME, rewrite, tiny_draft
from tests.inference.tiny_bert import NAME as BERT
from tests.inference.tiny_bert import tiny_bert_draft


def test_the_candidate_becomes_champion_and_gives_way_again(tmp_path: Path) -> None:
    first = publish(tmp_path, tiny_draft())
    second = publish(tmp_path, tiny_draft(temperature=2.0), alias="candidate")
    assert promote(tmp_path, NAME, "candidate") == second
    assert Repository(tmp_path).aliases(NAME) == {"champion": second.version, "previous": first.version}
    assert roll_back(tmp_path, NAME) == first
    assert Repository(tmp_path).aliases(NAME) == {"champion": first.version}
    with pytest.raises(ModelError, match="no previous champion"):
        roll_back(tmp_path, NAME)


def test_what_does_not_prove_itself_is_not_promoted(tmp_path: Path) -> None:
    first = publish(tmp_path, tiny_draft())
    second = publish(tmp_path, tiny_draft(temperature=2.0), alias="candidate")
    rewrite(tmp_path / NAME / second.version, LABELS, lambda _: b'{"sentiment": ["positive", "neutral", "negative"]}')
    with pytest.raises(ModelError, match="golden input"):
        promote(tmp_path, NAME, second.version)
    assert Repository(tmp_path).resolve(NAME) == first


def test_a_previous_champion_that_was_damaged_is_not_gone_back_to(tmp_path: Path) -> None:
    first = publish(tmp_path, tiny_draft())
    second = publish(tmp_path, tiny_draft(temperature=2.0))
    (tmp_path / NAME / first.version / MODEL).write_bytes(b"")
    with pytest.raises(ModelError, match=f"{MODEL} is not the file"):
        roll_back(tmp_path, NAME)
    assert Repository(tmp_path).resolve(NAME) == second


def test_publishing_refuses_another_space_before_it_writes(tmp_path: Path) -> None:
    first = publish(tmp_path, tiny_bert_draft(0))
    other = tiny_bert_draft(1)
    with pytest.raises(ModelError, match=r"tiny-bert@.* embeds in tiny-1, the champion .* in tiny-0"):
        publish(tmp_path, other)
    assert Repository(tmp_path).versions(BERT) == [first.version]
    publish(tmp_path, other, alias="candidate")
    with pytest.raises(ModelError, match="--new-space"):
        promote(tmp_path, BERT, "candidate")
    assert publish(tmp_path, other, new_space=True).version == other.version
    assert Repository(tmp_path).resolve(BERT).version == other.version


def test_versions_are_listed_with_what_they_say_of_themselves(tmp_path: Path) -> None:
    first = publish(tmp_path, tiny_draft(metrics={"validation": {"accuracy": 0.5}}))
    second = publish(tmp_path, tiny_draft(temperature=2.0, forced="an emergency"))
    found = {each.version: each for each in list_versions(Repository(tmp_path))}
    assert found[first.version].aliases == ("previous",)
    assert found[first.version].metrics == {"validation": {"accuracy": 0.5}}
    assert found[first.version].tasks == ("sentiment",)
    assert found[first.version].precisions == ("fp32",)
    assert found[second.version].aliases == ("champion",)
    assert (found[second.version].parent, found[second.version].forced) == (first.version, "an emergency")
    assert {each.trouble for each in found.values()} == {None}


def test_what_cannot_be_read_is_listed_with_its_trouble(tmp_path: Path) -> None:
    ref = publish(tmp_path, tiny_draft())
    repository = Repository(tmp_path)
    repository.write_aliases(NAME, {"champion": "gone", "candidate": ref.version})
    (tmp_path / NAME / ref.version / "MANIFEST.json").write_bytes(b"{")
    damaged, lost = list_versions(repository, NAME)
    assert (damaged.aliases, lost.aliases) == (("candidate",), ("champion",))
    assert "cannot be used" in (damaged.trouble or "")
    assert lost.trouble == "it is not there, or not whole"


def test_a_name_that_is_mistyped_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model 'absnet'"):
        roll_back(tmp_path, "absnet")
    assert list(tmp_path.iterdir()) == []
