"""From settings to the model that reads posts: repository, device, limits, and what is asked of the engine."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from connectors.elasticsearch_schema import EMBEDDING_DIMENSIONS
from groundswell.errors import ModelError
from groundswell.records import Analysis, Scores
from groundswell.settings import Settings
from inference.champion import Rules
from inference.champion_router import ChampionRouter
from inference.device import GPU_BUCKETS, GPU_TOKENS, Device, shapes
from inference.device_watch import DeviceWatch
from inference.engine import Engine
from inference.limits import BUCKETS, Lane, Limits
from inference.live_latency import LiveLatency
from inference.loaded import Load
from inference.manifest import Manifest
from inference.model import Model
from inference.names import parse
from inference.remote import open_repository
from inference.repository import Repository
from inference.rows import Reader, RowError
from inference.submission import Flag
from inference.tasks import EMBEDDING, NLI, OF_DOCUMENTS
from inference.version import ModelVersion
from inference.zero_shot import by_entailment

_LOG = logging.getLogger("groundswell.models")

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


def model_loader(settings: Settings, tasks: Collection[str] = ()) -> Load:
    """Loads, warms and proves a version on the device of the settings, in every length that batches may have.

    With ``tasks``, it is ready for those of them that it has heads for, and parts of its graph that only
    others need are never run.
    """
    models, limits = settings.models, engine_limits(settings)

    def load(version: ModelVersion) -> Reader:
        _require_dimensions(version.manifest)
        tokens = version.manifest.tokens
        wanted = {head.task for head in version.manifest.heads}.intersection(tasks) or None
        # The shortest bucket that holds the longest row is the last that is ever used.
        longest = None if tokens is None else next((n for n in limits.buckets if n >= tokens.max_length), None)
        lengths = [length for length in limits.buckets if longest is None or length <= longest]
        if models.provider == "cpu":
            device = Device(threads=models.threads)
            buckets = [(1, length) for length in lengths]
            return Model(version, tasks=wanted, precision=models.precision, device=device, buckets=buckets)
        device = Device(
            provider=models.provider,
            number=models.device,
            shapes=shapes(lengths, limits.batch_tokens, limits.batch_rows),
            engines=Path(models.engine_cache or Path(settings.job.data_dir) / "engines"),
        )
        return Model(version, tasks=wanted, precision=models.precision, device=device)

    return load


def _require_dimensions(manifest: Manifest) -> None:
    """Raise ``ModelError`` for embeddings that no document store would take."""
    outputs = {head.output for head in manifest.heads if head.task == EMBEDDING}
    for tensor in manifest.outputs:
        if tensor.name in outputs and tensor.shape[1:] != (EMBEDDING_DIMENSIONS,):
            raise ModelError(
                f"{manifest.name}@{manifest.version} gives embeddings of {tensor.shape[-1]} dimensions, and the "
                f"document stores hold {EMBEDDING_DIMENSIONS}: choose another model, or export it without its embedding"
            )


class ServedModel:
    """The model of the settings behind an engine that is ready; :meth:`close` frees the device.

    ``tasks`` are those that the engine answers, in the order of a document's fields, on
    ``provider``; ``cross_encoder`` is the reference of a model that reads pairs, where there is one.
    """

    def __init__(
        self,
        engine: Engine,
        router: ChampionRouter,
        tasks: tuple[str, ...],
        provider: str,
        cross_encoder: str | None = None,
    ) -> None:
        self.tasks: Final = tasks
        self.provider: Final = provider
        self.cross_encoder: Final = cross_encoder
        self._engine = engine
        self._router = router
        self._watch = DeviceWatch()

    def read(self, texts: Sequence[str]) -> list[Analysis | RowError]:
        """What the posts flow asks: every task that fills a document, before all backfill."""
        answers = self._engine.submit(texts, self.tasks, Lane.LIVE)
        self._watch.observe(answers)
        return answers

    def trouble(self) -> str | None:
        """What is wrong with the device that reads posts, or ``None``."""
        return self._watch.trouble()

    def embed(
        self, texts: Sequence[str], lane: Lane = Lane.LIVE, cancelled: Flag | None = None
    ) -> list[Analysis | RowError]:
        """The embeddings alone; raises ``ModelError`` where the model has none."""
        return self._engine.submit(texts, [EMBEDDING], lane, cancelled)

    def vectors(self, texts: Sequence[str]) -> list[bytes | None]:
        """The embeddings of texts, before all backfill; ``None`` for a text that has none."""
        answers = self.embed(texts)
        return [None if isinstance(answer, RowError) else answer.embedding for answer in answers]

    def entailed(self, texts: Sequence[str], hypothesis: str, lane: Lane) -> list[float | None]:
        """How probably each text entails the hypothesis rather than contradicts it; ``None`` where it cannot be read.

        Raises ``ModelError`` without a cross-encoder.
        """
        answers = self.labelled(texts, {hypothesis: hypothesis}, "{}", several=True, lane=lane)
        return [None if isinstance(answer, RowError) else answer.scores[hypothesis] for answer in answers]

    def labelled(
        self, texts: Sequence[str], labels: Mapping[str, str], sentence: str, *, several: bool, lane: Lane = Lane.LIVE
    ) -> list[Scores | RowError]:
        """Zero-shot scores of labels by a cross-encoder; see :func:`~inference.zero_shot.by_entailment`."""
        ask = partial(self._engine.submit, lane=lane)
        return by_entailment(ask, texts, labels, sentence=sentence, several=several)

    def serving(self) -> tuple[str, ...]:
        """``name@version`` of what answers now, also after a swap."""
        return tuple(sorted({f"{ref.name}@{ref.version}" for ref in self._router.serving().values()}))

    def embedding_space(self) -> str | None:
        """The space that embeddings are in now, where the model gives any."""
        return self._router.embedding_space()

    def close(self) -> None:
        """Answer no more; closing twice is harmless."""
        self._engine.close()

    def __enter__(self) -> ServedModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def posts_manifest(settings: Settings) -> Manifest | None:
    """What the model of the settings says of itself now, or ``None`` when models are turned off; loads nothing.

    Raises ``ModelError`` where there is no such model.
    """
    if not settings.models.posts:
        return None
    repository = model_repository(settings)
    return repository.manifest(repository.resolve(settings.models.posts))


def embedding_space(settings: Settings) -> str:
    """The space of the embeddings of the model of the settings; loads nothing.

    Raises ``ModelError`` where there is no such model, or it has no embedding.
    """
    manifest = posts_manifest(settings)
    if manifest is None:
        raise ModelError("models are turned off: set models.posts to a model with an embedding")
    if manifest.embedding_space is None or all(head.task != EMBEDDING for head in manifest.heads):
        raise ModelError(
            f"{manifest.name}@{manifest.version} gives no embeddings: set models.posts to a model that does "
            "(groundswell models list)"
        )
    return manifest.embedding_space


def model_repository(settings: Settings) -> Repository:
    """The repository of models."""
    cache = settings.models.cache or Path(settings.job.data_dir) / "models"
    return open_repository(settings.models.repository, Path(cache))


def open_model(
    settings: Settings,
    tasks: Collection[str] = OF_DOCUMENTS,
    *,
    shared: bool = False,
    judged: bool = False,
    pairs_too: bool = False,
) -> ServedModel | None:
    """The model that reads posts, verified and warm, or ``None`` when models are turned off.

    It answers those of ``tasks`` for which it has a head. A ``shared`` one tells others on
    its device of its live posts and hears of theirs, and follows its alias while it is
    open; a ``judged`` one gives a candidate its share, and measures drift. With ``pairs_too``
    the cross-encoder of ``reclassify.cross_encoder`` shares its engine. Raises
    ``ModelError`` for a model that must not serve, or that answers none of ``tasks``.
    """
    models = settings.models
    manifest = posts_manifest(settings)
    if manifest is None:
        return None
    pairs = cross_encoder(settings) if pairs_too else None
    if pairs_too and pairs is None and settings.reclassify.cross_encoder:
        _LOG.warning(
            "the repository holds no model %s, so the evidence alone decides: publish one, or set "
            "reclassify.cross_encoder to another or to nothing",
            parse(settings.reclassify.cross_encoder)[0],
        )
    heads = {head.task for head in manifest.heads}
    answered = tuple(task for task in OF_DOCUMENTS if task in tasks and task in heads)
    if not answered:
        raise ModelError(
            f"{models.posts} answers none of {', '.join(tasks)}: set models.posts to a model that does "
            "(groundswell models list)"
        )
    rules = Rules(models.canary, models.drift_rows, models.drift_limit, models.roll_back) if judged else Rules()
    serving = dict.fromkeys(answered, models.posts) | ({NLI: pairs} if pairs else {})
    return _served(settings, serving, answered, pairs, rules, shared=shared)


def open_cross_encoder(settings: Settings) -> ServedModel | None:
    """The model that reads pairs alone, verified and warm; ``None`` where :func:`cross_encoder` is."""
    pairs = cross_encoder(settings)
    return None if pairs is None else _served(settings, {NLI: pairs}, (), pairs, Rules())


def cross_encoder(settings: Settings) -> str | None:
    """The reference of the model that reads pairs; ``None`` where none is wanted, or the repository holds none."""
    reference = settings.reclassify.cross_encoder
    return reference if reference and parse(reference)[0] in model_repository(settings).models() else None


def _served(
    settings: Settings,
    serving: Mapping[str, str],
    answered: tuple[str, ...],
    pairs: str | None,
    rules: Rules,
    *,
    shared: bool = False,
) -> ServedModel:
    models = settings.models
    refresh = models.refresh if shared else 0.0
    load = model_loader(settings, tuple(serving))
    router = ChampionRouter(model_repository(settings), serving, load, refresh=refresh, rules=rules)
    told = Path(models.live_latency or Path(settings.job.data_dir) / "live-latency")
    try:
        engine = Engine(router, engine_limits(settings), live_latency=LiveLatency(told) if shared else None)
    except BaseException:
        router.close()
        raise
    return ServedModel(engine, router, answered, models.provider, pairs)
