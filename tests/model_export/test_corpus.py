from __future__ import annotations

from pathlib import Path

import pytest

from inference.manifest import Tokens
from model_export.corpus import Corpus, gather
from model_export.datasets import DataError, signature
from model_export.recipe import DataUse, HeadDesign, Recipe, Training
from model_export.recipe_file import find, load
from tests.model_export.labelled import nli_rows, sentiment_rows, write_lines

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("negative", "neutral", "positive")


def recipe(*data: DataUse, task: str = "sentiment", labels: tuple[str, ...] = LABELS) -> Recipe:
    return Recipe(
        name="tiny",
        description="",
        base="none",
        licence="Apache-2.0",
        tokens=Tokens(max_length=32),
        heads=(HeadDesign(task=task, branch="tuned", labels=labels),),
        data=data,
        training=Training(calibration=0.2),
    )


def texts(corpus: Corpus, task: str = "sentiment") -> list[set[str]]:
    found = corpus.tasks[task]
    parts = [found.train, found.calibration, *found.validation.values()]
    return [{str(row.text) for row in part} for part in parts]


def test_no_text_is_in_two_parts_and_doubles_are_read_once(tmp_path: Path) -> None:
    rows = sentiment_rows(90, "a")
    write_lines(tmp_path / "train.jsonl", [*rows, *rows[:30], *sentiment_rows(20, "b")])
    write_lines(tmp_path / "held.jsonl", sentiment_rows(20, "b"))
    corpus = gather(
        recipe(
            DataUse(task="sentiment", name="jsonl:train.jsonl"),
            DataUse(task="sentiment", name="jsonl:held.jsonl", use="validation"),
        ),
        tmp_path,
    )
    train, calibration, validation = texts(corpus)
    assert not train & calibration | train & validation | calibration & validation
    assert len(train) + len(calibration) == 90
    assert corpus.tasks["sentiment"].removed == 20
    assert corpus.tasks["sentiment"].read == 160
    assert [source.use for source in corpus.sources] == ["training of sentiment", "validation of sentiment"]


