"""Settings from a TOML file, the environment and the command line, checked before anything connects."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from connectors.logs import mask
from connectors.redis_address import has_hash_tag, parse_address
from groundswell.analysis_settings import Trends
from groundswell.errors import SettingsError
from groundswell.output_settings import Redis
from groundswell.settings import SECRET_CLIENT_KEYS, SECRETS, Settings

ENVIRONMENT_PREFIX = "GROUNDSWELL_"
_FILE_SUFFIX = "_FILE"
_CLIENT = ["kafka", "client"]
#: Variables with the prefix that are no settings.
_NOT_SETTINGS = frozenset({"GROUNDSWELL_SHARED_DATA", "GROUNDSWELL_CACHE", "GROUNDSWELL_STRICT"})
_SECRET_NAME = re.compile(r"pass|secret|api_?key|token", re.IGNORECASE)
_NOT_SETTINGS_PREFIXES = ("GROUNDSWELL_FUZZ_", "GROUNDSWELL_OUTAGE_", "GROUNDSWELL_TEST_")
#: In how many windows a post may be; every one of them is made and told.
_MOST_WINDOWS = 100_000


def load_settings(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Iterable[str] = (),
) -> Settings:
    """Read, merge and validate the settings: file, then environment, then ``section.key=value`` overrides.

    Raises:
        SettingsError: an unknown key, a wrong type, a value out of range or a
            secret in the file; the message names key, value, what is allowed and
            the nearest known key.
    """
    table = _read(path) if path else {}
    _refuse_secrets(table, f"{path}: ", "the settings file")
    for key, value in _from_environment(os.environ if environment is None else environment):
        _put(table, key, value)
    given: dict[str, Any] = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or "." not in key:
            raise SettingsError(f"--set {override!r}: expected section.key=value, for example --set job.workers=2")
        key = key.strip()
        if key in SECRETS:
            raise SettingsError(f"{key}: a secret is given by {_variable(key)} or {_variable(key)}{_FILE_SUFFIX} only")
        value = _parse(text.strip(), key)
        _put(given, key, value)
        _put(table, key, value)
    _refuse_secrets(given, "", "the command line, where others can read it")
    _refuse_unknown(table, Settings, "")
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error), table)) from None
    _check_together(settings)
    _check_client(settings)
    return settings


def known_keys() -> list[str]:
    """Every key as ``section.key``, in the order of the file."""
    return [f"{section}.{key}" for section, kind in get_type_hints(Settings).items() for key in kind.__struct_fields__]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such settings file") from None
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


def _variable(key: str) -> str:
    return ENVIRONMENT_PREFIX + key.replace(".", "_").upper()


def _refuse_secrets(table: Mapping[str, Any], source: str, place: str) -> None:
    for key in SECRETS:
        section, _, name = key.partition(".")
        inner = table.get(section)
        if isinstance(inner, dict) and name in inner:
            raise SettingsError(
                f"{source}{key}: a secret does not belong in {place}; "
                f"set {_variable(key)}, or {_variable(key)}{_FILE_SUFFIX} to the path of a file that holds it"
            )
    client = table.get("kafka", {}).get("client", {}) if isinstance(table.get("kafka"), dict) else {}
    for name in SECRET_CLIENT_KEYS & set(client if isinstance(client, dict) else ()):
        raise SettingsError(
            f"{source}kafka.client.{name!r}: a secret does not belong in {place}; "
            f"set {_variable('kafka.sasl_password')} or {_variable('kafka.ssl_key_password')}"
        )
    for section in ("documents", "redis"):
        inner = table.get(section)
        url = inner.get("url") if isinstance(inner, dict) else None
        if isinstance(url, str) and re.match(r"[a-z+]+://[^/@]*:[^/@]+@", url):
            raise SettingsError(
                f"{source}{section}.url holds a password, which does not belong in {place}; "
                f"give it by {_variable(section + '.password')} instead"
            )


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    variables = {_variable(key): key for key in known_keys()}
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in _NOT_SETTINGS or name.startswith(_NOT_SETTINGS_PREFIXES):
            continue
        if name in variables:
            yield variables[name], _parse(environment[name], variables[name])
            continue
        key = variables.get(name.removesuffix(_FILE_SUFFIX)) if name.endswith(_FILE_SUFFIX) else None
        if key in SECRETS and key is not None:
            try:
                yield key, Path(environment[name]).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SettingsError(f"{name}={environment[name]}: {error.strerror}") from None
            continue
        raise SettingsError(
            f"{name}: no such setting{_nearest(name, variables, map(_variable, get_type_hints(Settings)))}"
        )


def _parse(text: str, key: str) -> Any:
    """A value as TOML would read it; anything else, and every secret, is a plain string."""
    if key in SECRETS or _wants_text(key):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.split(",") if _wants_list(key) else text


def _field_type(key: str) -> Any:
    kind: Any = Settings
    for part in key.split("."):
        kind = get_type_hints(kind, include_extras=False).get(part) if hasattr(kind, "__struct_fields__") else None
    return kind


def _wants_text(key: str) -> bool:
    return _field_type(key) is str


def _wants_list(key: str) -> bool:
    return get_origin(_field_type(key)) is tuple


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    if sections[:2] == _CLIENT:  # the names of librdkafka's settings have dots of their own
        sections, name = sections[:2], ".".join([*sections[2:], name])
    for section in sections:
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"{section} = {inner!r}: expected a table")
        table = inner
    table[name] = value


def _refuse_unknown(table: Mapping[str, Any], kind: Any, path: str) -> None:
    hints = get_type_hints(kind)
    for key, value in table.items():
        full = f"{path}{key}"
        if key not in hints:
            here = [f"{path}{name}" for name in hints]
            nearest = _nearest(full, here + known_keys(), here)
            # A misspelt secret is a secret still; so may be what lies in a misspelt table.
            hidden = _SECRET_NAME.search(key) or any(f" {secret}?" in nearest for secret in SECRETS)
            shown = "***" if hidden else "{...}" if isinstance(value, dict) else _shown(value)
            raise SettingsError(f"{full} = {shown}: no such setting{nearest}")
        inner = hints[key]
        if hasattr(inner, "__struct_fields__") and isinstance(value, dict):
            _refuse_unknown(value, inner, f"{full}.")
        element = next(iter(get_args(inner)), None)
        if hasattr(element, "__struct_fields__") and isinstance(value, list):
            for index, each in enumerate(value):
                if isinstance(each, dict):
                    _refuse_unknown(each, element, f"{full}[{index}].")


def _nearest(name: str, known: Iterable[str], listed: Iterable[str]) -> str:
    """The nearest of the ``known`` names, or the ``listed`` ones where none is near."""
    names = list(dict.fromkeys(known))
    found = get_close_matches(name, names, n=1, cutoff=0.5)
    if not found and "." in name:
        tail = name.rpartition(".")[2]
        found = [full for full in names if full.rpartition(".")[2] == tail][:1]
    return f"; did you mean {found[0]}?" if found else f"; known: {', '.join(listed)}"


def _shown(value: Any) -> str:
    text = mask(repr(value))
    return text if len(text) <= 80 else text[:77] + "..."


def _explain(message: str, table: Mapping[str, Any]) -> str:
    """Turn msgspec's ``Expected ... - at `$.a.b``` into key, value and what is allowed."""
    problem, _, where = message.partition(" - at ")
    key = where.strip("`").removeprefix("$.") if where else ""
    value: Any = table
    for part in re.findall(r"[^.\[\]]+", key):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list | tuple) and part.isdigit():
            value = value[int(part)]
    plain = re.sub(r"\[.*", "", key)
    shown = "***" if plain in SECRETS else _shown(value)
    allowed = _choices(plain)
    return f"{key} = {shown}: {problem[:1].lower()}{problem[1:]}{f' (allowed: {allowed})' if allowed else ''}"


