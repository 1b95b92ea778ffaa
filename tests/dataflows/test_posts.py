"""The shape of the posts flow, and that its layout changes nothing."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bytewax.dataflow import Dataflow
from bytewax.outputs import FixedPartitionedSink

from connectors.credits import Credits
from connectors.dead_letter_sink import DeadLetterSink
from connectors.document_sink import DocumentSink
from connectors.generator import GeneratorSource, GeneratorSpec
from connectors.source import CompositeSource
from connectors.sqlite_dead_letters import SqliteDeadLetters
from connectors.sqlite_store import SqliteStore
from dataflows import posts
from groundswell import step_ids
from groundswell.waits import Waits
from operators.analyse import Analyser
from operators.decode import Decoder
from operators.isolate import Isolation
from tests.dataflows.harness import Run, run_to_end, sqlite_dead_letters, write_settings
from tests.dataflows.planting import identity, write_file


def _flow(folder: Path) -> Dataflow:
    store = SqliteStore(folder / "documents.db", Waits())
    letters = SqliteDeadLetters(folder / "documents.db", Waits())
    allowance = Credits(1000, 1 << 20)
    slots = step_ids.slots_of(0, 1)

    def now() -> datetime:
        return datetime.now(UTC)

    source = GeneratorSource(GeneratorSpec(count=10), allowance, threading.Event(), until_end=True)
    return posts.build(
        posts.PostsFlow(
            source=CompositeSource([source]),
            isolation=Isolation(),
            decoder=Decoder(),
            analyser=Analyser(None, now),
            documents=DocumentSink(store, letters, allowance, slots, lambda: True),
            dead_letters=DeadLetterSink(letters, slots, lambda: True),
            slots=slots,
            now=now,
        )
    )


def _steps(operators: list[Any]) -> Iterator[Any]:
    """All operators, those inside others too."""
    for operator in operators:
        yield operator
        yield from _steps(operator.substeps)


def test_every_branch_ends_in_a_partitioned_sink(tmp_path: Path) -> None:
    """With recovery on, an epoch commits without a stateless sink having written: a kill then loses items."""
    core = [step for step in _steps(_flow(tmp_path).substeps) if type(step).core]
    consumed = {port.stream_id for step in core for name, port in vars(step).items() if name.startswith("up")}
    produced = {
        port.stream_id: step
        for step in core
        for name, port in vars(step).items()
        if not name.startswith("up") and hasattr(port, "stream_id")
    }
    assert not {step.step_id for stream, step in produced.items() if stream not in consumed}, "branches end in nothing"
    sinks = {step.step_id: step.sink for step in core if type(step).__name__ == "output"}
    assert sinks.keys() == {"posts.documents", "posts.dead-letters"}
    assert all(isinstance(sink, FixedPartitionedSink) for sink in sinks.values()), sinks


def test_step_ids_of_the_flow_are_frozen(tmp_path: Path) -> None:
    assert [step.step_id for step in _flow(tmp_path).substeps] == [
        "posts.source",
        "posts.isolate",
        "posts.decode",
        "posts.analyse",
        "posts.route-documents",
        "posts.documents",
        "posts.route-dead-letters",
        "posts.dead-letters",
    ]


def test_every_layout_gives_the_same_documents(tmp_path: Path) -> None:
    folder = tmp_path / "posts"
    folder.mkdir()
    planted = [write_file(folder / f"{part}.jsonl", range(part, 3_000, 6), bad_every=50) for part in range(6)]
    made = {
        layout: _documents(tmp_path / f"{layout[0]}-{layout[1]}", folder, *layout)
        for layout in ((1, 1), (1, 2), (2, 1))
    }
    alone = made[1, 1]
    assert alone.keys() == {identity(number) for number in range(3_000)}
    for layout, documents in made.items():
        assert documents == alone, layout
        letters = sqlite_dead_letters(tmp_path / f"{layout[0]}-{layout[1]}" / "documents.db")
        assert sorted(letters) == sorted(item for dead in planted for item in dead.items())


def test_the_same_posts_again_are_duplicates(tmp_path: Path) -> None:
    """``run --posts`` keeps no state, and needs none: its documents are idempotent."""
    file, database = tmp_path / "posts.jsonl", tmp_path / "posts.db"
    dead = write_file(file, range(500), bad_every=100)
    settings = write_settings(tmp_path / "settings.toml", {"models": {"posts": ""}})
    arguments = ("--posts", str(file), "--documents", f"sqlite:///{database}")
    first, second = run_to_end(settings, *arguments), run_to_end(settings, *arguments)
    assert (first["read"], first["documents"], first["duplicates"]) == (500 + len(dead), 500, 0)
    assert (second["read"], second["documents"], second["duplicates"]) == (500 + len(dead), 0, 500)
    assert sorted(sqlite_dead_letters(database)) == sorted(dead.items())


def test_a_settings_file_is_not_needed(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    write_file(file, range(20), bad_every=5)
    arguments = ("--posts", str(file), "--documents", f"sqlite:///{tmp_path / 'posts.db'}", "--until-end")
    with Run(None, *arguments, "--set", "models.posts=", folder=tmp_path) as run:
        assert run.wait() == 0, run.reason
        assert run.summary()["documents"] == 20


def _documents(folder: Path, posts_folder: Path, processes: int, workers: int) -> dict[str, dict[str, object]]:
    """The documents by post id, but for the time at which they were made."""
    folder.mkdir()
    settings = write_settings(
        folder / "settings.toml",
        {
            "job": {"data_dir": str(folder / "data"), "processes": processes, "workers": workers},
            "sources": {"use": ["files"]},
            "files": {"paths": [str(posts_folder)]},
            "documents": {"url": f"sqlite:///{folder / 'documents.db'}"},
            "redis": {"url": ""},
            "models": {"posts": ""},
            "observability": {"port": 0},
        },
    )
    run_to_end(settings)
    with contextlib.closing(sqlite3.connect(folder / "documents.db")) as connection:
        documents = [json.loads(row[0]) for row in connection.execute("SELECT document FROM documents")]
    assert all(document.pop("indexed_at") for document in documents)
    return {document["id"]: document for document in documents}
