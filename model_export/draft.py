"""From a run that is exported to a version that is ready to be published.

Everything that the version says of itself is said by the graph that it ships, read by
the very code that serves it: a version with answers that stand in for the real ones is
published into a folder of its own, and asked.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from groundswell.errors import ModelError
from inference.manifest import (
    CALIBRATION,
    LABELS,
    MODEL,
    TOKENIZER,
    Head,
    Precision,
    Source,
)
from inference.tokens import TOKENS
from inference.version import CARD
from model_export.draft_answers import DraftAnswers, Progress
from model_export.evidence import Evidence
from model_export.export_record import ExportRecord, exported
from model_export.exported_run import ExportedRun
from model_export.forms import FILES, REPORT, Optimised
from model_export.publish import Draft
from model_export.recipe import Recipe
from model_export.recipe_file import load
from model_export.run_card import RunFacts, run_card
from model_export.run_files import IMPORTED, RECIPE, TRAINING, Imported, Trained, plain_name, told

#: The forms that can be shipped: what each precision of the version is in ``export/``, the one that counts first.
#: fp16 is for GPUs; TensorRT and processors read the fp32 graph beside it.
FORMS: Final[Mapping[str, Mapping[Precision, str]]] = {
    "fp32": {"fp32": MODEL},
    "fused": {"fp32": FILES["fused"]},
    "fp16": {"fp16": FILES["fp16"], "fp32": MODEL},
    "int8": {"int8": FILES["int8"]},
    "int8-static": {"int8": FILES["int8-static"]},
}

#: By how much a probability, or the cosine of an embedding, may differ on another machine. Products of bytes are
#: exact on all of them (see :mod:`model_export.quantise`), but sums in another order shift an activation now and
#: then by one step of its 255, and that goes through all the layers above.
TOLERANCES: Final[Mapping[Precision, float]] = {"fp32": 1e-3, "fp16": 1e-2, "int8": 2e-2}

#: Files of a version by precision.
_NAMES: Final[Mapping[Precision, str]] = {"fp32": MODEL, "fp16": "model.fp16.onnx", "int8": "model.int8.onnx"}
#: A tolerance that any answer keeps.
_ANY: Final = 2.0
_NOT_STATED: Final = "not stated"


def draft(
    run: Path,
    *,
    form: str = "int8",
    evidence: Mapping[str, Evidence] | None = None,
    threads: int = 1,
    progress: Progress = lambda *_: None,
) -> Draft:
    """A version of the graph ``form`` (of :data:`FORMS`) of ``run``, with golden answers, figures and a card.

    ``evidence`` is labelled data by task (see :mod:`model_export.evidence`); a head
    without has neither figures nor a reference for drift, and the card says so.

    Raises :class:`ModelError` for a run that is not exported, a form that was not made or
    was made of another graph, and a graph that does not serve; :class:`DataError` for
    evidence that does not fit.
    """
    if form not in FORMS:
        raise ModelError(f"no form {form!r}: choose of {', '.join(FORMS)}")
    folder = ExportedRun(run)
    record, parity = exported(run)
    optimised = told(folder.folder / REPORT, Optimised)
    graphs = {precision: _graph(folder, file, record, optimised) for precision, file in FORMS[form].items()}
    origin = _origin(run)
    plain = _plain_draft(run, folder, record, graphs, origin)
    with tempfile.TemporaryDirectory(prefix="groundswell-draft-") as place:
        asked = DraftAnswers(Path(place), plain, folder, threads)
        golden = asked.golden()
        distances = asked.distances(golden)
        judged = asked.judged(evidence or {}, progress)
    finished = msgspec.structs.replace(
        plain,
        golden=golden,
        tolerance=TOLERANCES[next(iter(graphs))],
        parity={name: float(f"{value:.3g}") for name, value in (parity | distances).items()},
        metrics={name: figures for each in judged.values() for name, figures in each.metrics.items()},
        reference={task: each.reference for task, each in judged.items()},
        data=(*plain.data, *_sources(evidence or {}, origin)),
    )
    facts = RunFacts(
        draft=finished,
        form=form,
        recipe=origin.recipe,
        training=origin.training,
        imported=origin.imported,
        optimised=optimised,
        opset=record.opset,
        labels={task: head.labels for task, head in folder.classes.items()},
        sizes={path.name: path.stat().st_size for path in sorted(folder.folder.glob("model*.onnx"))},
    )
    return msgspec.structs.replace(finished, files={**finished.files, CARD: run_card(facts).encode()})


class _Origin(NamedTuple):
    """Where the run comes from; either the first two or the last."""

    recipe: Recipe | None
    training: Trained | None
    imported: Imported | None


def _origin(run: Path) -> _Origin:
    imported = told(run / IMPORTED, Imported)
    if imported is not None:
        return _Origin(None, None, imported)
    training = told(run / TRAINING, Trained)
    if training is None or not (run / RECIPE).is_file():
        raise ModelError(f"{run} was neither trained to its end nor imported: do one of the two")
    return _Origin(load(run / RECIPE), training, None)


def _graph(run: ExportedRun, file: str, record: ExportRecord, optimised: Optimised | None) -> bytes:
    """The bytes of a form, which must be made of the very graph that is exported."""
    if file == MODEL:
        return run.source
    form = next(form for form, name in FILES.items() if name == file)
    known = optimised.forms.get(form) if optimised else None
    if optimised is None or known is None:
        raise ModelError(f"{run.folder} has no {file}: optimise the run with the form {form} first")
    if optimised.source != record.graph:
        raise ModelError(f"{run.folder / file} was made of another graph than the exported one: optimise the run again")
    try:
        content = (run.folder / file).read_bytes()
    except OSError as error:
        raise ModelError(f"{run.folder / file} cannot be read ({error.strerror}): optimise the run again") from error
    if known.sha256 != hashlib.sha256(content).hexdigest():
        raise ModelError(f"{run.folder / file} is not the file that {REPORT} tells of: optimise the run again")
    return content


def _plain_draft(
    run: Path, folder: ExportedRun, record: ExportRecord, graphs: Mapping[Precision, bytes], origin: _Origin
) -> Draft:
    recipe, training, imported = origin
    licence = recipe.licence if recipe else imported.licence if imported else None
    return Draft(
        name=recipe.name if recipe else plain_name(run.resolve().name),
        files={_NAMES[precision]: content for precision, content in graphs.items()}
        | {name: (run / name).read_bytes() for name in (TOKENIZER, LABELS, CALIBRATION)},
        graphs={precision: _NAMES[precision] for precision in graphs},
        encoder=TOKENS,
        tokens=folder.tokens,
        inputs=folder.inputs,
        outputs=folder.outputs,
        heads=tuple(
            Head(task=tensor.name, output=tensor.name, kind="classes" if tensor.name in folder.classes else "embedding")
            for tensor in folder.outputs
        ),
        tools=(training.tools if training else {}) | record.tools,
        metrics={},
        data=training.data if training else (),
        golden=(),
        tolerance=_ANY,
        licence=licence or _NOT_STATED,
        embedding_space=record.embedding_space,
    )


def _sources(evidence: Mapping[str, Evidence], origin: _Origin) -> list[Source]:
    """The labelled files that figures were taken on; data sets of the recipe are among the run's own sources."""
    own = {use.name for use in origin.recipe.data} if origin.recipe else set()
    return [
        Source(path=Path(each.name).name, sha256=each.sha256, rows=len(each.rows), use=f"validation of {task}")
        for task, each in evidence.items()
        if not set(each.name.split("+")) <= own
    ]