def _choices(key: str) -> str:
    kind = _field_type(key)
    options = [option for part in (kind, *get_args(kind)) for option in get_args(part) if isinstance(option, str)]
    options += [option for option in get_args(kind) if isinstance(option, str)]
    return ", ".join(repr(option) for option in dict.fromkeys(options))


def _check_client(settings: Settings) -> None:
    """Only librdkafka knows its settings."""
    kafka = settings.kafka
    if "kafka" not in settings.sources.use or not kafka.client:
        return
    # Imported here: only who reads Kafka needs its library.
    from connectors.kafka_client import refused_setting

    secrets = {"sasl.password": kafka.sasl_password, "ssl.key.password": kafka.ssl_key_password}
    refused = refused_setting(kafka.client | {name: value for name, value in secrets.items() if value})
    if refused is not None:
        raise SettingsError(f"kafka.client: {mask(refused)}")


def _check_redis(redis: Redis) -> None:
    if redis.url and not re.match(r"^(embedded$|rediss?(\+sentinel|\+cluster)?://|unix://)", redis.url):
        raise SettingsError(
            f"redis.url = {_shown(redis.url)}: expected 'embedded', redis://, rediss://, unix://, redis+sentinel://, "
            "redis+cluster:// or nothing at all"
        )
    address = parse_address(redis.url)
    if address is not None and address.kind == "cluster" and not has_hash_tag(redis.prefix):
        raise SettingsError(
            f"redis.prefix = {redis.prefix!r}: on a cluster it needs a hash tag in braces, such as {{groundswell}}:, "
            "so that all keys lie in one slot"
        )
    if (redis.ca_certs or redis.client_cert or redis.client_key) and not redis.url.startswith("rediss"):
        raise SettingsError(
            f"redis.url = {_shown(redis.url)}: redis.ca_certs, redis.client_cert and redis.client_key are for a "
            "rediss:// address"
        )


