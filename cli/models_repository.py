"""``groundswell models verify``, ``list``, ``show``, ``promote`` and ``rollback``: what is in a repository."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from cli import embed
from cli.models_parts import Part, Place, add_alias, add_json, add_repository, console, needs, place
from cli.printing import moment, printable
from groundswell.errors import StopJob
from inference.names import CHAMPION, parse
from inference.version import CARD
from model_export.listing import Listed, list_versions

#: The figure of each data set that ``list`` shows.
_FIGURE = "macro_recall"


class Moved(msgspec.Struct, frozen=True):
    """The aliases of a model after a move."""

    model: str
    aliases: dict[str, str]


class Verified(msgspec.Struct, frozen=True):
    """What ``verify --json`` prints of each: nothing in ``findings`` when it may serve."""

    model: str
    findings: tuple[str, ...]


def run_list(args: argparse.Namespace) -> int:
    """Every version of every model; the exit code is 1 when there is none."""
    there, _ = place(args)
    repository = there.open()
    models = repository.models()
    if args.name is not None and args.name not in models:
        raise StopJob(f"no model {args.name!r} in {repository.where} (there: {', '.join(models) or 'none'})")
    found = list_versions(repository, args.name)
    if args.json:
        print(msgspec.json.encode(found).decode())
    elif found:
        _print_list(found)
    else:
        print(f"no model in {repository.where}")
    return 0 if found else 1


def _print_list(found: list[Listed]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("model", "version", "aliases", "made", "tasks", "precision", _FIGURE):
        table.add_column(column, overflow="fold")
    for each in found:
        if each.trouble:
            table.add_row(each.name, each.version, ", ".join(each.aliases), "", f"[red]{escape(each.trouble)}[/red]")
            continue
        figures = (f"{data} {values[_FIGURE]:.3f}" for data, values in each.metrics.items() if _FIGURE in values)
        table.add_row(
            each.name,
            each.version,
            ", ".join(each.aliases),
            moment(each.created_at) if each.created_at else "",
            ", ".join(map(escape, each.tasks)),
            ", ".join(each.precisions),
            escape(", ".join(figures)),
        )
    console().print(table)


def run_show(args: argparse.Namespace) -> int:
    """The model card of a version, verified first."""
    there, _ = place(args)
    repository = there.open()
    version = repository.open(args.model)
    manifest = version.manifest
    if args.json:
        print(msgspec.json.encode(manifest).decode())
        return 0
    out = console()
    aliases = sorted(alias for alias, meant in repository.aliases(manifest.name).items() if meant == manifest.version)
    named = f" ({', '.join(aliases)})" if aliases else ""
    out.print(f"{manifest.name}@{manifest.version}{named}, made {moment(manifest.created_at)}", highlight=False)
    tasks = ", ".join(f"{head.task} ({head.kind})" for head in manifest.heads)
    graphs = f"answers {escape(tasks)}; graphs in {', '.join(manifest.graphs)}; " if manifest.graphs else ""
    out.print(f"{graphs}{manifest.licence}", highlight=False)
    if CARD in manifest.files:
        card = "".join(map(_kept, version.read(CARD).decode("utf-8", "replace")))
        if sys.stdout.isatty():
            out.print(Markdown(card))
        else:
            print(card)
    return 0


def _kept(character: str) -> str:
    """A character of a card, which somebody else may have written: nothing in it steers the terminal."""
    return character if character == "\n" else printable(character) or " "


def run_verify(args: argparse.Namespace) -> int:
    """The exit code is 1 when any of the versions must not serve."""
    there, settings = place(args)
    repository = there.open()
    with needs("export", "verifying"):
        from model_export.verify import verify, verify_folder
    provider = settings.models.provider
    found = [
        Verified(
            reference,
            tuple(
                verify_folder(Path(reference), provider=provider)
                if os.sep in reference
                else verify(repository, reference, provider=provider)
            ),
        )
        for reference in args.models
    ]
    if args.json:
        print(msgspec.json.encode(found).decode())
        return 1 if any(each.findings for each in found) else 0
    for each in found:
        if each.findings:
            for finding in each.findings:
                print(f"{each.model}: {finding}", file=sys.stderr)
        else:
            print(f"{each.model}: good to serve on {provider}")
    return 1 if any(each.findings for each in found) else 0


def run_promote(args: argparse.Namespace) -> int:
    """Let an alias mean a version that has proved itself; a running job takes a new champion within seconds."""
    name, wanted = parse(args.model)
    if "@" not in args.model:
        raise StopJob(f"which version of {name}? name it: {name}@VERSION, or {name}@candidate")
    there, settings = place(args)
    with needs("export", "verifying"):
        from model_export.promote import promote
    ref = promote(there.root, name, wanted, args.alias, new_space=args.new_space, cache=there.cache)
    _print_moved(args, there, name, f"{name}@{args.alias} is {ref.version} now")
    return embed.begin(settings, name, there.root) if args.new_space and args.alias == CHAMPION else 0


def run_rollback(args: argparse.Namespace) -> int:
    """Let the champion before be the champion again."""
    there, settings = place(args)
    with needs("export", "verifying"):
        from model_export.promote import roll_back
    ref = roll_back(there.root, args.name, new_space=args.new_space, cache=there.cache)
    _print_moved(args, there, args.name, f"{args.name}@{CHAMPION} is {ref.version} again")
    return embed.begin(settings, args.name, there.root) if args.new_space else 0


def _print_moved(args: argparse.Namespace, there: Place, name: str, said: str) -> None:
    print(msgspec.json.encode(Moved(name, there.open().aliases(name))).decode() if args.json else said, flush=True)


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="MODEL", help="one model (default: all)")
    add_repository(parser)
    add_json(parser)


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="REF", help="name (its champion), name@alias or name@version")
    add_repository(parser)
    parser.add_argument("--json", action="store_true", help="print the manifest as one JSON object")


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="+", metavar="REF", help="name, name@alias, name@version, or the folder PATH/NAME/VERSION"
    )
    add_repository(parser)
    add_json(parser)


def _promote_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="REF", help="name@version, or name@candidate")
    add_alias(parser)
    parser.add_argument(
        "--new-space",
        action="store_true",
        help="let embeddings mean something new, and begin to embed the stored documents anew",
    )
    add_repository(parser)
    add_json(parser)


def _rollback_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="MODEL", help="the model")
    parser.add_argument(
        "--new-space",
        action="store_true",
        help="let embeddings mean what they meant before, and begin to embed the stored documents anew",
    )
    add_repository(parser)
    add_json(parser)


PARTS = {
    "verify": Part(
        "check whether versions may serve",
        "Load versions in the real engine and repeat their golden answers: what is corrupt, truncated, of a wrong "
        "signature or with wrong labels is refused, with the reason.",
        _verify_arguments,
        run_verify,
    ),
    "list": Part("list models and versions", "List the versions of a repository.", _list_arguments, run_list),
    "show": Part("show a model card", "Show what a version says of itself.", _show_arguments, run_show),
    "promote": Part(
        "make a version the champion",
        "Let an alias mean a version, in one step. Running jobs load a new champion beside the old one, prove it and "
        "swap between batches; the old one stays as 'previous'.",
        _promote_arguments,
        run_promote,
    ),
    "rollback": Part(
        "make the previous champion serve again",
        "Let the champion before be the champion again, in one step.",
        _rollback_arguments,
        run_rollback,
    ),
}
