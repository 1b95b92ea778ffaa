"""Who imports whom, read from the source: the rules of the house for any tree of Python files."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

Graph = Mapping[str, frozenset[str]]

FLOORS = {
    "groundswell": 1,
    "connectors": 2,
    "inference": 2,
    "operators": 3,
    "serving": 3,
    "model_export": 3,
    "dataflows": 4,
    "cli": 5,
}

#: What the running job must never load, whole distributions included.
NOT_IN_THE_JOB = ("model_export", "torch", "sklearn", "skl2onnx", "onnx")


def import_graph(root: Path, packages: tuple[str, ...] = tuple(FLOORS)) -> Graph:
    """Every module under the packages of ``root``, and the names that it imports, anywhere in it.

    A name is a module of the tree where it is one, else what stands in the import statement.
    An import that only a type checker sees (under ``if TYPE_CHECKING``) counts too.
    """
    files = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }
    return {
        module: frozenset(_imports(module, path, files.keys() | set(packages))) - {module}
        for module, path in files.items()
    }


def _imports(module: str, path: Path, known: set[str]) -> Iterator[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in known else base


def upward_imports(graph: Graph) -> list[str]:
    """Imports of a room on the same floor or above; each as ``importer imports imported``."""
    return [
        f"{module} imports {imported}"
        for module, imports in sorted(graph.items())
        for imported in sorted(imports)
        if _room(imported) in FLOORS
        and _room(imported) != _room(module)
        and (FLOORS[_room(imported)] >= FLOORS[_room(module)] or (_room(module), _room(imported)) in _KEPT_APART)
    ]


#: Rooms that stay apart although their floors would allow the import.
_KEPT_APART = {("operators", "connectors")}


def cycles(graph: Graph) -> list[list[str]]:
    """The groups of modules that import each other in a loop (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for imported in sorted(graph[module] & graph.keys()):
            if imported not in index:
                visit(imported)
                low[module] = min(low[module], low[imported])
            elif imported in stack:
                low[module] = min(low[module], index[imported])
        if low[module] == index[module]:
            position = stack.index(module)
            group = sorted(stack[position:])
            del stack[position:]
            if len(group) > 1:
                found.append(group)

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return found


def reachable(graph: Graph, starts: list[str]) -> dict[str, str]:
    """Everything that importing ``starts`` loads, each with the module that asked for it."""
    seen: dict[str, str] = dict.fromkeys(starts, "")
    waiting = list(starts)
    while waiting:
        module = waiting.pop()
        for imported in graph.get(module, frozenset()):
            for name in _with_parents(imported):
                if name not in seen:
                    seen[name] = module
                    waiting.append(name)
    return seen


def forbidden_in_the_job(graph: Graph, starts: list[str]) -> list[str]:
    """What the running job loads and must not; each as ``importer imports imported``."""
    return sorted(
        f"{importer} imports {name}"
        for name, importer in reachable(graph, starts).items()
        if _room(name) in NOT_IN_THE_JOB
    )


def _room(module: str) -> str:
    return module.partition(".")[0]


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]
