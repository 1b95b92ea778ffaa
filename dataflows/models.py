"""From settings to the engine: limits, device, models, and what the posts flow asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from groundswell.records import Analysis
from groundswell.settings import Settings
from inference.device import GPU_BUCKETS, GPU_TOKENS, Device, shapes
from inference.engine import Engine
from inference.limits import BUCKETS, Lane, Limits
from inference.live_latency import LiveLatency
from inference.loaded import Load
from inference.model import Model
from inference.repository import Repository, default_repository
from inference.routing import FixedRouter
from inference.rows import Reader, RowError
from inference.tasks import OF_DOCUMENTS
from inference.version import ModelVersion
from operators.analyse import Submit

#: What a call of a GPU costs before its first token, in tokens.
_GPU_CALL = 2048


def engine_limits(settings: Settings) -> Limits:
    """How much the engine takes on at once, by what suits the provider unless set."""
    models = settings.models
    on_gpu = models.provider != "cpu"
    built_in = Limits()
    return Limits(
        buckets=models.buckets or (GPU_BUCKETS if on_gpu else BUCKETS),
        batch_tokens=models.batch_tokens or (GPU_TOKENS if on_gpu else built_in.batch_tokens),
        linger=models.linger,
        queue_rows=models.queue_rows,
        call_tokens=_GPU_CALL if on_gpu else built_in.call_tokens,
    )


def model_loader(settings: Settings) -> Load:
    """Loads, warms and proves a version on the device of the settings, in every length that batches may have."""
    models, limits = settings.models, engine_limits(settings)

    def load(version: ModelVersion) -> Reader:
        tokens = version.manifest.tokens
        # The shortest bucket that holds the longest row is the last that is ever used.
        longest = None if tokens is None else next((n for n in limits.buckets if n >= tokens.max_length), None)
        lengths = [length for length in limits.buckets if longest is None or length <= longest]
        if models.provider == "cpu":
            device = Device(threads=models.threads)
            return Model(version, precision=models.precision, device=device, buckets=[(1, n) for n in lengths])
        device = Device(
            provider=models.provider,
            number=models.device,
            shapes=shapes(lengths, limits.batch_tokens, limits.batch_rows),
            engines=Path(models.engine_cache or Path(settings.job.data_dir) / "engines"),
        )
        return Model(version, precision=models.precision, device=device)

    return load


def open_engine(settings: Settings, *, shared: bool = False) -> Engine | None:
    """The models, verified and warm, or ``None`` when they are turned off.

    A ``shared`` engine tells others on its device of its live posts, and hears of theirs.
    Raises ``ModelError`` for a model that must not serve.
    """
    models = settings.models
    if not models.posts:
        return None
    repository = Repository(Path(models.repository) if models.repository else default_repository())
    reader = model_loader(settings)(repository.open(models.posts))
    told = Path(models.live_latency or Path(settings.job.data_dir) / "live-latency")
    return Engine(FixedRouter(reader), engine_limits(settings), live_latency=LiveLatency(told) if shared else None)


def post_scorer(engine: Engine) -> Submit:
    """What the posts flow asks of the engine: every task that fills a document, before all backfill."""

    def submit(texts: Sequence[str]) -> list[Analysis | RowError]:
        known = engine.tasks()
        return engine.submit(texts, [task for task in OF_DOCUMENTS if task in known], Lane.LIVE)

    return submit
