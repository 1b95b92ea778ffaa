"""Columns of a progress bar over documents, and what is waited for in words."""

from __future__ import annotations

from rich.progress import ProgressColumn, Task
from rich.text import Text

from groundswell.waits import Waits


class Rate(ProgressColumn):
    """Documents a second of late."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


class Waiting(ProgressColumn):
    """What is waited for."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self._waits = waits

    def render(self, task: Task) -> Text:  # noqa: ARG002
        return Text(waited_for(self._waits))


def waited_for(waits: Waits) -> str:
    """What is waited for and why; empty for nothing."""
    return "; ".join(f"waiting for {name}: {reason}" for name, reason in waits.current().items())
