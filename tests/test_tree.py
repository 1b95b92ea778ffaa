"""The tree: everything in it is meant to be there, speaks of no machine, and its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.stack.download import ELASTICSEARCH_VERSION, KAFKA_VERSION

ROOT = Path(__file__).resolve().parent.parent
_MODELS = ROOT / "models"
_LARGEST = 5_000_000
#: What the shipped models may take together.
_LARGEST_MODELS = 50_000_000

# Spelled in pieces, so that this file does not hold what it forbids.
_MACHINE_PATHS = re.compile(
    r"(?<![\w.~$}])/(?:" + "|".join(["root", "home/" + r"\w+", "Users/" + r"\w+", "work"]) + r")(?:/|\b)"
)
_REGISTRIES = re.compile(
    "|".join(
        re.escape(host).replace("@", "")
        for host in (
            "pypi@.org/simple",
            "files.python@hosted.org",
            "repo.maven.apache@.org",
            "repo1.maven@.org",
            "proxy.golang@.org",
        )
    )
)


def _files() -> list[Path]:
    """What is in the tree or about to be: tracked, or new and not ignored; every file in an unpacked archive."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        ignored = {".venv", "build", "__pycache__"}
        return [path for path in ROOT.rglob("*") if path.is_file() and not ignored & set(path.parts)]
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in (ROOT / name for name in names) if path.is_file()]


def _texts() -> dict[str, str]:
    texts = {}
    for path in _files():
        try:
            texts[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return texts


FILES = _files()
TEXTS = _texts()
# Real posts may name any path and any host.
WRITTEN = {name: text for name, text in TEXTS.items() if not name.startswith("tests/fixtures/")}


def _findings(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in sorted(WRITTEN.items())
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_path_of_one_machine() -> None:
    assert _findings(_MACHINE_PATHS) == []


def test_no_file_names_a_registry() -> None:
    assert _findings(_REGISTRIES) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("cd /" + "root/checkout", True),
        ('path = "/' + 'home/jo/x"', True),
        ("the working tree", False),
        ("https://example.org/" + "work/1", False),
        ("~/.cache/groundswell", False),
    ],
)
def test_machine_paths_are_told_from_others(line: str, found: bool) -> None:
    assert bool(_MACHINE_PATHS.search(line)) is found


def test_no_file_is_large() -> None:
    assert [str(path) for path in FILES if path.stat().st_size > _LARGEST and path.suffix != ".onnx"] == []


def test_the_shipped_models_are_small_together() -> None:
    assert sum(path.stat().st_size for path in FILES if path.is_relative_to(_MODELS)) < _LARGEST_MODELS


def test_the_licence_is_the_one_that_the_package_names() -> None:
    project = tomllib.loads(TEXTS["pyproject.toml"])["project"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in TEXTS["LICENSE"]


def test_every_decision_is_a_numbered_record_with_reasons() -> None:
    records = sorted(path for path in FILES if path.parent == ROOT / "docs" / "decisions")
    assert records
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for path in records:
        text = path.read_text()
        assert re.match(r"# \d+\. \S", text), path.name
        for heading in ("## Decision", "## Reasons", "## Alternatives"):
            assert heading in text, f"{path.name} has no {heading!r}"


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = []
    for name, text in TEXTS.items():
        if not name.endswith(".md"):
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in target or target.startswith("mailto:"):
                continue
            file, _, anchor = target.partition("#")
            path = (ROOT / name).parent / file if file else ROOT / name
            if not path.exists() or (anchor and anchor not in _anchors(path.read_text())):
                broken.append(f"{name}: {target}")
    assert broken == []


def test_every_pinned_version_is_exact_and_comes_from_nowhere_in_particular() -> None:
    lines = [line for line in TEXTS["constraints.txt"].splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads(TEXTS["pyproject.toml"])["project"]
    extras = project["optional-dependencies"]
    # The runtime for a GPU is chosen with the GPU's libraries, and cannot be installed beside the other one.
    gpu = {"gpu", "tensorrt"}
    wanted = [*project["dependencies"], *(each for name, extra in extras.items() if name not in gpu for each in extra)]
    names = {_canonical(re.split(r"[\s<>=!~\[;]", requirement)[0]) for requirement in wanted} - {project["name"]}
    pinned = {_canonical(line.split("==")[0]) for line in TEXTS["constraints.txt"].splitlines() if "==" in line}
    assert names - pinned == set()


def test_compose_runs_the_versions_and_the_settings_of_the_tests() -> None:
    services = yaml.safe_load(TEXTS["compose.yaml"])["services"]
    assert services["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert services["elasticsearch"]["image"] == f"elasticsearch:{ELASTICSEARCH_VERSION}"
    assert f"<version>{KAFKA_VERSION}</version>" in TEXTS["tests/stack/settings/kafka-pom.xml"]
    mounted = [volume.split(":")[0] for service in services.values() for volume in service["volumes"]]
    settings = [path for path in mounted if path.startswith("./")]
    assert len(settings) == len(services)
    assert all((ROOT / path).is_file() for path in settings)
