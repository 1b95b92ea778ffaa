"""``groundswell models``: training is there where its packages are."""

from __future__ import annotations

import sys

import pytest

from cli.main import main


def test_without_the_packages_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("model_export")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["models", "baseline"]) == 2
    assert "pip install 'groundswell[train]'" in capsys.readouterr().err
