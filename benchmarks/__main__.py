"""``python -m benchmarks [--quick] [NAME …]``: run benchmarks, each in its own process, into docs/benchmarks.md.

With names only these are run, and the sections of the others stay as they are.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.report import Row, table

ROOT = Path(__file__).resolve().parent.parent
_INTRODUCTION = (
    "Made by `make bench`, a section alone by `python -m benchmarks NAME`. *Ours* and *peer* ran side by side in one"
    " run, servers and clients on the same machine; their ratio travels better than either figure."
)
#: In place of a table, where a benchmark says that it cannot be run and ends without an error.
_NOTHING = "Not measured: what it needs was not installed."
#: It has an environment of its own, and a target of its own.
_GPU = "gpu"
_NO_GPU = "Not measured here: it needs a GPU and is run by `make bench-gpu`, which prints its table."
_PAGE = ROOT / "docs" / "benchmarks.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page; exit code 1, and the page left as it was, when a benchmark failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller runs, under a minute each")
    known = benchmark_names(ROOT / "benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*known, []], help="benchmarks to run")
    args = parser.parse_args(argv)
    there = sections_of(_PAGE.read_text()) if args.names else {}
    failed = []
    for name in args.names or known:
        print(f"running {name}", file=sys.stderr, flush=True)
        try:
            rows = measure(name, args.quick)
        except subprocess.CalledProcessError as error:
            failed.append(f"{name} ended with exit code {error.returncode}")
        else:
            text = about(ROOT / "benchmarks" / f"{name}.py")
            there[name] = section(text, rows, machine(), datetime.now(UTC), quick=args.quick)
    there[_GPU] = section(about(ROOT / "benchmarks" / f"{_GPU}.py"), [], "", None)
    if not failed:
        _PAGE.write_text(page(there))
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


def section(text: str, rows: Sequence[Row], where: str, when: datetime | None, *, quick: bool = False) -> str:
    """What a benchmark says of itself, its rows, and where and when they were measured."""
    if when is None:
        return f"{text}\n\n{_NO_GPU}"
    measured = f"Measured {when:%Y-%m-%d}{', a quick run' if quick else ''}: {where}."
    return f"{text}\n\n{table(rows)}\n\n{measured}" if rows else f"{text}\n\n{_NOTHING}"


def page(sections: Mapping[str, str]) -> str:
    """The page, its sections by name."""
    parts = [f"## {name}\n\n{sections[name]}" for name in sorted(sections)]
    return "\n\n".join(["# Benchmarks", _INTRODUCTION, *parts]) + "\n"


def sections_of(text: str) -> dict[str, str]:
    """The sections of a page by name.

    >>> sections_of(page({"decode": "Fast.", "gpu": "None."}))
    {'decode': 'Fast.', 'gpu': 'None.'}
    """
    found = {}
    for part in text.split("\n## ")[1:]:
        name, _, rest = part.partition("\n")
        found[name] = rest.strip()
    return found


if __name__ == "__main__":
    sys.exit(main())
