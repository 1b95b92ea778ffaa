"""Names of models, versions, aliases and files, and references made of them."""

from __future__ import annotations

import re

from groundswell.errors import ModelError

#: The alias that a reference without one means.
CHAMPION = "champion"

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def is_plain(name: str) -> bool:
    """Whether it can be a name: one part of a path, never hidden, never upward.

    >>> is_plain("model.int8.onnx"), is_plain("../x"), is_plain(".staging")
    (True, False, False)
    """
    return _PLAIN.fullmatch(name) is not None


def plain(name: str) -> str:
    """The name itself; raises :class:`ModelError` where it is none."""
    if not is_plain(name):
        raise ModelError(f"{name!r} is no name of a model, version or alias: letters, digits, '.', '_' and '-' are")
    return name


def parse(reference: str) -> tuple[str, str]:
    """The model, and the alias or version, of ``name@alias``, ``name@version`` or ``name`` (its champion).

    >>> parse("encoder@candidate"), parse("encoder")
    (('encoder', 'candidate'), ('encoder', 'champion'))
    """
    name, _, wanted = reference.partition("@")
    return plain(name), plain(wanted or CHAMPION)
