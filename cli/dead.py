"""``groundswell dead``: the records that could not become documents."""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from pathlib import Path

import msgspec

from cli import stores
from cli.options import load
from cli.printing import moment, printable
from connectors.dead_letters import DeadLetterStore, Selection
from dataflows import assembly
from groundswell.errors import SettingsError, StopJob
from groundswell.records import DeadLetter
from groundswell.settings import Settings
from groundswell.waits import Waits


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser("dead", description="List, show and replay dead letters.")
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)

    listing = parts.add_parser("list", help="count them by cause, and list some", description="Count and list them.")
    listing.add_argument("--cause", metavar="CAUSE", help="only letters with this cause")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="letters listed at most (default: 20)")
    listing.add_argument("--json", action="store_true", help="one JSON object")
    listing.set_defaults(run=_list)

    show = parts.add_parser("show", help="show one with its bytes", description="Show one letter with its bytes.")
    show.add_argument("key", metavar="KEY", help="the letter's key, as `dead list` prints it")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--raw", action="store_true", help="only the bytes, unchanged")
    form.add_argument("--json", action="store_true", help="one JSON object")
    show.set_defaults(run=_show)

    replay = parts.add_parser(
        "replay",
        help="send them round again after a fix",
        description="Send letters round again, under their first origin: no record becomes two documents. A letter "
        "whose record is then stored is gone; one that fails again is here again.",
    )
    replay.add_argument("keys", nargs="*", metavar="KEY", help="letters to replay")
    replay.add_argument("--cause", metavar="CAUSE", help="letters with this cause")
    replay.add_argument("--step", metavar="STEP", help="letters of this step")
    replay.add_argument("--all", action="store_true", help="replay every letter")
    replay.set_defaults(run=_replay)
    for part in (listing, show, replay):
        part.add_argument("--documents", metavar="URL", help="document store, for dead letters beside it in SQLite")


def _settings_of(args: argparse.Namespace) -> list[str]:
    return [f"documents.url={args.documents}"] if args.documents else []


def _list(args: argparse.Namespace) -> int:
    if args.limit < 0:
        raise SettingsError(f"--limit {args.limit}: expected 0 or more")
    settings = load(args, *_settings_of(args))
    with stores.dead_letters(settings) as store:
        counts = store.counts()
        letters = store.list(Selection(cause=args.cause), args.limit) if args.limit else []
    if args.cause:
        counts = {cause: count for cause, count in counts.items() if cause == args.cause}
    total = sum(counts.values())
    if args.json:
        fields = [_fields(letter) for letter in letters]
        print(msgspec.json.encode({"total": total, "causes": counts, "letters": fields}).decode())
        return 0
    print(f"{total:,} dead letters" if total != 1 else "1 dead letter")
    for cause, count in counts.items():
        print(f"  {cause}: {count:,}")
    for letter in letters:
        print(f"{moment(letter.time)}  {printable(letter.key)}  {letter.step}  {_why(letter)}")
    if 0 < args.limit == len(letters) < total:
        print(f"only {args.limit} are listed; --limit N lists more")
    return 0


def _show(args: argparse.Namespace) -> int:
    settings = load(args, *_settings_of(args))
    with stores.dead_letters(settings) as store:
        letter = store.show(args.key)
    if letter is None:
        raise StopJob(f"no dead letter has the key {args.key!r}; `groundswell dead list` prints the keys")
    if args.raw:
        sys.stdout.buffer.write(letter.value)
        sys.stdout.buffer.flush()
    elif args.json:
        print(msgspec.json.encode(_fields(letter) | _value(letter.value)).decode())
    else:
        print(f"key    {printable(letter.key)}\ntime   {moment(letter.time)}\nstep   {letter.step}")
        print(f"cause  {_why(letter)}\nbytes  {len(letter.value):,}\n")
        print(printable(letter.value.decode("utf-8", "backslashreplace")))
    return 0


def _replay(args: argparse.Namespace) -> int:
    if not (args.keys or args.cause or args.step or args.all):
        raise SettingsError("dead replay: say which: KEY..., --cause, --step or --all")
    settings = load(args, *_settings_of(args))
    selection = Selection(keys=frozenset(args.keys) or None, cause=args.cause, step=args.step)
    with stores.dead_letters(settings) as store:
        _require_known(store, args.keys)
        replayed = store.replay(selection)
    embedded = not assembly.dead_letters_in_kafka(settings)
    print(f"{replayed.sent:,} {'chosen' if embedded else 'sent round again'}", file=sys.stderr)
    if replayed.truncated:
        print(f"{replayed.truncated:,} stay: their bytes are not whole; read them at their origin", file=sys.stderr)
    return _run_chosen(settings) if embedded and replayed.sent else 0


def _run_chosen(settings: Settings) -> int:
    """Run the flow over the chosen letters: nothing else would, where no broker carries them round."""
    # Imported here: it brings the whole job.
    from cli.run import print_summary, supervise

    alone = msgspec.structs.replace(
        settings,
        job=msgspec.structs.replace(settings.job, processes=1, workers=1, addresses=()),
        redis=msgspec.structs.replace(settings.redis, url=""),
        observability=msgspec.structs.replace(settings.observability, port=0),
    )
    letters = assembly.open_sqlite_dead_letters(settings, Waits())
    mark = letters.replay_mark()
    letters.close()
    # A replay that is killed leaves its letters chosen, and the next one starts over.
    with tempfile.TemporaryDirectory(prefix="groundswell-") as state:
        outcome, seconds = supervise(alone, state=Path(state), until_end=True, replay=mark)
    print_summary("text", outcome, seconds)
    return outcome.exit_code


def _require_known(store: DeadLetterStore, keys: list[str]) -> None:
    for key in keys:
        if store.show(key) is None:
            raise StopJob(f"no dead letter has the key {key!r}; `groundswell dead list` prints the keys")


def _why(letter: DeadLetter) -> str:
    return f"{letter.cause}: {printable(letter.detail)}"


def _fields(letter: DeadLetter) -> dict[str, object]:
    return {
        "key": _text(letter.key),
        "time": letter.time,
        "step": letter.step,
        "cause": letter.cause,
        "detail": _text(letter.detail),
        "bytes": len(letter.value),
    }


def _value(value: bytes) -> dict[str, str]:
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value).decode()}


def _text(text: str) -> str:
    """Text that JSON can hold: a path may hold bytes, and a detail surrogates, that UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace").decode()
