"""The ``groundswell`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from cli.options import add_common, settle_common
from groundswell import __version__
from groundswell.errors import GroundswellError, SettingsError

#: Each command's module and one line of help. Only the module of the command that is called is imported.
COMMANDS = {
    "run": ("cli.run", "run the job"),
    "demo": ("cli.demo", "run the job on a sample of real posts, with nothing else installed"),
    "search": ("cli.search", "search the documents"),
    "trends": ("cli.trends", "show what trends now, or replay files offline"),
    "topics": ("cli.topics", "show what documents are scored by, or re-read files offline"),
    "classify": ("cli.classify", "say which of your labels fits a text"),
    "reclassify": ("cli.reclassify", "re-read the documents in the light of a tag"),
    "evaluate": ("cli.evaluate", "measure searches by what people judged"),
    "embed": ("cli.embed", "give documents vectors of the model in use"),
    "dead": ("cli.dead", "list, show and replay dead letters"),
    "status": ("cli.status", "show the running processes"),
    "check": ("cli.check", "validate the settings without connecting"),
    "doctor": ("cli.doctor", "connect to every dependency and say what answers"),
    "generate": ("cli.generate", "write an invented stream of posts to Kafka or to a file"),
    "models": ("cli.models", "train and publish models"),
    "docs": ("cli.docs", "print the reference pages"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 for a failure with a reason, 2 for settings that cannot be used."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        parser = _parser(words)
        args = parser.parse_args(words)
        if args.command is None:
            parser.print_help(sys.stderr)
            return 2
        settle_common(args)
        code: int = args.run(args)
        sys.stdout.flush()
    except SettingsError as error:
        print(f"groundswell: {error}", file=sys.stderr)
        return 2
    except GroundswellError as error:
        print(f"groundswell: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough; the interpreter must not fail again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """A parser that knows the command in ``words`` in full, and of the others their one line."""
    parser = argparse.ArgumentParser(
        prog="groundswell",
        description="Follows public opinion as it happens: posts in, scored and searchable documents out.",
    )
    parser.add_argument("--version", action="version", version=f"groundswell {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    called = words[0] if words else None
    for name, (module, summary) in COMMANDS.items():
        if name == called:
            import_module(module).add_parser(commands)
            add_common(commands.choices[name])
        else:
            commands.add_parser(name, help=summary)
    return parser


if __name__ == "__main__":
    sys.exit(main())
