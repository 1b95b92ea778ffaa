"""The command as a whole: help, exit codes and the options that all commands take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import COMMANDS, main
from groundswell import __version__


def groundswell(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *words], capture_output=True, text=True, timeout=120, check=False
    )


def test_help_names_every_command_and_imports_none() -> None:
    program = (
        "import sys\n"
        "from cli.main import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit as end:\n"
        "    heavy = {'bytewax', 'numpy', 'confluent_kafka', 'elasticsearch', 'rich', 'redis'} & set(sys.modules)\n"
        "    sys.exit(end.code or (f'imported {heavy}' if heavy else 0))\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")
    named = {line.split()[0] for line in shown.stdout.splitlines() if line.startswith("    ")}
    assert named >= COMMANDS.keys()


def test_without_a_command_it_shows_the_help_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().err


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"groundswell {__version__}\n"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_has_help_with_the_common_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    parts = {"dead": "replay", "models": "baseline", "evaluate": "relevance"}
    words = [command, *([parts[command]] if command in parts else [])]
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--help"])
    shown = capsys.readouterr().out
    for option in ("--config", "--set", "--log-format"):
        assert option in shown


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["serch"])
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"docs", "models", "dead", "demo"}))
def test_settings_that_cannot_be_used_exit_2_with_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    required = {"generate": ["--kafka"], "evaluate": ["relevance", "judgments.csv"], "reclassify": ["flood"]}
    words = [command, *required.get(command, [])]
    assert main([*words, "--set", "kafka.topc=posts"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "groundswell: kafka.topc = 'posts': no such setting; did you mean kafka.topic?\n"


def test_a_failure_with_a_reason_exits_1_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "x", "--documents", f"sqlite:///{tmp_path}/none.db"]) == 1
    assert capsys.readouterr().err.startswith("groundswell: no documents: ")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "docs", "settings"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 141)


def test_it_runs_as_a_process_of_its_own() -> None:
    shown = groundswell("check")
    assert (shown.returncode, shown.stdout.splitlines()[0], shown.stderr) == (0, "settings: valid", "")
    shown = groundswell("check", "--set", "job.workers=0")
    assert shown.returncode == 2
    assert shown.stderr.startswith("groundswell: job.workers = 0: ")
    assert shown.stderr.count("\n") == 1
