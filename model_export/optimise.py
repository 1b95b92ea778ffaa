"""Optimising a run: the forms of its exported graph, and what each costs in quality and gains in speed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from groundswell.errors import ModelError
from inference.atomic import replace_durably
from inference.rows import Text
from model_export.exported_run import ExportedRun
from model_export.form_making import FormMaker
from model_export.form_measuring import FormMeasurer, Progress
from model_export.forms import FILES, FORMS, INT8_STATIC, REPORT, Form, Optimised
from model_export.optimise_data import gather
from model_export.quantise import Bits
from model_export.run_files import written_into


def optimise(
    run: Path,
    forms: Sequence[str] = FORMS,
    *,
    data: Path | None,
    samples: Sequence[Text] | None = None,
    word_bits: Bits = 8,
    threads: int = 1,
    progress: Progress = lambda _: None,
) -> Optimised:
    """Make ``forms`` of the graph in ``run/export`` beside it, and measure them against it.

    ``data`` is the folder of the run's own data sets, or a file of labelled texts; without
    it losses are measured on ``samples``, or on a few invented texts. ``samples`` also
    calibrate the static form, in place of training texts. ``word_bits`` 4 keeps
    the tables of word embeddings of the int8 forms in four bits.

    A form that is there, made of the same graph by the same options, is kept; so a call
    that was stopped goes on where it was. Raises :class:`ModelError` for a run that was
    not exported, an unknown form, a static form without texts to calibrate it, a form that
    changed its signature, and a folder that cannot be written; :class:`DataError` for data
    that is absent or does not fit.
    """
    if unknown := [form for form in forms if form not in FILES]:
        raise ModelError(f"no form {', '.join(unknown)}: choose of {', '.join(FORMS)}")
    exported = ExportedRun(run)
    progress("reading data")
    found = gather(run, exported, data, samples)
    if INT8_STATIC in forms and not found.calibration:
        raise ModelError(f"{INT8_STATIC} must be calibrated: give data or samples, or leave this form out")
    making = FormMaker(exported, found.calibration, word_bits, threads)
    report = _begun(exported, making, word_bits, threads)
    with written_into(exported.folder):
        for form in forms:
            if not making.is_kept(form, report.forms.get(form)):
                progress(f"making {form}")
                report = _with(report, form, making.make(form))
                _write(exported, report)
        measuring = FormMeasurer(exported, found, data, threads, progress)
        if any(report.forms[form].measured_on != measuring.digest for form in forms):
            report = measuring.measured(report, forms)
            _write(exported, report)
        return report


def _begun(run: ExportedRun, making: FormMaker, word_bits: int, threads: int) -> Optimised:
    """The report that is there, of the very same graph, or an empty one."""
    fresh = Optimised(making.source, len(run.source), word_bits, threads, making.tools)
    try:
        known = msgspec.json.decode((run.folder / REPORT).read_bytes(), type=Optimised)
    except FileNotFoundError:
        return fresh
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        # It can be made again from what lies beside it.
        return fresh
    if known.source != making.source:
        return fresh
    return msgspec.structs.replace(known, word_bits=word_bits, threads=threads, tools=making.tools)


def _with(report: Optimised, form: str, made: Form) -> Optimised:
    return msgspec.structs.replace(report, forms=report.forms | {form: made})


def _write(run: ExportedRun, report: Optimised) -> None:
    replace_durably(run.folder / REPORT, msgspec.json.format(msgspec.json.encode(report)) + b"\n")
