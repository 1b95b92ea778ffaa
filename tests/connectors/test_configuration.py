"""Settings are refused before anything connects, with what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.configuration import known_keys, load_settings
from groundswell.errors import SettingsError
from groundswell.settings import SECRETS, Settings


def refused(toml: str, tmp_path: Path) -> str:
    file = tmp_path / "settings.toml"
    file.write_text(toml, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(file, environment={})
    return str(caught.value)


def test_nothing_given_is_the_embedded_default() -> None:
    settings = load_settings(environment={})
    assert settings == Settings()
    assert settings.sources.use == ("generator",)
    assert settings.redis.url == "embedded"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[job]\nwokers = 2", "job.wokers = 2: no such setting; did you mean job.workers?"),
        ("[jobs]\nworkers = 2", "did you mean job?"),
        ("workers = 2", "workers = 2: no such setting; did you mean job.workers?"),
        ("[job]\nworkers = 0", "job.workers = 0: expected `int` >= 1"),
        ("[job]\nworkers = 'two'", "job.workers = 'two': expected `int`, got `str`"),
        ("[sources]\nuse = ['kafak']", "allowed: 'kafka', 'files', 'generator'"),
        ("[decode]\nshape = 'twiter'", "decode.shape = 'twiter': invalid enum value"),
        ("[decode.mapping]\nidd = 'x'", "decode.mapping.idd = 'x': no such setting; did you mean decode.mapping.id?"),
        ("[[generator.bursts]]\ntag = 'x'\nstart = -1\nduration = 1", "generator.bursts[0].start = -1"),
        ("[other]\nx = 1", "known: job, sources, kafka,"),
        ("[trends]\nwindow = 31622401", "trends.window = 31622401: expected `int` <= 31622400"),
        ("[trends]\nwindow = 1000001\nslide = 10", "trends.slide = 10: at least 11 with trends.window = 1000001"),
        (
            "[[generator.bursts]]\ntag = 'x'\nstart = 1\nduration = 1\nshar = 1",
            "generator.bursts[0].shar = 1: no such setting; did you mean generator.bursts[0].share?",
        ),
        ("[generator]\nstart = 'soon'", "generator.start = 'soon': expected a time such as"),
        ("[documents]\nurl = 'postgres://x'", "expected sqlite:///relative.db"),
        ("[documents]\npassword = 'x'", "set GROUNDSWELL_DOCUMENTS_PASSWORD"),
        ("[documents]\nurl = 'http://me:secret@host:9200'", "documents.url holds a password"),
        ("[redis]\nurl = 'http://x'", "redis.url = 'http://x': expected 'embedded', redis://"),
        ("[redis]\nurl = 'redis+sentinel://x'", "expected redis+sentinel://host:port,host:port/name-of-the-master"),
        ("[redis]\nurl = 'redis+cluster://x'\nprefix = 'gs:'", "'gs:': on a cluster it needs a hash tag"),
        ("[redis]\nurl = 'redis://x'\nca_certs = 'ca.pem'", "are for a rediss:// address"),
        ("[redis]\nsentinel_password = 'x'", "set GROUNDSWELL_REDIS_SENTINEL_PASSWORD"),
        ("[redis]\nurl = 'redis+sentinel://me:secret@a,b/main'", "redis.url holds a password"),
        ("[kafka.client]\n'sasl.password' = 'x'", "a secret does not belong in the settings file"),
        ("[sources]\nuse = ['files']", "files.paths is empty"),
        ("[job\n", "not valid TOML"),
        ("[job]\nprocesses = 2\naddresses = ['a:1', 'b:1']", "must stay 1"),
    ],
)
def test_is_refused_with_key_value_and_what_is_allowed(toml: str, said: str, tmp_path: Path) -> None:
    assert said in refused(toml, tmp_path)


def test_no_refusal_shows_a_secret(tmp_path: Path) -> None:
    for toml in (
        "[documents]\npassword = 'hunter2'",
        "[documents]\npasword = 'hunter2'",
        "[document]\npasword = 'hunter2'",
        "[documents]\nurl = 'http://me:hunter2@host'",
        "[kafka.client]\n'sasl.password' = ['hunter2']",
    ):
        assert "hunter2" not in refused(toml, tmp_path)
    for variable in ("GROUNDSWELL_DOCUMENTS_URL", "GROUNDSWELL_REDIS_URL"):
        with pytest.raises(SettingsError, match=r"postgres://me:\*\*\*@host") as caught:
            load_settings(environment={variable: "postgres://me:hunter2@host"})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "redis.password=hunter2",
        "redis.url=redis://me:hunter2@host",
        "redis.url=redis+sentinel://me:hunter2@host:1,other:2/main",
        "redis.sentinel_password=hunter2",
        "kafka.client={'sasl.password' = 'hunter2'}",
        "kafka.client.sasl.password=hunter2",
    ],
)
def test_the_command_line_takes_no_secret(override: str) -> None:
    with pytest.raises(SettingsError, match=r"GROUNDSWELL_(REDIS|REDIS_SENTINEL|KAFKA_SASL)_PASSWORD") as caught:
        load_settings(environment={}, overrides=[override])
    assert "hunter2" not in str(caught.value)


def test_a_setting_of_librdkafka_can_be_given_by_its_own_name() -> None:
    settings = load_settings(environment={}, overrides=["kafka.client.security.protocol=SSL"])
    assert settings.kafka.client == {"security.protocol": "SSL"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such settings file"):
        load_settings(tmp_path / "none.toml", environment={})


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[job]\nworkers = 2\nprocesses = 2\nepoch_interval = 3", encoding="utf-8")
    settings = load_settings(
        file,
        environment={"GROUNDSWELL_JOB_WORKERS": "3", "GROUNDSWELL_JOB_PROCESSES": "3"},
        overrides=["job.workers=4"],
    )
    assert (settings.job.workers, settings.job.processes, settings.job.epoch_interval) == (4, 3, 3.0)


def test_lists_and_tables_can_be_given_outside_the_file() -> None:
    settings = load_settings(
        environment={"GROUNDSWELL_SOURCES_USE": "kafka,generator"},
        overrides=['kafka.client={"security.protocol" = "SSL"}', "decode.mapping.id=data.id"],
    )
    assert settings.sources.use == ("kafka", "generator")
    assert settings.kafka.client == {"security.protocol": "SSL"}
    assert settings.decode.mapping.id == "data.id"


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ('"securty.protocol" = "SSL"', 'No such configuration property: "securty.protocol"'),
        ('"security.protocol" = "SSLL"', 'Invalid value "SSLL"'),
        ('"security.protocol" = "SSL", "ssl.ca.location" = "/missing"', "ssl.ca.location failed"),
    ],
)
def test_what_the_kafka_client_would_not_take_is_refused_before_anything_connects(client: str, said: str) -> None:
    overrides = ["sources.use=['kafka']", f"kafka.client={{{client}}}"]
    with pytest.raises(SettingsError, match=rf"^kafka\.client: {said}"):
        load_settings(environment={}, overrides=overrides)
    assert load_settings(environment={}, overrides=overrides[1:]).sources.use == ("generator",)


def test_an_unknown_variable_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean GROUNDSWELL_JOB_WORKERS"):
        load_settings(environment={"GROUNDSWELL_JOB_WORKER": "3"})


def test_secrets_come_from_the_environment_or_a_file_and_are_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n", encoding="utf-8")
    settings = load_settings(
        environment={"GROUNDSWELL_REDIS_PASSWORD_FILE": str(secret), "GROUNDSWELL_DOCUMENTS_API_KEY": "123"}
    )
    assert settings.redis.password == "hunter2"
    assert settings.documents.api_key == "123"
    assert "hunter2" not in repr(settings)
    assert "123" not in repr(settings)


def test_every_secret_is_a_setting() -> None:
    assert set(known_keys()) >= SECRETS
