"""The canary's share: which texts, how many, and each served once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.canary import Canary, Sample
from inference.loaded import Loaded
from inference.rows import Text
from tests.inference.judged import loaded

texts = st.lists(st.one_of(st.text(max_size=8), st.tuples(st.text(max_size=4), st.text(max_size=4))), max_size=40)
shares = st.floats(0, 1)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Loaded, Loaded]:
    root: Path = tmp_path_factory.mktemp("models")
    return loaded(root), loaded(root, bias=(1, 0, 0))


@given(st.uuids(), shares)
def test_the_share_is_within_binomial_bounds(salt: object, share: float) -> None:
    count = 2_000
    sample = Sample(str(salt), share)
    found = sum(f"text {number}" in sample for number in range(count))
    # Six standard deviations: one false alarm in half a billion.
    assert abs(found - count * share) <= 6 * math.sqrt(count * share * (1 - share)) + 1e-9


def test_nothing_and_everything_are_exact() -> None:
    assert not any(f"{number}" in Sample("v", 0.0) for number in range(1_000))
    assert all(f"{number}" in Sample("v", 1.0) for number in range(1_000))


@given(texts, shares)
def test_a_text_goes_the_same_way_wherever_it_stands(several: list[Text], share: float) -> None:
    sample, again = Sample("version", share), Sample("version", share)
    for text in several:
        assert (text in sample) == (text in again)


def test_another_candidate_gets_other_texts() -> None:
    one, other = Sample("one", 0.5), Sample("other", 0.5)
    both = sum(f"{number}" in one and f"{number}" in other for number in range(4_000))
    assert both == pytest.approx(1_000, abs=6 * math.sqrt(4_000 * 0.25 * 0.75))


@given(texts, shares)
def test_each_text_is_served_once_and_shadowed_where_the_candidate_serves(
    two: tuple[Loaded, Loaded], several: list[Text], share: float
) -> None:
    champion, candidate = two
    canary = Canary(candidate, champion, share, 100)
    found, left = canary.part(several, range(len(several)))
    served = [position for share in found if not share.shadow for position in share.positions]
    assert sorted([*served, *left]) == list(range(len(several)))
    assert all(share.reader is (champion.reader if share.shadow else candidate.reader) for share in found)
    assert [list(share.positions) for share in found if share.shadow] == ([served] if served else [])
