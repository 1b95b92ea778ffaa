from __future__ import annotations

import json

import pytest

from benchmarks.report import Row, alternate, options, print_rows

ROWS = [Row("bulk → body", 30_000.0, 10_000.0, "posts/s"), Row("alone", 0.25, None, "s")]


def test_rows_as_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, as_json=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"name": "bulk → body", "ours": 30_000.0, "peer": 10_000.0, "unit": "posts/s", "ratio": 3.0},
        {"name": "alone", "ours": 0.25, "peer": None, "unit": "s", "ratio": None},
    ]


def test_rows_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, as_json=False)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| bulk → body | 30,000 | 10,000 | posts/s | 3.00 |",
        "| alone | 0.25 |  | s |  |",
    ]


def test_both_sides_take_turns_and_the_first_turn_only_warms_up() -> None:
    turns: list[str] = []
    ours = iter([900.0, 1.0, 3.0, 2.0])
    peer = iter([900.0, 5.0, 4.0, 6.0])

    def run_ours() -> float:
        turns.append("ours")
        return next(ours)

    def run_peer() -> float:
        turns.append("peer")
        return next(peer)

    assert alternate(run_ours, run_peer, rounds=3) == (2.0, 5.0)
    assert turns == ["ours", "peer"] * 4


def test_options() -> None:
    assert (options("x", []).quick, options("x", ["--quick", "--json"]).json) == (False, True)
