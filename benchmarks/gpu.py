"""BERT-base at 128 tokens on a GPU: sequences a second, bare and through the whole operator.

``python -m benchmarks.gpu [--quick] [--json]``; it prints a table and needs a GPU.
*Peer* is a bare loop of onnxruntime over batches that are tokenised beforehand, with its
buffers bound and its CUDA graph captured. *Ours* is all of the operator: posts in,
documents out, tokenising, batching, reading of answers. The weights are random.

CUDA runs the graph of onnxruntime's fused operators in fp16, TensorRT makes fp16 itself
from the plain fp32 graph. The share of the card's peak is sequences/s × operations of a
sequence (:meth:`~benchmarks.bert_graph.Bert.operations`) ÷ the peak of its tensor cores
(:func:`peak`).
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from benchmarks.bert_graph import INPUTS, Bert
from benchmarks.report import Row, alternate, options, print_rows
from groundswell.errors import ModelError
from groundswell.records import Batch, Envelope, Origin, Post
from inference.cuda_graphs import LENGTH as LENGTH_AXIS
from inference.cuda_graphs import ROWS, RUNS_TO_CAPTURE, BoundShape, cuda_options
from inference.device import Device
from inference.engine import Engine
from inference.limits import Limits
from inference.manifest import (
    CALIBRATION,
    FORMAT,
    LABELS,
    MODEL,
    TOKENIZER,
    Calibration,
    Golden,
    Head,
    Manifest,
    Precision,
    Tokens,
)
from inference.model import Model
from inference.nvidia import Gpu, find_gpu
from inference.opening import open_session
from inference.routing import FixedRouter
from inference.runtime import load_runtime, versions
from inference.session import Session, blank
from inference.tensorrt import engine_folder, tensorrt_options
from inference.tokens import TOKENS
from inference.version import ModelVersion
from operators.analyse import Analyser

LENGTH: Final = 128
TASK: Final = "sentiment"
#: Share of the bare loop's speed that the operator is to reach.
GOAL: Final = 0.9
#: Workers that submit at once, as those of a flow do.
WORKERS: Final = 2

_LABELS = ["negative", "neutral", "positive"]
_FUSED = "model.fused.onnx"
_SPECIAL = ("[CLS]", "[SEP]", "[UNK]")
#: Dense fp16 operations, with sums in fp32, of a multiprocessor in a clock cycle, by compute capability. From NVIDIA's
#: white papers of each architecture: peak ÷ (multiprocessors × boost clock).
_CYCLE: Final = {
    (7, 0): 1024,
    (7, 5): 1024,
    (8, 0): 2048,
    (8, 6): 1024,
    (8, 9): 1024,
    (9, 0): 4096,
    (10, 0): 8192,
}


def peak(gpu: Gpu) -> float | None:
    """The card's peak in operations a second: of a cycle × multiprocessors × highest clock; None where not known."""
    cycle = _CYCLE.get(gpu.capability)
    return cycle * gpu.multiprocessors * gpu.clock if cycle else None


def refusal() -> str | None:
    """Why nothing can be measured on this machine, in a sentence; None where there is a GPU."""
    try:
        find_gpu()
    except ModelError as error:
        return f"No GPU benchmark: {error}."
    return None


def bench(argv: Sequence[str] | None = None) -> int:
    """Print the rows; exit code 1 and a sentence where there is no GPU or a provider is not to be had."""
    asked = options(__doc__, argv)
    reason = refusal()
    if reason:
        print(reason, file=sys.stderr)
        return 1
    gpu = find_gpu()
    rows: list[Row] = []
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        version = write_version(Path(folder), Bert())
        for provider in ("cuda", "tensorrt"):
            device = Device(provider, precision="fp16", shapes=((256, LENGTH),), engines=Path(folder) / "engines")
            try:
                rows += measure(version, Bert(), device, posts=8192 if asked.quick else 65_536, gpu=gpu)
            except ModelError as error:
                print(f"No figures of {provider}: {error}.", file=sys.stderr)
                failed = True
    print(f"{gpu.name}, compute capability {gpu.capability[0]}.{gpu.capability[1]}", file=sys.stderr)
    print_rows(rows, asked.json)
    return 1 if failed else 0


