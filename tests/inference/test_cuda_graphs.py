"""Batches of fixed shapes: padded, bound once, read from the same place every time.

The buffers lie on the processor here; onnxruntime binds them the same way. tests/gpu does it on a GPU.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from groundswell.errors import ModelError
from inference.cuda_graphs import BoundShape, batch_shape, cuda_options, fill, prove_replay
from inference.device import Device, DeviceError
from inference.manifest import Tensor
from inference.opening import open_session
from inference.runtime import load_runtime
from inference.session import Session, blank
from tests.inference.tiny_bert import TinyBert

BERT = TinyBert(0)
NAMES = tuple(tensor.name for tensor in BERT.outputs)


def bound(rows: int, length: int) -> BoundShape:
    device = Device(threads=1)
    runtime = load_runtime(device)
    session = open_session(runtime, BERT.graph(), device, {})
    return BoundShape(runtime, session, BERT.inputs, BERT.outputs, (rows, length), ("cpu", 0), 1)


@given(arrays.arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(1, 6))), st.integers(0, 3), st.integers(0, 3))
def test_a_batch_is_padded_to_its_shape(given_: np.ndarray, more_rows: int, more_columns: int) -> None:
    rows, length = given_.shape
    staged = np.full((rows + more_rows, length + more_columns), 99, np.int64)
    fill(staged, given_)
    assert (staged[:rows, :length] == given_).all()
    assert (staged[rows:, :length] == given_[-1]).all()
    assert (staged[:, length:] == 0).all()


def test_bound_buffers_answer_what_a_plain_run_does_batch_after_batch() -> None:
    session = Session(BERT.graph(), BERT.inputs, BERT.outputs, threads=1)
    shape = bound(4, 8)
    for rows, length in ((4, 8), (1, 3), (3, 8), (4, 5), (4, 8)):
        for first in (0, 1):
            batch = blank(BERT.inputs, (rows, length), first)
            plain = session.run(batch)
            for name, found in zip(NAMES, shape.run(batch, rows, NAMES), strict=True):
                np.testing.assert_allclose(found, plain[name], atol=1e-5)


def test_fewer_outputs_are_copied_back() -> None:
    batch = blank(BERT.inputs, (2, 4), 0)
    (found,) = bound(2, 4).run(batch, 2, NAMES[1:2])
    assert found.shape == (2, BERT.outputs[1].shape[1])


def test_an_output_without_a_fixed_width_cannot_be_bound() -> None:
    device = Device(threads=1)
    runtime = load_runtime(device)
    session = open_session(runtime, BERT.graph(), device, {})
    free = Tensor(name="sentiment", dtype="float32", shape=("rows", "labels"))
    with pytest.raises(ModelError, match="fixed number of columns"):
        BoundShape(runtime, session, BERT.inputs, [free], (2, 4), ("cpu", 0), 1)


def test_a_replay_that_says_something_else_is_refused() -> None:
    right, wrong = (
        {"sentiment": np.array([[0.1, np.nan]], np.float32)},
        {"sentiment": np.array([[0.2, 0.1]], np.float32)},
    )
    prove_replay([right, wrong, right], (1, 8))
    with pytest.raises(ModelError, match="replayed for 1 rows of 8 tokens, the CUDA graph gives another sentiment"):
        prove_replay([right, right, wrong], (1, 8))


def test_inputs_of_different_shapes_are_a_device_error() -> None:
    with pytest.raises(DeviceError, match="of one shape"):
        batch_shape({"a": np.zeros((1, 2)), "b": np.zeros((1, 3))})


def test_graphs_are_captured_where_shapes_are_known() -> None:
    assert cuda_options(Device("cuda", number=2, shapes=((1, 8),)))["enable_cuda_graph"] == "1"
    assert cuda_options(Device("cuda"))["enable_cuda_graph"] == "0"
    assert cuda_options(Device("cuda", number=2))["device_id"] == "2"
