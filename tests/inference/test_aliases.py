"""Aliases: each move whole, and always a way back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell.errors import ModelError
from inference.aliases import decode, encode, moved, rolled_back

VERSIONS = st.sampled_from(["a", "b", "c", "d"])
MOVES = st.lists(st.tuples(st.sampled_from(["champion", "candidate", "blue", "back"]), VERSIONS), max_size=12)


@settings(deadline=None)
@given(moves=MOVES)
def test_aliases_follow_the_history_of_champions(moves: list[tuple[str, str]]) -> None:
    aliases: dict[str, str] = {}
    history: list[str] = []
    others: dict[str, str] = {}
    for alias, version in moves:
        if alias == "back":
            if len(history) < 2:
                with pytest.raises(ModelError, match="no previous champion"):
                    rolled_back(aliases)
                continue
            aliases = rolled_back(aliases)
            history = [history[-2]]
        else:
            aliases = moved(aliases, alias, version)
            if alias != "champion":
                others[alias] = version
            elif history[-1:] != [version]:
                history = [*history[-1:], version]
                if others.get("candidate") == version:
                    del others["candidate"]
        expected = dict(others)
        if history:
            expected["champion"] = history[-1]
        if len(history) == 2:
            expected["previous"] = history[0]
        assert aliases == expected
        assert decode("aliases.json", encode(aliases)) == aliases


@settings(deadline=None)
@given(first=VERSIONS, second=VERSIONS)
def test_going_back_undoes_a_promotion(first: str, second: str) -> None:
    before = {"champion": first}
    after = moved(before, "champion", second)
    assert after == before if first == second else rolled_back(after) == before


@pytest.mark.parametrize("alias", ["previous", "", "../x", ".hidden", "a/b", "a@b"])
def test_names_that_cannot_be_set(alias: str) -> None:
    with pytest.raises(ModelError, match="cannot be set"):
        moved({}, alias, "a")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"champion": 7}', b"\xff", b'{"champion"'])
def test_what_is_no_map_of_names_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"aliases\.json cannot be used"):
        decode("aliases.json", content)