def measure(version: ModelVersion, bert: Bert, device: Device, posts: int, gpu: Gpu | None) -> list[Row]:
    """The rows of one provider: sequences/s through the operator beside a bare loop, and shares of ``gpu``'s peak."""
    ((rows, length),) = device.shapes
    name = f"{device.provider} {device.precision}, {length} tokens, {rows} rows"
    model = Model(version, device=device, precision=device.precision)
    texts = [_text(bert, length, number) for number in range(posts)]
    limits = Limits(buckets=(length,), batch_tokens=rows * length, batch_rows=rows)
    loop = _Bare(version, bert, device)
    with Engine(FixedRouter(model), limits) as engine:
        ours, bare = alternate(
            lambda: _through_operator(engine, texts), lambda: loop.rate(max(1, posts // rows)), rounds=3
        )
    found = [Row(f"{name}: operator (peer: bare loop; goal {GOAL:.0%})", ours, bare, "sequences/s")]
    whole = peak(gpu) if gpu else None
    if whole:
        ours, bare = (100 * speed * bert.operations(length) / whole for speed in (ours, bare))
        found.append(Row(f"{name}: of {whole / 1e12:,.0f} TFLOP/s", ours, bare, "% of peak"))
    return found


def _through_operator(engine: Engine, texts: Sequence[str]) -> float:
    analyser = Analyser(lambda part: engine.submit(part, [TASK]), lambda: datetime.now(UTC))
    now = datetime.now(UTC)
    parts = [_batch(texts[worker::WORKERS], now) for worker in range(WORKERS)]
    threads = [threading.Thread(target=analyser.analyse_all, args=([part],)) for part in parts]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    for part in parts:
        for change in part.changes:
            assert isinstance(change, Envelope)
            assert change.document is not None
            assert change.document.sentiment is not None
    return len(texts) / seconds


class _Bare:
    """onnxruntime alone: one session with bound buffers, run in a loop on batches that are there already."""

    def __init__(self, version: ModelVersion, bert: Bert, device: Device) -> None:
        (shape,) = device.shapes
        runtime = load_runtime(device)
        precision: Precision = "fp32" if device.provider == "tensorrt" else device.precision
        graph = version.read(version.graph(precision, device.provider)[1])
        sizes: dict[str, int] = {}
        settings: dict[str, str] = {}
        if device.provider == "cuda":
            settings = cuda_options(device)
        elif device.engines is not None:
            capability = find_gpu(device.number).capability
            folder = engine_folder(device.engines, graph, versions(), capability, device.precision)
            settings = tensorrt_options(device, folder, shape)
            sizes = {ROWS: shape[0], LENGTH_AXIS: shape[1]}
        session = open_session(runtime, graph, device, settings, sizes=sizes)
        place = ("cuda" if device.on_gpu else "cpu", device.number)
        self._rows = shape[0]
        self._names = [tensor.name for tensor in bert.outputs]
        self._batches = [blank(INPUTS, shape, first) for first in (0, 1)]
        self._bound = BoundShape(runtime, session, INPUTS, bert.outputs, shape, place, 1)
        self.rate(RUNS_TO_CAPTURE)

    def rate(self, batches: int) -> float:
        """Sequences a second."""
        began = time.perf_counter()
        for number in range(batches):
            self._bound.run(self._batches[number % 2], self._rows, self._names)
        return batches * self._rows / (time.perf_counter() - began)


def write_version(folder: Path, bert: Bert) -> ModelVersion:
    """A version of a model with random weights, in ``folder``: its plain graph as fp32, its fused one as fp16."""
    words = {name: number for number, name in enumerate(_SPECIAL)}
    words |= {f"w{number}": number + 3 for number in range(bert.words - 3)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=_SPECIAL[-1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    plain = bert.graph(fused=False)
    files = {
        MODEL: plain,
        _FUSED: bert.graph(fused=True, half=True),
        TOKENIZER: tokenizer.to_str().encode(),
        LABELS: msgspec.json.encode({TASK: _LABELS}),
        CALIBRATION: msgspec.json.encode({TASK: Calibration(temperature=1.0)}),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    text = _text(bert, 16, 0)
    batch = {tensor.name: np.zeros((1, 16), np.int64) for tensor in INPUTS}
    batch["input_ids"][0] = tokenizer.encode(text).ids
    batch["attention_mask"][0] = 1
    (output,) = bert.outputs
    logits = Session(plain, INPUTS, bert.outputs).run(batch)[output.name][0].astype(np.float64)
    powers = np.exp(logits - logits.max())
    manifest = Manifest(
        format=FORMAT,
        name="random-bert",
        version="1",
        created_at=datetime.now(UTC),
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        encoder=TOKENS,
        inputs=INPUTS,
        outputs=bert.outputs,
        heads=(Head(task=TASK, output=output.name),),
        tools={},
        metrics={},
        data=(),
        golden=(Golden(text=text, expected={TASK: dict(zip(_LABELS, (powers / powers.sum()).tolist(), strict=True))}),),
        # fp16 against fp32: the same network, in half the digits.
        tolerance=0.02,
        licence="Apache-2.0",
        graphs={"fp32": MODEL, "fp16": _FUSED},
        tokens=Tokens(max_length=LENGTH),
    )
    return ModelVersion(folder, manifest)


def _batch(texts: Sequence[str], now: datetime) -> Batch:
    posts = (Post(id=str(number), source="invented", text=text, created_at=now) for number, text in enumerate(texts))
    changes = [Envelope(Origin("posts", 0, number), b"", post) for number, post in enumerate(posts)]
    return Batch("posts", 0, len(changes), 0, list(changes), [], Counter())


def _text(bert: Bert, length: int, number: int) -> str:
    """A text of ``length`` tokens, those at both ends included."""
    random = np.random.default_rng(number)
    return " ".join(f"w{word}" for word in random.integers(0, bert.words - 3, length - 2))


if __name__ == "__main__":
    sys.exit(bench())
