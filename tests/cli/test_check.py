"""``groundswell check``: settings are validated without connecting."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.main import main
from groundswell.analysis_settings import Models
from tests.inference.tiny_bert import published_bert


def test_a_valid_file_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "groundswell.toml"
    path.write_text('[kafka]\nbootstrap_servers = "nowhere.invalid:9092"\n[sources]\nuse = ["kafka"]\n')
    assert main(["check", "-c", str(path)]) == 0
    said, model = capsys.readouterr().out.splitlines()
    assert said == f"{path}: valid"
    assert model.startswith(f"models: {Models().posts} on cpu: version ") and " answers sentiment" in model


def test_it_says_which_model_reads_posts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = published_bert(tmp_path, embedding_space="one").name
    here = f"models.repository={tmp_path}"
    for overrides, expected in (
        (
            [here, "models.posts=tiny-bert"],
            f"tiny-bert on cpu: version {version} answers sentiment, emotion, embedding, space one",
        ),
        ([here, "models.posts=absent"], "absent on cpu, which is not on this machine: no model 'absent' in"),
        (["models.repository=s3://key:secret@models/here", "models.posts=far"], "far on cpu, from s3://"),
        (["models.posts="], "turned off"),
    ):
        assert main(["check", *(word for override in overrides for word in ("--set", override))]) == 0
        said = capsys.readouterr().out
        assert said.splitlines()[1].startswith(f"models: {expected}")
        assert "secret" not in said


def test_an_invalid_file_names_key_value_and_what_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "groundswell.toml"
    path.write_text('[documents]\ninterval = "day"\n')
    assert main(["check", "-c", str(path)]) == 2
    message = capsys.readouterr().err
    for part in ("documents.interval", "'day'", "'week'", "'month'", "'none'"):
        assert part in message


def test_show_prints_the_effective_settings_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "key"
    secret.write_text("hunter2")
    monkeypatch.setenv("GROUNDSWELL_DOCUMENTS_API_KEY_FILE", str(secret))
    monkeypatch.setenv("GROUNDSWELL_REDIS_PASSWORD", "hunter2")
    monkeypatch.setenv("GROUNDSWELL_REDIS_URL", "redis://job:hunter2@cache:6379")
    monkeypatch.setenv("GROUNDSWELL_KAFKA_CLIENT", '{"sasl.password" = "hunter2", "sasl.username" = "job"}')
    assert main(["check", "--show", "--set", "job.workers=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "hunter2" not in "".join(lines)
    assert {
        "job.workers = 2",
        'kafka.topic = "posts"',
        "documents.api_key = ***",
        'documents.password = ""',
        "redis.password = ***",
        'redis.url = "redis://job:***@cache:6379"',
    } <= set(lines)


def test_the_log_format_has_a_short_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--show", "--log-format", "json"]) == 0
    assert 'observability.log_format = "json"' in capsys.readouterr().out.splitlines()
