"""The tasks that fill fields of an analysis, and the labels that those fields may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Task → its labels. They are fields of the strict mapping, so a model with others cannot serve.
TASKS: Final[Mapping[str, frozenset[str]]] = {
    "sentiment": frozenset({"negative", "neutral", "positive"}),
    "emotion": frozenset({"anger", "joy", "optimism", "sadness"}),
}
