"""``python -m benchmarks [--quick]``: run all benchmarks, each in its own process; write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.report import Row, table

ROOT = Path(__file__).resolve().parent.parent
_INTRODUCTION = (
    "Made by `make bench`. *Ours* and *peer* ran side by side in one run, servers and clients on the same machine;"
    " their ratio travels better than either figure."
)
#: In place of a table, where a benchmark says that it cannot be run and ends without an error.
_NOTHING = "Not measured: what it needs was not installed."
_PAGE = ROOT / "docs" / "benchmarks.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page; exit code 1, and the page left as it was, when a benchmark failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller runs, under a minute each")
    quick = parser.parse_args(argv).quick
    sections, failed = [], []
    for name in benchmark_names(ROOT / "benchmarks"):
        print(f"running {name}", file=sys.stderr, flush=True)
        try:
            sections.append((name, about(ROOT / "benchmarks" / f"{name}.py"), measure(name, quick)))
        except subprocess.CalledProcessError as error:
            failed.append(f"{name} ended with exit code {error.returncode}")
    written = page(sections, machine(), datetime.now(UTC), quick=quick)
    if not failed:
        _PAGE.write_text(written)
        print(f"wrote {_PAGE.relative_to(ROOT)}", file=sys.stderr)
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


def benchmark_names(folder: Path) -> list[str]:
    """The modules of ``folder`` that are benchmarks: those with a function ``main``."""
    return [
        path.stem
        for path in sorted(folder.glob("*.py"))
        if not path.stem.startswith("_")
        and any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in ast.parse(path.read_text()).body)
    ]


def about(module: Path) -> str:
    """What the module says of itself: what is measured, against what, and what limits it."""
    return inspect.cleandoc(ast.get_docstring(ast.parse(module.read_text())) or "")


def measure(name: str, quick: bool) -> list[Row]:
    """Run one benchmark and return its rows; raises :class:`subprocess.CalledProcessError` when it fails."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *(["--quick"] if quick else [])]
    printed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [Row(row["name"], row["ours"], row["peer"], row["unit"]) for row in rows]


def machine() -> str:
    """The processor, its cores, the memory and the versions that matter, in one line."""
    memory = psutil.virtual_memory().total / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB memory, Python {platform.python_version()}, {sys.platform}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def page(sections: Sequence[tuple[str, str, Sequence[Row]]], where: str, when: datetime, *, quick: bool = False) -> str:
    """The page: the machine, the date, and for each benchmark what it says of itself and its rows."""
    parts = [
        "# Benchmarks",
        _INTRODUCTION,
        f"{when:%Y-%m-%d}: {where}." + (" Quick runs, of under a minute each." if quick else ""),
    ]
    for name, text, rows in sections:
        parts += [f"## {name}", text, table(rows) if rows else _NOTHING]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
