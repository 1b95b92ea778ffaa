"""The card of an evidence model tells what a cross-encoder's trial came to."""

from __future__ import annotations

from inference.evidence_model import EvidenceFile, Reading, Weights
from model_export.evidence_card import card

FILE = EvidenceFile(forms={"posts": Weights(-1.0, {"near": 2.0})}, texts=1, words={1: "a"})


def test_without_a_trial_it_says_so() -> None:
    assert "None was tried" in card(FILE, {}, ())


def test_a_vote_is_told_with_its_limit_and_what_it_came_from() -> None:
    voting = EvidenceFile(
        forms=FILE.forms, texts=1, words={1: "a"}, readings={"pairs": Reading(0.5, 0.9, 0.25, limit=1.0)}
    )
    told = card(voting, {"a trial": {"gain": 0.01}}, (), "It gained.")
    assert "It gained." in told and "None was tried" not in told
    assert "`pairs`: log-odds 0.500 + 0.900 of the evidence's + 0.250 of its own, between -1.00 and 1.00" in told
    assert "| gain | 0.0100 |" in told
