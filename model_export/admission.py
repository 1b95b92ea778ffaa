"""Admission: a draft is proved, then judged beside the champion and the baseline, all on the very same rows.

Each of the three answers through the engine that serves, so what is compared is what would serve.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from groundswell.errors import GroundswellError, ModelError
from groundswell.records import ModelRef
from inference.names import CHAMPION
from inference.promotion import require_space
from inference.repository import Repository, default_repository
from inference.tasks import SENTIMENT
from model_export.evidence import Evidence, overlaps
from model_export.gate import RULES, Judged, Rule, gate, most_frequent
from model_export.judgement import Judgement, judge
from model_export.opened import opened
from model_export.publish import Draft, publish

#: The shipped model that a task's candidates must beat; other tasks are measured against the most frequent label.
BASELINES: Final[Mapping[str, str]] = {SENTIMENT: "sentiment-baseline"}
#: Stands for the baseline that always says the most frequent label.
MOST_FREQUENT: Final = "the most frequent label"

#: Called while a model is judged: which one and on what, texts done, of how many.
Progress = Callable[[str, int, int], None]


class Device(msgspec.Struct, frozen=True):
    """What all are judged on, as they would serve."""

    provider: str = "cpu"
    precision: str = "auto"
    threads: int = 0


class Compared(msgspec.Struct, frozen=True):
    """One task: the figure that decides, and what the three reach by it on ``data``.

    ``champion`` is None where there is none, or where it does not answer the task.
    """

    data: str
    sha256: str
    figure: str
    candidate: Judgement
    baseline: float
    baseline_model: str
    champion: float | None = None
    champion_model: str | None = None


class Examined(msgspec.Struct, frozen=True):
    """What was found: ``faults`` that nothing overrules, ``reasons`` of the gate, and the figures by task."""

    ref: ModelRef
    faults: tuple[str, ...]
    reasons: tuple[str, ...]
    compared: dict[str, Compared]


def examine(
    draft: Draft,
    repository: Repository,
    evidence: Mapping[str, Evidence],
    *,
    alias: str = CHAMPION,
    baseline: str | None = None,
    new_space: bool = False,
    device: Device | None = None,
    progress: Progress = lambda *_: None,
) -> Examined:
    """Prove and judge ``draft``, which is to be ``alias`` in ``repository``; nothing is published.

    ``baseline`` is a reference in the repository, for the tasks that it answers; without
    one :data:`BASELINES` counts. Raises :class:`~model_export.datasets.DataError` for
    evidence that does not fit the draft, and :class:`ModelError` for a baseline that was
    named and cannot be judged.
    """
    ref = ModelRef(draft.name, draft.version)
    faults = _space_faults(draft, repository, new_space=new_space) if alias == CHAMPION else []
    with tempfile.TemporaryDirectory(prefix="groundswell-draft-") as folder:
        try:
            publish(Path(folder), draft, "draft")
        except ModelError as error:
            return Examined(ref, (str(error), *faults), (), {})
        bench = _Bench(repository, evidence, device or Device(), progress)
        bench.judge_candidate(Repository(Path(folder)), ref)
        bench.judge_champion(draft.name)
        bench.judge_baseline(draft.name, baseline)
    tasks = {head.task for head in draft.heads if head.kind == "classes"}
    return Examined(ref, tuple(faults), tuple(bench.reasons(draft, tasks)), bench.compared())


def _space_faults(draft: Draft, repository: Repository, *, new_space: bool) -> list[str]:
    champion = repository.aliases(draft.name).get(CHAMPION)
    if new_space or champion in (None, draft.version):
        return []
    now = ModelRef(draft.name, str(champion))
    if not repository.has(now):
        return []
    try:
        require_space(repository, now, draft.embedding_space, f"{draft.name}@{draft.version}")
    except ModelError as error:
        return [str(error)]
    return []


class _Bench:
    """Where the three are judged, one after the other."""

    def __init__(
        self, repository: Repository, evidence: Mapping[str, Evidence], device: Device, progress: Progress
    ) -> None:
        self._repository = repository
        self._evidence = evidence
        self._device = device
        self._progress = progress
        self._candidate: dict[str, Judgement] = {}
        self._champion: dict[str, Judged] | None = None
        self._champion_model: str | None = None
        self._baseline: dict[str, Judged] = {}
        self._baseline_models: dict[str, str] = {}
        self._troubles: list[str] = []

    def judge_candidate(self, there: Repository, ref: ModelRef) -> None:
        for task in self._evidence:
            self._candidate[task] = self._judge(there, f"{ref.name}@{ref.version}", task)

    def judge_champion(self, name: str) -> None:
        champion = self._repository.aliases(name).get(CHAMPION)
        if champion is None:
            return
        self._champion, self._champion_model = {}, f"{name}@{champion}"
        try:
            heads = self._repository.manifest(ModelRef(name, champion)).heads
        except ModelError as error:
            self._troubles.append(f"the champion cannot be judged: {error}")
            return
        for task in (head.task for head in heads if head.kind == "classes"):
            # Without evidence there is nothing to compare by, yet the gate must know that it is answered.
            self._champion[task] = Judged("", {})
            if task in self._evidence:
                try:
                    self._champion[task] = self._judged(self._judge(self._repository, self._champion_model, task))
                except GroundswellError as error:
                    self._troubles.append(f"{task}: the champion cannot be judged: {error}")

    def judge_baseline(self, name: str, baseline: str | None) -> None:
        for task, evidence in self._evidence.items():
            found = self._find_baseline(name, task, baseline)
            if found is None:
                self._baseline_models[task] = MOST_FREQUENT
                labels = [row.label.strip().casefold() for row in evidence.rows]
                self._baseline[task] = Judged(evidence.sha256, most_frequent(labels))
            else:
                judgement = self._judge(*found, task)
                self._baseline_models[task] = judgement.model
                self._baseline[task] = self._judged(judgement)

    def reasons(self, draft: Draft, tasks: set[str]) -> list[str]:
        """Why the draft must not be published, unless that is forced."""
        missing = sorted(tasks - self._evidence.keys())
        found = [f"{task}: there is no labelled data to judge it on" for task in missing]
        if not tasks:
            found.append("it answers no task with labels, so there is nothing to judge it by")
        trained_on = {source.sha256: source.path for source in draft.data if not source.use.startswith("validation")}
        found += overlaps(self._evidence, trained_on)
        found += [
            f"{task}: it could not read {judgement.errors:,} rows"
            for task, judgement in self._candidate.items()
            if judgement.errors
        ]
        found += self._troubles
        if self._candidate:
            judged = {task: self._judged(judgement) for task, judgement in self._candidate.items()}
            champion = self._champion
            if champion is not None:
                # What could not be compared has been named already.
                unknown = {task for task, each in champion.items() if task in tasks and not each.figures}
                champion = {task: each for task, each in champion.items() if task not in unknown}
            found += gate(judged, champion, self._baseline)
        return found

    def compared(self) -> dict[str, Compared]:
        """The figures by task."""
        found = {}
        for task, judgement in self._candidate.items():
            figure = RULES.get(task, Rule()).figure
            champion = (self._champion or {}).get(task)
            found[task] = Compared(
                data=self._evidence[task].name,
                sha256=self._evidence[task].sha256,
                figure=figure,
                candidate=judgement,
                baseline=self._baseline[task].figures[figure],
                baseline_model=self._baseline_models[task],
                champion=champion.figures.get(figure) if champion else None,
                champion_model=self._champion_model if champion else None,
            )
        return found

    def _find_baseline(self, name: str, task: str, wanted: str | None) -> tuple[Repository, str] | None:
        """Where the task's baseline lies and how it is called; none where that is the most frequent label."""
        if wanted is not None:
            heads = self._repository.manifest(self._repository.resolve(wanted)).heads
            answers = any(head.task == task and head.kind == "classes" for head in heads)
            return (self._repository, wanted) if answers else None
        shipped = BASELINES.get(task)
        if shipped is None or shipped == name:
            return None
        there = Repository(default_repository())
        return (there, shipped) if shipped in there.models() else None

    def _judge(self, there: Repository, reference: str, task: str) -> Judgement:
        evidence = self._evidence[task]
        device = self._device
        with opened(
            there,
            reference,
            task,
            provider=device.provider,
            precision=device.precision,
            threads=device.threads,
        ) as (subject, engine):
            what, total = f"{subject.model} on {task}", len(evidence.rows)
            return judge(
                subject,
                engine.submit,
                evidence.rows,
                evidence.name,
                lambda done: self._progress(what, done, total),
            )

    def _judged(self, judgement: Judgement) -> Judged:
        return Judged(self._evidence[judgement.task].sha256, _figures(judgement))


def _figures(judgement: Judgement) -> dict[str, float]:
    return {
        "n": judgement.n,
        "accuracy": judgement.accuracy,
        "macro_f1": judgement.macro_f1,
        "macro_recall": judgement.macro_recall,
        "calibration_error": judgement.calibration_error,
    }
