"""The identity of an embedding space."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell.errors import ModelError
from model_export.spaces import space_id

PARTS = st.dictionaries(st.text(max_size=4), st.binary(max_size=4), max_size=4)


@settings(deadline=None)
@given(first=PARTS, second=PARTS)
def test_two_spaces_are_the_same_exactly_when_their_parts_are(
    first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    assert (space_id("m", first) == space_id("m", second)) == (first == second)
    assert space_id("m", first) == space_id("m", dict(reversed(first.items())))


def test_names_and_content_never_run_into_each_other() -> None:
    assert space_id("m", {"a": b"bc"}) != space_id("m", {"ab": b"c"})
    assert space_id("m", {"a": b"", "b": b""}) != space_id("m", {"a": b"b"})


def test_the_id_can_stand_in_a_document() -> None:
    assert space_id("minilm", {}).startswith("minilm-")
    with pytest.raises(ModelError, match="no name"):
        space_id("a b", {})
