"""The house: a room imports only from floors below, no two files import each other in a loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.imports import FLOORS, cycles, forbidden_in_the_job, import_graph, upward_imports

ROOT = Path(__file__).resolve().parent.parent
GRAPH = import_graph(ROOT)


def test_no_room_imports_upward_or_sideways() -> None:
    assert upward_imports(GRAPH) == []


def test_no_files_import_each_other_in_a_loop() -> None:
    assert cycles(GRAPH) == []


def test_the_running_job_loads_nothing_of_training() -> None:
    # Fitting the evidence needs both the operators and what makes models, so it lies a floor above them.
    fitting = ("dataflows.evidence_fitting", "dataflows.evidence_judging", "dataflows.evidence_reading")
    job = [module for module in GRAPH if module.startswith("dataflows") and module not in fitting]
    starts = [module for module in ("cli.run", "cli.job_process", *job) if module in GRAPH]
    assert forbidden_in_the_job(GRAPH, starts) == []


def test_every_package_of_the_tree_is_a_room_or_stands_beside_the_house() -> None:
    beside = {"benchmarks", "tests"}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - beside - set(FLOORS) == set()


def test_the_groundswell_room_touches_no_file_and_no_socket() -> None:
    outside = {"socket", "subprocess", "urllib.request", "http.client", "sqlite3", "redis", "confluent_kafka"}
    found = {module: imports & outside for module, imports in GRAPH.items() if module.startswith("groundswell")}
    assert {module: names for module, names in found.items() if names} == {}


def _plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("file", "text", "finding"),
    [
        ("connectors/a.py", "import dataflows.flow", "connectors.a imports dataflows.flow"),
        ("connectors/a.py", "from inference import engine", "connectors.a imports inference.engine"),
        ("inference/a.py", "def late():\n    from connectors.x import y", "inference.a imports connectors.x"),
        ("operators/a.py", "from connectors import x", "operators.a imports connectors.x"),
        ("operators/a.py", "import model_export", "operators.a imports model_export"),
        ("groundswell/a.py", "from ..cli import main", "groundswell.a imports cli.main"),
        ("dataflows/deep/a.py", "if TYPE_CHECKING:\n    import cli", "dataflows.deep.a imports cli"),
    ],
)
def test_a_planted_upward_import_is_found(tmp_path: Path, file: str, text: str, finding: str) -> None:
    rooms = {f"{room}/__init__.py": "" for room in FLOORS}
    targets = dict.fromkeys(("dataflows/flow.py", "inference/engine.py", "connectors/x.py", "cli/main.py"), "")
    assert upward_imports(import_graph(_plant(tmp_path, rooms | targets))) == []
    assert upward_imports(import_graph(_plant(tmp_path, {file: text}))) == [finding]


def test_a_planted_loop_is_found(tmp_path: Path) -> None:
    files = {
        "cli/__init__.py": "",
        "cli/a.py": "from cli import b",
        "cli/b.py": "from . import c",
        "cli/c.py": "def late():\n    import cli.a",
        "cli/d.py": "from cli.a import something",
    }
    assert cycles(import_graph(_plant(tmp_path, files))) == [["cli.a", "cli.b", "cli.c"]]


def test_a_loop_through_the_package_itself_is_found(tmp_path: Path) -> None:
    files = {"cli/__init__.py": "from cli.a import run", "cli/a.py": "from cli import run"}
    assert cycles(import_graph(_plant(tmp_path, files))) == [["cli", "cli.a"]]


@pytest.mark.parametrize("forbidden", ["torch", "sklearn.linear_model", "model_export.train"])
def test_training_that_the_job_would_load_is_found(tmp_path: Path, forbidden: str) -> None:
    files = {
        "cli/__init__.py": "",
        "cli/run.py": "from dataflows.deep import flow",
        "dataflows/__init__.py": "",
        "dataflows/deep/__init__.py": f"import {forbidden}",
        "dataflows/deep/flow.py": "",
        "model_export/__init__.py": "",
        "model_export/train.py": "",
    }
    found = forbidden_in_the_job(import_graph(_plant(tmp_path, files)), ["cli.run"])
    assert found[-1].endswith(f"imports {forbidden}")