def test_extra_rows_are_trained_on_and_never_set_aside(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", sentiment_rows(90, "a"))
    write_lines(tmp_path / "extra.jsonl", [*sentiment_rows(90, "b"), *sentiment_rows(90, "a")])
    corpus = gather(
        recipe(
            DataUse(task="sentiment", name="jsonl:train.jsonl"),
            DataUse(task="sentiment", name="jsonl:extra.jsonl", use="extra"),
        ),
        tmp_path,
    )
    train, calibration = texts(corpus)
    assert {row["text"] for row in sentiment_rows(90, "b")} <= train
    assert calibration and not train & calibration
    assert calibration <= {row["text"] for row in sentiment_rows(90, "a")}


def test_a_text_that_is_nearly_in_validation_is_no_training_row(tmp_path: Path) -> None:
    text = "the long train to the coast was late again this morning"
    write_lines(tmp_path / "train.jsonl", [*sentiment_rows(9), {"text": f"RT @ann: {text}!!", "label": "negative"}])
    write_lines(tmp_path / "held.jsonl", [{"text": text, "label": "negative"}])
    corpus = gather(
        recipe(
            DataUse(task="sentiment", name="jsonl:train.jsonl"),
            DataUse(task="sentiment", name="jsonl:held.jsonl", use="validation"),
        ),
        tmp_path,
    )
    assert corpus.tasks["sentiment"].removed == 1


def test_pairs_are_parted_by_their_premise(tmp_path: Path) -> None:
    rows = nli_rows(300)
    again = [{**row, "hypothesis": "something else", "label": "neutral"} for row in rows]
    write_lines(tmp_path / "pairs.jsonl", [*rows, *again])
    labels = ("contradiction", "entailment", "neutral")
    use = DataUse(task="nli", name="jsonl:pairs.jsonl", hold_out=0.3)
    found = gather(recipe(use, task="nli", labels=labels), tmp_path).tasks["nli"]
    parts = [found.train, found.calibration, *found.validation.values()]
    premises = [{signature(row.text[0]) for row in part} for part in parts]
    assert all(premises)
    assert not premises[0] & premises[1] | premises[0] & premises[2] | premises[1] & premises[2]
    assert sum(map(len, parts)) + found.removed == 600


def test_the_parting_is_the_same_every_time_and_limits_hold(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", sentiment_rows(200))
    uses = [DataUse(task="sentiment", name="jsonl:train.jsonl", limit=limit, repeat=3) for limit in (0, 50)]
    whole, again, limited = (gather(recipe(use), tmp_path) for use in (uses[0], uses[0], uses[1]))
    assert whole == again
    found = limited.tasks["sentiment"]
    assert len(found.train) + len(found.calibration) == 50
    assert set(found.repeat) == {3}


def test_labels_go_by_name(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", sentiment_rows(60))
    turned = gather(recipe(DataUse(task="sentiment", name="jsonl:train.jsonl"), labels=LABELS[::-1]), tmp_path)
    for row in turned.tasks["sentiment"].train:
        assert str(row.text).split()[0] == {0: "good", 1: "the", 2: "bad"}[row.label]


def test_upper_and_lower_case_are_one(tmp_path: Path) -> None:
    rows = [{**row, "label": row["label"].upper()} for row in sentiment_rows(60)]
    write_lines(tmp_path / "train.jsonl", [*rows, *sentiment_rows(60)])
    found = gather(recipe(DataUse(task="sentiment", name="jsonl:train.jsonl")), tmp_path).tasks["sentiment"]
    assert len(found.train) + len(found.calibration) == 60


def test_an_unknown_label_is_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", [{"text": "angry words", "label": "furious"}])
    with pytest.raises(DataError, match="furious"):
        gather(recipe(DataUse(task="sentiment", name="jsonl:train.jsonl")), tmp_path)


@pytest.mark.parametrize("name", ["encoder", "nli"])
def test_the_recipes_of_the_starter_models_can_be_read(name: str) -> None:
    found = load(ROOT / f"model_export/recipes/{name}.toml")
    assert found.name == name


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ('["good", "fair", "bad"]', "has the labels contradiction, entailment, neutral"),
        ('["neutral", "entailment", "neutral"]', "a label twice"),
    ],
)
def test_labels_that_a_task_cannot_have_are_refused(tmp_path: Path, labels: str, message: str) -> None:
    recipe = (ROOT / "model_export/recipes/nli.toml").read_text()
    (tmp_path / "mine.toml").write_text(recipe.replace('["contradiction", "entailment", "neutral"]', labels))
    with pytest.raises(DataError, match=message):
        load(tmp_path / "mine.toml")


def test_what_is_not_known_is_named_with_what_is_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"encodr is no file, and no recipe that is shipped; did you mean encoder\?"):
        find("encodr")
    with pytest.raises(DataError, match="there are encoder, nli"):
        find("my/own.toml")
    recipe = (ROOT / "model_export/recipes/nli.toml").read_text()
    for mine, message in (
        (recipe + "\nlearning_rat = 0.1\n", r"`learning_rat`.*training`; did you mean learning_rate\?"),
        (recipe.replace("[[heads]]", "[[heads]]\nbranche = 'x'", 1), r"`branche`.*; did you mean branch\?"),
        ("xyz = 1\n" + recipe, "`xyz`; there are base, branches"),
    ):
        (tmp_path / "mine.toml").write_text(mine)
        with pytest.raises(DataError, match=message):
            load(tmp_path / "mine.toml")


@pytest.mark.parametrize("name", ["../x", "a.b", ""])
def test_a_task_or_a_branch_that_names_no_module_is_refused(tmp_path: Path, name: str) -> None:
    recipe = (ROOT / "model_export/recipes/nli.toml").read_text()
    (tmp_path / "task.toml").write_text(recipe.replace('task = "nli"', f'task = "{name}"'))
    (tmp_path / "branch.toml").write_text(f"branches = [{{ name = '{name}' }}]\n{recipe}")
    for file in ("task.toml", "branch.toml"):
        with pytest.raises(DataError, match="can be no name of a task or branch"):
            load(tmp_path / file)


def test_a_recipe_whose_name_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    recipe = (ROOT / "model_export/recipes/nli.toml").read_text()
    (tmp_path / "evil.toml").write_text(recipe.replace('name = "nli"', 'name = "../elsewhere"', 1))
    with pytest.raises(DataError, match="no model's name"):
        load(tmp_path / "evil.toml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('task = "emotion"\nname = "semeval"', "no task with labels"),
        ('task = "sentiment"\nname = "semeval"\nuse = "validation"', "nothing trains 'sentiment'"),
        ('task = "sentiment"\nname = "semeval"\nrepeats = 2', "repeats"),
        ('task = "sentiment"\nname = "semeval"\nrepeat = 0', "repeat"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        'name = "x"\ndescription = ""\nbase = "b"\nlicence = "MIT"\ntokens = { max_length = 32 }\n'
        'heads = [{ task = "sentiment", branch = "tuned", labels = ["negative", "neutral", "positive"] }]\n[[data]]\n'
        + change
    )
    with pytest.raises(DataError, match=message):
        load(path)
