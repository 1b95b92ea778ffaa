"""The ranges that activations have while texts are read: what static quantisation is calibrated by."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

import numpy as np
from onnx import ModelProto, TensorProto, helper

from inference.device import Device
from inference.opening import open_session
from inference.runtime import load_runtime
from inference.tokens import ATTENTION_MASK
from model_export.quantise import Ranges, inputs_of_products
from model_export.text_batches import TextBatches

#: The share of tokens whose extremes are within the range; the few beyond would make all others coarser.
WITHIN: Final = 0.999


def activation_ranges(model: ModelProto, batches: TextBatches, *, threads: int = 1, within: float = WITHIN) -> Ranges:
    """The range of each input of a product of a fused graph; padding does not count.

    A range is that of the tokens' own smallest and largest values, by their quantile ``within``.
    """
    names = inputs_of_products(model)
    model = deepcopy(model)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    device = Device(threads=threads)
    session: Any = open_session(load_runtime(device), model.SerializeToString(), device, {})
    lows: dict[str, list[Any]] = {name: [] for name in names}
    highs: dict[str, list[Any]] = {name: [] for name in names}
    for batch in batches.batches:
        present = batch.inputs[ATTENTION_MASK].astype(bool)
        for name, values in zip(names, session.run(names, dict(batch.inputs)), strict=True):
            # What is not of tokens, such as DeBERTa's distances between them, has no padding.
            of_tokens = values.shape[:2] == present.shape
            tokens = values[present] if of_tokens else values.reshape(-1, values.shape[-1])
            lows[name].append(tokens.min(axis=1))
            highs[name].append(tokens.max(axis=1))
    return {
        name: (
            float(np.quantile(np.concatenate(lows[name]), 1 - within)),
            float(np.quantile(np.concatenate(highs[name]), within)),
        )
        for name in names
    }
