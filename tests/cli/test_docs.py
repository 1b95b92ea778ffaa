"""The reference pages: made from the code, and in the tree as they would be made now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from cli.docs import PAGES
from cli.main import main
from cli.recipe_reference import recipe_page
from cli.settings_reference import example_file, sections
from connectors.configuration import known_keys, load_settings
from groundswell.metrics import CATALOGUE, DEPENDENCIES, LABELS, REGISTRY, SOURCES, STEPS
from groundswell.settings import Settings

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", PAGES)
def test_the_file_in_the_tree_is_what_the_command_prints(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", page]) == 0
    path = PAGES[page][1]
    made = capsys.readouterr().out
    assert (_ROOT / path).read_text() == made, f"run: groundswell docs {page} > {path}"


def test_every_setting_has_a_type_and_a_meaning() -> None:
    shown = [setting for section in sections() for setting in section.settings]
    assert {setting.key for setting in shown} | {"decode.mapping", "trends.detection"} >= set(known_keys())
    assert [setting.key for setting in shown if not (setting.meaning.endswith(".") and setting.type)] == []
    assert all(section.meaning for section in sections())


def test_every_key_of_a_recipe_has_a_type_and_a_meaning() -> None:
    rows = [line.split(" | ") for line in recipe_page().partition("## Bases")[0].splitlines() if line.startswith("| `")]
    assert {row[0].strip("| `") for row in rows} >= {"base", "branch", "max_length", "hold_out", "head_learning_rate"}
    assert [row for row in rows if not (row[1] and row[-1].endswith(". |"))] == []


def test_the_example_holds_nothing_but_defaults(tmp_path: Path) -> None:
    path = tmp_path / "groundswell.toml"
    path.write_text(example_file())
    assert load_settings(path, environment={}) == Settings()
    path.write_text(re.sub(r"^# (\w+ = )", r"\1", example_file(), flags=re.MULTILINE))
    assert load_settings(path, environment={}) == Settings()
    assert path.read_text().count(" = ") > 50


def test_every_metric_is_listed_with_labels_that_are_explained() -> None:
    families = {family.name for family in REGISTRY.collect()}
    assert {metric.name.removesuffix("_total") for metric in CATALOGUE} == families
    for metric in CATALOGUE:
        assert metric.meaning.endswith(".")
        assert set(metric.labels) <= set(LABELS)
        assert metric.name.startswith("groundswell_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")


def test_series_of_known_label_values_exist_from_the_start() -> None:
    scraped = generate_latest(REGISTRY).decode()
    for source in SOURCES:
        assert f'groundswell_records_in_total{{source="{source}"}}' in scraped
    for dependency in DEPENDENCIES:
        assert f'groundswell_retries_total{{dependency="{dependency}"}}' in scraped
    for step in STEPS:
        assert f'groundswell_step_seconds_count{{step="{step}"}}' in scraped
    assert "groundswell_documents_written_total " in scraped