def _check_together(settings: Settings) -> None:
    """What no single key can say by itself."""
    job = settings.job
    if job.addresses and job.processes > 1:
        raise SettingsError("job.processes > 1 starts a cluster on this machine; with job.addresses it must stay 1")
    if job.addresses and job.process_index >= len(job.addresses):
        raise SettingsError(
            f"job.process_index = {job.process_index}: job.addresses names {len(job.addresses)} processes (0 to "
            f"{len(job.addresses) - 1})"
        )
    if len(job.addresses) > 32:
        raise SettingsError(f"job.addresses names {len(job.addresses)} processes; at most 32 are possible")
    if len(set(settings.sources.use)) != len(settings.sources.use) or not settings.sources.use:
        raise SettingsError("sources.use: name each source once, and at least one")
    if "files" in settings.sources.use and not settings.files.paths:
        raise SettingsError("files.paths is empty, but sources.use names 'files': give files, globs or folders")
    url = settings.documents.url
    if url and not url.startswith(("sqlite:///", "http://", "https://")):
        raise SettingsError(
            f"documents.url = {_shown(url)}: expected sqlite:///relative.db, sqlite:////absolute.db or http(s)://host:port"
        )
    _check_redis(settings.redis)
    start = settings.generator.start
    if start:
        try:
            datetime.fromisoformat(start)
        except ValueError:
            raise SettingsError(f"generator.start = {start!r}: expected a time such as 2026-01-31T12:00:00Z") from None
    _check_trends(settings.trends)
    if settings.dead_letters.store == "kafka" and "kafka" not in settings.sources.use:
        raise SettingsError("dead_letters.store = 'kafka' needs 'kafka' in sources.use")


def _check_trends(trends: Trends) -> None:
    if trends.slide > trends.window:
        raise SettingsError(
            f"trends.slide = {trends.slide}: no more than trends.window = {trends.window}, or some posts would be in "
            "no window"
        )
    if trends.window > _MOST_WINDOWS * trends.slide:
        raise SettingsError(
            f"trends.slide = {trends.slide}: at least {-(-trends.window // _MOST_WINDOWS)} with trends.window = "
            f"{trends.window}, or a post would be in more than {_MOST_WINDOWS:,} windows"
        )
    if trends.detection.stop_score > trends.detection.start_score:
        raise SettingsError(
            f"trends.detection.stop_score = {trends.detection.stop_score}: no more than start_score = "
            f"{trends.detection.start_score}, or trends would end as they begin"
        )
