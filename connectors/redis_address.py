"""Addresses of several servers of Redis: sentinels that know the master, and the nodes of a cluster."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, unquote

from groundswell.errors import SettingsError

_SCHEME = re.compile(r"^redis(s?)\+(sentinel|cluster)://")
_HOST = re.compile(r"^(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::(\d{1,5}))?$")
_DEFAULT_PORT = {"sentinel": 26379, "cluster": 6379}
_HASH_TAG = re.compile(r"\{[^}]+\}")


class RedisAddress(NamedTuple):
    """Where to begin to look: any of ``hosts`` will do.

    ``service`` is the name under which sentinels know the master, ``database`` its database.
    """

    kind: Literal["sentinel", "cluster"]
    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    service: str = ""
    database: int = 0
    username: str = ""


def parse_address(url: str) -> RedisAddress | None:
    """What ``redis+sentinel://`` and ``redis+cluster://`` addresses say; ``None`` for any other scheme.

    With ``rediss`` all connections are encrypted. Raises
    :class:`~groundswell.errors.SettingsError` for an address that cannot be meant.

    >>> parse_address("redis+sentinel://one:26379,two/main?db=2").hosts
    (('one', 26379), ('two', 26379))
    >>> parse_address("rediss+cluster://node:7000").tls
    True
    >>> parse_address("redis://localhost:6379/0")
    """
    found = _SCHEME.match(url)
    if found is None:
        return None
    kind: Literal["sentinel", "cluster"] = "sentinel" if found[2] == "sentinel" else "cluster"
    rest, _, query = url[found.end() :].partition("?")
    places, _, service = rest.partition("/")
    user, _, hosts = places.rpartition("@")
    service = unquote(service)
    if (kind == "sentinel") != bool(service):
        raise SettingsError(
            "redis.url: expected redis+sentinel://host:port,host:port/name-of-the-master"
            if kind == "sentinel"
            else "redis.url: a cluster has one database: expected redis+cluster://host:port,host:port"
        )
    return RedisAddress(
        kind,
        tuple(_host(host, _DEFAULT_PORT[kind]) for host in hosts.split(",")),
        bool(found[1]),
        service,
        _database(query, kind),
        unquote(user.partition(":")[0]),
    )


def has_hash_tag(prefix: str) -> bool:
    """Whether all keys with this prefix lie in one slot of a cluster.

    >>> has_hash_tag("{groundswell}:"), has_hash_tag("groundswell:"), has_hash_tag("{}:")
    (True, False, False)
    """
    # Only the first brace counts, and nothing between it and the next closing one is no tag.
    first = prefix.find("{")
    return first >= 0 and _HASH_TAG.match(prefix, first) is not None


def _host(text: str, default: int) -> tuple[str, int]:
    found = _HOST.match(text.strip())
    if found is None or int(found[3] or default) > 65535:
        raise SettingsError(f"redis.url: {text!r} is no host:port")
    return found[1] or found[2], int(found[3] or default)


def _database(query: str, kind: str) -> int:
    given = dict(parse_qsl(query, keep_blank_values=True))
    number = given.pop("db", "0")
    if given or not number.isdecimal() or (kind == "cluster" and number != "0"):
        raise SettingsError(
            f"redis.url: {query!r}: expected {'db=NUMBER' if kind == 'sentinel' else 'nothing'} after ?"
        )
    return int(number)
