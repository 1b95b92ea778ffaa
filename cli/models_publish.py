"""``groundswell models publish``: a run's graph becomes a version, if it is better than what serves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.markup import escape
from rich.table import Table

from cli import embed
from cli.models_evaluate import add_mlflow
from cli.models_parts import Part, add_alias, add_json, add_repository, console, needs, place, progress
from cli.printing import printable
from groundswell.errors import SettingsError
from groundswell.records import ModelRef
from inference.names import CHAMPION
from inference.processors import granted_processors
from model_export.tracking import Run, tracked

if TYPE_CHECKING:
    from model_export.admission import Compared

#: The graphs of a run that can be published, by their form.
FORMS = ("fp32", "fused", "fp16", "int8", "int8-static")


class Published(msgspec.Struct, frozen=True):
    """What ``publish --json`` prints; ``reasons`` are those of a refusal, or those that ``forced`` overruled."""

    model: str
    version: str
    alias: str
    published: bool
    reasons: tuple[str, ...] = ()
    forced: str | None = None
    judged: Mapping[str, Compared] = {}


def run(args: argparse.Namespace) -> int:
    """Publish, or say why not; the exit code is 1 for a refusal."""
    if args.force is not None and not args.force.strip():
        raise SettingsError("--force: give the reason; it stays in the manifest")
    there, settings = place(args)
    with needs("export", "publishing"):
        from model_export import admission
        from model_export.draft import draft as make_draft
        from model_export.evidence import gathered
        from model_export.publish import is_good, publish, restore
    repository = there.open()
    if args.baseline:
        repository.manifest(repository.resolve(args.baseline))
    draft = make_draft(args.folder, form=args.form)
    named = f"{draft.name}@{draft.version}"
    aliases = repository.aliases(draft.name)
    # What an alias names was admitted once: lost or damaged, it comes back as it was.
    lost = draft.version in aliases.values() and not is_good(repository, ModelRef(draft.name, draft.version))
    already = Published(draft.name, draft.version, args.alias, published=True)
    if aliases.get(args.alias) == draft.version and not lost:
        _print(args, already, f"{named} is the {args.alias} already")
        return 0
    evidence = gathered(args.folder, args.data, [head.task for head in draft.heads if head.kind == "classes"])
    threads = settings.models.threads or granted_processors()
    with tracked(args.mlflow, f"groundswell publish {draft.name}", named) as log:
        with progress("judging", "texts") as show:
            draft = make_draft(
                args.folder,
                form=args.form,
                evidence=evidence,
                threads=threads,
                progress=lambda what, done, total: show(done, total, f"{named} on {what}"),
            )
        if lost:
            restore(there.root, msgspec.structs.replace(draft, forced=args.force), cache=there.cache)
            print(f"restored {named} in {repository.where}", file=sys.stderr)
        if aliases.get(args.alias) == draft.version:
            _print(args, already, f"{named} is the {args.alias} again")
            return 0
        with progress("judging", "texts") as show:
            found = admission.examine(
                draft,
                repository,
                evidence,
                alias=args.alias,
                baseline=args.baseline,
                new_space=args.new_space,
                device=admission.Device(settings.models.provider, settings.models.precision, settings.models.threads),
                progress=lambda what, done, total: show(done, total, what),
            )
        refused = bool(found.faults) or (bool(found.reasons) and args.force is None)
        told = Published(
            draft.name,
            draft.version,
            args.alias,
            published=not refused,
            reasons=(*found.faults, *found.reasons),
            forced=args.force if found.reasons and not refused else None,
            judged=found.compared,
        )
        _log(log, told)
        if not refused:
            draft = msgspec.structs.replace(draft, forced=told.forced)
            publish(there.root, draft, args.alias, new_space=args.new_space, cache=there.cache)
    if refused:
        _print(args, told, f"{named} is not published")
        return 1
    _print(args, told, f"published {named} as {args.alias} in {repository.where}")
    return embed.begin(settings, draft.name, there.root) if args.new_space and args.alias == CHAMPION else 0


def _log(log: Run, told: Published) -> None:
    log.params({"model": told.model, "version": told.version, "alias": told.alias, "published": told.published})
    for task, each in told.judged.items():
        log.metrics({f"{task}/candidate": getattr(each.candidate, each.figure), f"{task}/baseline": each.baseline})
        if each.champion is not None:
            log.metrics({f"{task}/champion": each.champion})


def _print(args: argparse.Namespace, told: Published, said: str) -> None:
    if args.json:
        print(msgspec.json.encode(told).decode(), flush=True)
        return
    out = console()
    if told.judged:
        out.print(_figures(told.judged))
    why = "although" if told.published else "because"
    print(said if not told.reasons else f"{said}, {why}", file=sys.stdout if told.published else sys.stderr)
    for reason in told.reasons:
        print(f"  {printable(reason)}", file=sys.stdout if told.published else sys.stderr)
    if told.forced:
        print(f"forced: {printable(told.forced)}")
    sys.stdout.flush()


def _figures(judged: Mapping[str, Compared]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    left = ("task", "data", "figure")
    for column in (*left, "n", "candidate", "95 % interval", "champion", "baseline", "calibration_error"):
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    for task, each in judged.items():
        interval = each.candidate.intervals[each.figure]
        table.add_row(
            escape(task),
            escape(printable(Path(each.data).name)),
            each.figure,
            f"{each.candidate.n:,}",
            f"{getattr(each.candidate, each.figure):.3f}",
            f"{interval.low:.3f} to {interval.high:.3f}",
            "" if each.champion is None else f"{each.champion:.3f}",
            f"{each.baseline:.3f} ({escape(each.baseline_model)})",
            f"{each.candidate.calibration_error:.3f}",
        )
    return table


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="folder of a run that is exported (and optimised)")
    parser.add_argument(
        "--form", choices=FORMS, default="int8", help="which of its graphs (default: int8, the form for processors)"
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="[TASK=]PATH",
        help="what to judge on: a labelled file (JSON Lines) for a task, or the folder below which the validation "
        "data of the run's recipe lies; may be repeated",
    )
    parser.add_argument(
        "--baseline",
        metavar="REF",
        help="model that it must beat (default: for sentiment the shipped sentiment-baseline, for other tasks the "
        "most frequent label)",
    )
    add_alias(parser)
    parser.add_argument(
        "--new-space",
        action="store_true",
        help="let embeddings mean something new, and begin to embed the stored documents anew",
    )
    parser.add_argument(
        "--force", metavar="REASON", help="publish it although it does not beat what is there; the manifest keeps why"
    )
    add_repository(parser)
    add_mlflow(parser)
    add_json(parser)


PARTS = {
    "publish": Part(
        "publish a run's graph, if it beats the baseline and the champion",
        "Make a version of a run's graph and let an alias mean it: only when it proves itself in the engine that "
        "serves, and when on the very same texts it beats the baseline and the present champion "
        "(docs/model-repository.md has the rule). A refusal names every reason.",
        _arguments,
        run,
    )
}
