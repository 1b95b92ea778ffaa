from __future__ import annotations

from pathlib import Path

import pytest

from operators.shapes.causes import CAUSES, REASONS

_PAGE = (Path(__file__).parents[3] / "docs" / "decoding.md").read_text("utf-8")


@pytest.mark.parametrize(("name", "meaning"), [*CAUSES.items(), *REASONS.items()])
def test_the_page_names_every_cause_and_reason(name: str, meaning: str) -> None:
    assert f"| `{name}` | {meaning} |" in _PAGE
