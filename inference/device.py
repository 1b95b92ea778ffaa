"""Which device runs a graph, and in which shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groundswell.errors import GroundswellError, ModelError
from inference.manifest import Precision

#: Settings' names of the execution providers, and how onnxruntime calls them.
PROVIDERS: Final[Mapping[str, str]] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

#: Rows and length of a batch.
Shape = tuple[int, int]

#: Lengths that suit a GPU: each is a CUDA graph or a TensorRT engine for every number of rows, so they are few.
GPU_BUCKETS: Final = (16, 32, 64, 128, 256, 512)
#: Tokens of a batch that fill a GPU.
GPU_TOKENS: Final = 32_768


class DeviceError(GroundswellError):
    """The device could not run a batch; its rows are to blame, or the device is."""


@dataclass(frozen=True)
class Device:
    """What runs a graph.

    ``number`` is the GPU's. ``threads`` are those of a processor, 0 means what the machine
    grants. ``precision`` is that of the arithmetic: TensorRT makes half precision itself
    from an fp32 graph, the other providers compute in what the graph says. ``shapes`` are
    those that a GPU prepares: on CUDA a graph is captured for each, for TensorRT an
    engine is built for each and nothing else can run. ``engines`` is where TensorRT keeps
    them. Raises :class:`ModelError` for what cannot be.
    """

    provider: str = "cpu"
    number: int = 0
    threads: int = 0
    precision: Precision = "fp32"
    shapes: tuple[Shape, ...] = ()
    engines: Path | None = None

    def __post_init__(self) -> None:
        if self.provider not in PROVIDERS:
            raise ModelError(f"no execution provider {self.provider!r}: choose one of {', '.join(PROVIDERS)}")
        if min((self.number, self.threads, *(side - 1 for shape in self.shapes for side in shape))) < 0:
            raise ModelError("a device's number and threads are 0 or more, rows and lengths of its shapes 1 or more")

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU is asked for."""
        return self.provider != "cpu"


def shapes(buckets: Sequence[int], tokens: int, rows: int, steps: int = 3) -> tuple[Shape, ...]:
    """The shapes that a GPU prepares: for each length the rows that fill a batch of ``tokens``, and fewer.

    ``rows`` bounds a batch. A batch is padded up to the next number of rows; each of the
    ``steps`` is a quarter of the one before, so a few late rows do not cost a full batch.

    >>> shapes([16, 64], tokens=1024, rows=256)
    ((4, 16), (16, 16), (64, 16), (1, 64), (4, 64), (16, 64))
    """
    return tuple(
        (count, length)
        for length in buckets
        for count in sorted({max(1, min(rows, tokens // length) >> (2 * step)) for step in range(steps)})
    )


def smallest(known: Sequence[Shape], rows: int, length: int) -> Shape | None:
    """The cheapest of the known shapes that holds a batch, or None.

    >>> smallest([(4, 16), (64, 16), (16, 64)], 5, 12)
    (64, 16)
    >>> smallest([(4, 16)], 5, 16) is None
    True
    """
    return min(
        (shape for shape in known if shape[0] >= rows and shape[1] >= length),
        key=lambda shape: (shape[0] * shape[1], shape[1]),
        default=None,
    )
