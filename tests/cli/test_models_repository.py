"""``groundswell models list``, ``show``, ``verify``, ``promote`` and ``rollback`` on real versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main
from tests.inference import tiny
from tests.inference.tiny_bert import published_bert


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


def _models(root: Path, part: str, *words: str) -> int:
    return main(["models", part, *words, "--repository", str(root)])


def test_list_shows_every_version_with_its_aliases(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = tiny.published(root, metrics={"validation": {"macro_recall": 0.5}})
    second = tiny.published(root, temperature=2.0)
    encoder = published_bert(root, alias="candidate")
    (root / "tiny-bert" / "half").mkdir()
    assert _models(root, "list", "--json") == 0
    found = {(each["name"], each["version"]): each for each in json.loads(capsys.readouterr().out)}
    assert {name: each["aliases"] for name, each in found.items()} == {
        ("tiny", first.name): ["previous"],
        ("tiny", second.name): ["champion"],
        ("tiny-bert", encoder.name): ["candidate"],
    }
    assert set(found["tiny-bert", encoder.name]["tasks"]) == {"sentiment", "emotion", "embedding"}
    assert _models(root, "list", "tiny") == 0
    shown = capsys.readouterr().out
    assert first.name in shown and "validation 0.500" in shown and encoder.name not in shown


def test_list_goes_on_past_what_is_broken(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, broken = tiny.published(root), tiny.published(root, temperature=2.0)
    (broken / "MANIFEST.json").write_text("{")
    assert _models(root, "list") == 0
    shown = capsys.readouterr().out
    assert good.name in shown and "cannot be used" in shown


def test_list_of_nothing_and_of_a_model_that_is_not_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _models(root, "list") == 1
    assert "no model in" in capsys.readouterr().out
    assert _models(root, "list", "absent") == 1
    assert "no model 'absent'" in capsys.readouterr().err


def test_show_prints_the_card_of_a_version_and_its_manifest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draft = tiny.tiny_draft()
    card = "# tiny\n\nKnows \x1b[31msix words.\n"
    version = tiny.published(root, files={**draft.files, "README.md": card.encode()})
    assert _models(root, "show", "tiny") == 0
    shown = capsys.readouterr().out
    assert f"tiny@{version.name} (champion)" in shown and "sentiment (classes)" in shown
    assert "# tiny\n\nKnows" in shown and "\x1b" not in shown
    assert _models(root, "show", f"tiny@{version.name}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["version"] == version.name


def test_verify_tells_good_from_bad_by_reference_and_by_folder(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = tiny.published(root)
    assert _models(root, "verify", "tiny", str(version)) == 0
    assert capsys.readouterr().out.count("good to serve on cpu") == 2
    graph = (version / "model.onnx").read_bytes()
    (version / "model.onnx").write_bytes(graph[: len(graph) // 2])
    assert _models(root, "verify", "tiny", str(version)) == 1
    assert capsys.readouterr().err.count("sha256 differs") == 2
    assert _models(root, "verify", "tiny", "--json") == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found["model"] == "tiny" and "sha256 differs" in found["findings"][0]


def test_promote_and_rollback_move_the_champion(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tiny.published(root), tiny.published(root, alias="candidate", temperature=2.0)
    assert _models(root, "promote", "tiny@candidate", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "model": "tiny",
        "aliases": {"champion": second.name, "previous": first.name},
    }
    assert _models(root, "rollback", "tiny") == 0
    assert f"tiny@champion is {first.name} again" in capsys.readouterr().out
    assert _models(root, "rollback", "tiny") == 1
    assert "no previous champion" in capsys.readouterr().err


def test_promote_refuses_what_does_not_prove_itself(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tiny.published(root), tiny.published(root, alias="candidate", temperature=2.0)
    (second / "labels.json").write_bytes(b"{}")
    assert _models(root, "promote", "tiny@candidate") == 1
    assert "sha256 differs" in capsys.readouterr().err
    assert _models(root, "promote", "tiny") == 1
    assert "which version of tiny?" in capsys.readouterr().err
    assert json.loads((root / "tiny" / "aliases.json").read_text())["champion"] == first.name


def test_a_champion_that_moves_the_space_needs_to_be_meant(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published_bert(root)
    published_bert(root, seed=1, alias="candidate")
    assert _models(root, "promote", "tiny-bert@candidate") == 1
    assert "--new-space" in capsys.readouterr().err
    assert _models(root, "promote", "tiny-bert@candidate", "--new-space") == 0
    assert _models(root, "rollback", "tiny-bert") == 1
    assert _models(root, "rollback", "tiny-bert", "--new-space") == 0
