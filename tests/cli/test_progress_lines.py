from __future__ import annotations

import threading

import pytest

from cli.models_parts import progress, steps
from cli.progress_lines import Pace, lines


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_left_is_told_at_the_pace_of_this_run_alone() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.line("batches") == ""
    pace.show(500, 1_500, "loss 0.9")
    assert pace.line("batches") == "500 of 1,500 batches, loss 0.9"
    clock.now = 100.0
    pace.show(600, 1_500, "loss 0.8")
    assert pace.line("batches") == "600 of 1,500 batches, 15m left, loss 0.8"
    # Another count begins, as of the next model that is judged.
    pace.show(0, 200)
    clock.now = 110.0
    pace.show(50, 200)
    assert pace.line("texts") == "50 of 200 texts, 30s left"
    pace.show(3, 0, "making int8")
    assert pace.line("") == "making int8"


def test_lines_come_until_the_end_and_none_without_words(capsys: pytest.CaptureFixture[str]) -> None:
    asked, words = threading.Semaphore(0), iter(["", "one", "two"])

    def said() -> str:
        asked.release()
        return next(words, "")

    with lines(said, every=0.001):
        for _ in range(4):
            asked.acquire()
    assert capsys.readouterr().err == "one\ntwo\n"
    assert all(thread.name != "progress" for thread in threading.enumerate())


def test_long_commands_say_where_they_are_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.progress_lines.EVERY", 0.001)
    seen = ""
    with progress("training moods", "batches") as show:
        show(3, 9, "loss 0.5")
        while "training moods: 3 of 9 batches, loss 0.5\n" not in seen:
            seen += capsys.readouterr().err
    with steps("optimising moods") as begin:
        begin("making int8")
        while "optimising moods: making int8\n" not in seen:
            seen += capsys.readouterr().err
