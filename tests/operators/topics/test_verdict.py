"""A cross-encoder's vote is bounded: where it cannot change a verdict it need not be asked."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference.evidence_model import Reading
from operators.topics.verdict import Verdict, logits

READINGS = st.builds(
    Reading, bias=st.floats(-3, 3), evidence=st.floats(0.1, 2), reader=st.floats(0, 3), limit=st.floats(0, 4)
)
SHARES = st.floats(0, 1)


@given(READINGS, SHARES, SHARES, st.floats(0.1, 0.9))
def test_outside_the_band_no_vote_changes_the_verdict(
    reading: Reading, evidence: float, read: float, threshold: float
) -> None:
    verdict = Verdict(reading)
    given = np.array([evidence])
    if not verdict.undecided(given, threshold)[0]:
        alone, voted = verdict.alone(given), verdict.combined(given, np.array([read]))
        assert (alone >= threshold).tolist() == (voted >= threshold).tolist()


@given(READINGS, SHARES, SHARES, SHARES)
def test_more_evidence_and_a_higher_vote_never_lower_a_probability(
    reading: Reading, evidence: float, first: float, second: float
) -> None:
    verdict = Verdict(reading)
    low, high = sorted((first, second))
    votes = verdict.combined(np.array([evidence] * 2), np.array([low, high]))
    assert votes[0] <= votes[1] + 1e-12
    proofs = verdict.combined(np.array([low, high]), np.array([evidence] * 2))
    assert proofs[0] <= proofs[1] + 1e-12


def test_without_a_cross_encoder_the_evidence_decides() -> None:
    verdict, evidence = Verdict(None), np.array([0.0, 0.5, 1.0])
    assert not verdict.undecided(evidence, 0.5).any()
    assert verdict.alone(evidence).tolist() == verdict.combined(evidence, evidence).tolist() == [0.0, 0.5, 1.0]


def test_the_logits_of_certainties_are_finite() -> None:
    assert np.isfinite(logits(np.array([0.0, 1.0]))).all()
