"""``groundswell models``: its parts, and which packages each of them can do without."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import main
from cli.models import PARTS
from tests.inference import tiny
from tests.inference.tiny_bert import published_bert
from tests.model_export.labelled import sentiment_rows, write_lines

#: What training brings, and what pictures and logging need.
_ABSENT = ("torch", "transformers", "optimum", "optuna", "safetensors", "sklearn", "scipy", "matplotlib", "mlflow")
_WITHOUT = f"""
import json, sys
for name in {_ABSENT}:
    sys.modules[name] = None
from cli.main import main
codes = [main(words) for words in json.loads(sys.argv[1])]
print(json.dumps(codes), file=sys.stderr)
"""


@pytest.mark.parametrize("part", PARTS)
def test_every_part_explains_itself(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models", part, "--help"])
    assert ended.value.code == 0
    assert f"groundswell models {part}" in capsys.readouterr().out


def test_without_a_part_it_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models"])
    assert ended.value.code == 2
    assert "PART" in capsys.readouterr().err


def test_what_needs_no_training_works_without_its_packages(tmp_path: Path) -> None:
    root = tmp_path / "models"
    first = published_bert(root)
    second = published_bert(root, temperature=2.0)
    tiny.published(root)
    data = write_lines(tmp_path / "rows.jsonl", sentiment_rows(30))
    place = ["--repository", str(root)]
    commands = [
        ["models", "list", *place],
        ["models", "show", "tiny-bert", *place],
        ["models", "verify", "tiny-bert", "tiny", *place],
        ["models", "promote", f"tiny-bert@{first.name}", *place],
        ["models", "rollback", "tiny-bert", *place],
        ["models", "data", str(data), "--task", "sentiment"],
        ["models", "evaluate", "--task", "sentiment", "--data", str(data), *place],
        ["models", "train", "encoder", "--data", "data"],
        ["models", "baseline", "--data", "data", *place],
        ["models", "evaluate", "--task", "sentiment", "--data", str(data), "--plots", str(tmp_path), *place],
    ]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    *said, codes = done.stderr.splitlines()
    assert json.loads(codes) == [0, 0, 0, 0, 0, 0, 0, 2, 2, 1], done.stderr
    assert f"tiny-bert@champion is {second.name} again" in done.stdout
    assert "pip install 'groundswell[train]'" in said[-3]
    assert "pip install 'groundswell[export]'" in said[-2]
    assert "pip install 'groundswell[plot]'" in said[-1]
