from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from benchmarks.__main__ import about, benchmark_names, machine, page, section, sections_of
from benchmarks.report import Row


def test_a_benchmark_is_a_module_with_a_main(tmp_path: Path) -> None:
    (tmp_path / "fast.py").write_text('"""Fast.\n\nFaster than the peer.\n"""\ndef main(): ...\n')
    (tmp_path / "helper.py").write_text("def row(): ...\n")
    (tmp_path / "__main__.py").write_text("def main(): ...\n")
    assert benchmark_names(tmp_path) == ["fast"]
    assert about(tmp_path / "fast.py") == "Fast.\n\nFaster than the peer."


NOON = datetime(2026, 1, 2, tzinfo=UTC)


def test_the_page_has_the_machine_the_date_and_every_row() -> None:
    rows = [Row("decode", 30_000.0, 10_000.0, "tweets/s")]
    decode = section("Real tweets.", rows, "a processor", NOON)
    written = page({"decode": decode, "bulk": section("Bulk.", rows, "a processor", NOON, quick=True)})
    assert written.startswith("# Benchmarks\n\nMade by `make bench`")
    assert written.index("## bulk") < written.index("## decode")
    assert written.endswith(
        "## decode\n\nReal tweets.\n\n"
        "| what | ours | peer | unit | ratio |\n| --- | ---: | ---: | --- | ---: |\n"
        "| decode | 30,000 | 10,000 | tweets/s | 3.00 |\n\n"
        "Measured 2026-01-02: a processor.\n"
    )
    assert "Measured 2026-01-02, a quick run: a processor." in written
    assert sections_of(written)["decode"] == decode


def test_the_page_says_what_was_not_measured() -> None:
    assert section("BERT.", [], "a processor", NOON) == "BERT.\n\nNot measured: what it needs was not installed."
    assert "needs a GPU" in section("BERT-base.", [], "", None)


def test_the_machine_is_one_line() -> None:
    assert "cores" in machine()
    assert "\n" not in machine()
