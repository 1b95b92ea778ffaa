"""What passes between the engine and a model: texts, the rows they become, and what comes back.

A text becomes one or more rows (windows of tokens). Rows of many texts share a batch;
the device answers with arrays; each text's share of them becomes its analysis.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from groundswell.records import Analysis, ModelRef

#: A text, or a premise and a hypothesis.
Text = str | tuple[str, str]

#: The device's answer: output name → ``[rows, columns]``.
Outputs = Mapping[str, NDArray[np.float32]]

#: Causes of a :class:`RowError`.
DEVICE: Final = "device"
NOT_FINITE: Final = "not_finite"
CANCELLED: Final = "cancelled"


class RowError(msgspec.Struct, frozen=True, gc=False):
    """Why one text has no analysis: ``cause`` is one of the constants here, ``detail`` what was seen."""

    cause: str
    detail: str


class Row(Protocol):
    """One window of a text, ready for the device; ``size`` is its length in tokens, at least 1."""

    @property
    def size(self) -> int: ...


class Encoded(NamedTuple):
    """A text as rows, at least one; ``weights`` is what each row counts in the text's answer (they sum to 1)."""

    rows: Sequence[Row]
    weights: Sequence[float]
    truncated: bool


class Reader(Protocol):
    """A version of a model that is checked, warm and ready. Thread-safe.

    :meth:`encode` and :meth:`analyse` run on the caller's thread, beside the device;
    :meth:`run` is the device's part.
    """

    @property
    def ref(self) -> ModelRef:
        """Which version it is."""
        ...

    @property
    def tasks(self) -> frozenset[str]:
        """What can be asked of it."""
        ...

    @property
    def provider(self) -> str:
        """Execution provider in use, as onnxruntime names it."""
        ...

    @property
    def batch_tokens(self) -> int:
        """Tokens of a batch, padding included, with which it is fast on its device and yet answers soon."""
        ...

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """Each text as the device reads it; never fails, whatever the text.

        Raises :class:`~groundswell.errors.ModelError` for pairs where it reads single texts, or the reverse.
        """
        ...

    def outputs(self, tasks: Collection[str]) -> tuple[str, ...]:
        """The outputs that these tasks are read from."""
        ...

    def run(self, rows: Sequence[Row], length: int, outputs: Sequence[str]) -> Outputs:
        """Run rows of at most ``length`` tokens, padded to ``length``, and fetch ``outputs``.

        Raises :class:`~inference.session.DeviceError` when the device fails.
        """
        ...

    def analyse(
        self, encoded: Sequence[Encoded], outputs: Outputs, tasks: Collection[str]
    ) -> list[Analysis | RowError]:
        """One answer a text from the rows' outputs, in order: ``outputs`` has a line for each row of each text.

        A text whose outputs are not finite has :data:`NOT_FINITE` for an answer.
        """
        ...
