"""Judging a network as it is trained: its logits on labelled rows, its figures, and the temperatures that fit it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.calibration import softmax
from inference.manifest import Calibration
from inference.rows import Row
from inference.tokens import ATTENTION_MASK, INPUT_IDS, TYPE_IDS, TokenEncoder
from model_export.calibrate import fit_temperature
from model_export.corpus import Corpus, Labelled
from model_export.datasets import DataError
from model_export.evaluate import evaluate
from model_export.network import Network
from model_export.recipe import HeadDesign


class NetworkJudge:
    """What a network says of rows."""

    def __init__(self, network: Network, encoder: TokenEncoder) -> None:
        self._network = network
        self._encoder = encoder
        self._heads = {head.task: head for head in network.design.heads if head.kind == "classes"}

    def figures(self, corpus: Corpus) -> dict[str, float]:
        """Macro-recall on the rows set aside for choosing, by task; auxiliary tasks do not choose."""
        found = {}
        for task, data in corpus.tasks.items():
            head = self._heads[task]
            if not head.auxiliary and data.calibration:
                probabilities = softmax(self.logits(head, data.calibration), 1.0)
                found[task] = round(_evaluate(head, data.calibration, probabilities)["macro_recall"], 4)
        if not found:
            raise DataError("no row is set aside to choose the best epoch by: give more data or a larger calibration")
        return found

    def calibrated(self, corpus: Corpus) -> tuple[dict[str, Calibration], dict[str, dict[str, float]]]:
        """Temperatures by task, and calibrated figures by ``task/data set``, of the heads that are served."""
        temperatures, metrics = {}, {}
        for task, data in corpus.tasks.items():
            head = self._heads[task]
            if head.auxiliary:
                continue
            logits = self.logits(head, data.calibration)
            temperature = fit_temperature(logits, [row.label for row in data.calibration])
            temperatures[task] = Calibration(temperature=temperature)
            metrics[f"{task}/calibration"] = _evaluate(head, data.calibration, softmax(logits, temperature))
            for name, rows in data.validation.items():
                probabilities = softmax(self.logits(head, rows), temperature)
                metrics[f"{task}/{name}"] = _evaluate(head, rows, probabilities)
        return temperatures, metrics

    def logits(self, head: HeadDesign, rows: Sequence[Labelled]) -> NDArray[np.float64]:
        """``[rows, labels]``, in order."""
        self._network.eval()
        encoded = [first_row(self._encoder, row) for row in rows]
        order = sorted(range(len(rows)), key=lambda place: encoded[place].size)
        found = np.zeros((len(rows), len(head.labels)))
        with torch.inference_mode():
            for start in range(0, len(order), 64):
                part = order[start : start + 64]
                inputs = inputs_of(self._encoder, [encoded[place] for place in part])
                mean = self._network.means(*inputs, only=(head.branch,))[head.branch]
                found[part] = self._network.read(head, mean).numpy()
        return found


def _evaluate(head: HeadDesign, rows: Sequence[Labelled], probabilities: NDArray[np.float64]) -> dict[str, float]:
    return evaluate([head.labels[row.label] for row in rows], probabilities, head.labels).flat()


def first_row(encoder: TokenEncoder, row: Labelled) -> Row:
    """The first window of a text: training does not read on."""
    return encoder.encode([row.text])[0].rows[0]


def inputs_of(encoder: TokenEncoder, rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """What the network takes of rows, ``[rows, longest]`` each: ids, mask and kinds of tokens."""
    arrays: dict[str, Any] = encoder.collate(rows, max(row.size for row in rows))
    ids, mask, types = (torch.from_numpy(arrays[name]) for name in (INPUT_IDS, ATTENTION_MASK, TYPE_IDS))
    return ids, mask, types
