from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from benchmarks.__main__ import about, benchmark_names, machine, page
from benchmarks.report import Row


def test_a_benchmark_is_a_module_with_a_main(tmp_path: Path) -> None:
    (tmp_path / "fast.py").write_text('"""Fast.\n\nFaster than the peer.\n"""\ndef main(): ...\n')
    (tmp_path / "helper.py").write_text("def row(): ...\n")
    (tmp_path / "__main__.py").write_text("def main(): ...\n")
    assert benchmark_names(tmp_path) == ["fast"]
    assert about(tmp_path / "fast.py") == "Fast.\n\nFaster than the peer."


def test_the_page_has_the_machine_the_date_and_every_row() -> None:
    rows = [Row("decode", 30_000.0, 10_000.0, "tweets/s")]
    assert page([("decode", "Real tweets.", rows)], "a processor", datetime(2026, 1, 2, tzinfo=UTC)) == (
        "# Benchmarks\n\n"
        "Made by `make bench`. *Ours* and *peer* ran side by side in one run, servers and clients on the same machine;"
        " their ratio travels better than either figure.\n\n"
        "2026-01-02: a processor.\n\n"
        "## decode\n\nReal tweets.\n\n"
        "| what | ours | peer | unit | ratio |\n| --- | ---: | ---: | --- | ---: |\n"
        "| decode | 30,000 | 10,000 | tweets/s | 3.00 |\n"
    )


def test_the_page_says_what_was_not_measured() -> None:
    written = page([("inference", "BERT.", [])], "a processor", datetime(2026, 1, 2, tzinfo=UTC))
    assert written.endswith("## inference\n\nBERT.\n\nNot measured: what it needs was not installed.\n")


def test_the_machine_is_one_line() -> None:
    assert "cores" in machine()
    assert "\n" not in machine()
