"""A graph that would run elsewhere, even in part, is refused."""

from __future__ import annotations

import pytest

from groundswell.errors import ModelError
from inference.opening import require_placement

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"


def test_arithmetic_on_shapes_may_stay_on_the_processor() -> None:
    require_placement(CUDA, [(CUDA, "MatMul"), (CPU, "Shape"), (CPU, "Gather"), (CPU, "Concat"), (CUDA, "Softmax")])


def test_work_on_another_provider_is_refused_and_named() -> None:
    placed = [(CUDA, "MatMul"), (CPU, "DynamicQuantizeLinear"), (CPU, "DynamicQuantizeLinear"), (CPU, "Erf")]
    with pytest.raises(ModelError, match=r"2 × DynamicQuantizeLinear on CPUExecutionProvider, 1 × Erf"):
        require_placement(CUDA, placed)


def test_a_graph_of_which_nothing_runs_there_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing of the graph would run on CUDAExecutionProvider"):
        require_placement(CUDA, [(CPU, "Shape")])
    with pytest.raises(ModelError, match="nothing of the graph"):
        require_placement(CUDA, [])
