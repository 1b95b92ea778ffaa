"""The model card of a run: what its files say, in order, and nothing that they do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from model_export.forms import FILES, Form, Optimised
from model_export.publish import Draft
from model_export.readers import DATA_SETS
from model_export.recipe import Recipe
from model_export.recipe_file import shipped
from model_export.run_files import Imported, Trained

_FIGURES: Final = ("macro_recall", "macro_f1", "accuracy")
_HEADER: Final = ("macro-recall", "macro-F1", "accuracy")
_POINT: Final = 100


class RunFacts(NamedTuple):
    """All that a card is made of; a run has ``recipe`` and ``training``, or ``imported``.

    ``form`` is the one that ``draft`` ships, ``sizes`` are the bytes of each graph in the run's ``export/``.
    """

    draft: Draft
    form: str
    recipe: Recipe | None
    training: Trained | None
    imported: Imported | None
    optimised: Optimised | None
    opset: int
    labels: Mapping[str, Sequence[str]]
    sizes: Mapping[str, int]


def run_card(facts: RunFacts) -> str:
    """The card as Markdown."""
    parts = [
        _head(facts),
        _answers(facts),
        _figures(facts),
        _loss(facts),
        _sizes(facts),
        _data(facts),
        _training(facts),
        _licence(facts),
        _limits(facts),
        _again(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(facts: RunFacts) -> str:
    if facts.recipe:
        base = Path(facts.recipe.base).name
        said = f"{facts.recipe.description}\nMade from the base `{base}` by this project's own training."
    else:
        imported = facts.imported
        said = f"Imported: the {imported.architecture} of the folder `{imported.folder}`." if imported else ""
    return f"# {facts.draft.name}\n\n{said}".rstrip()


def _answers(facts: RunFacts) -> str:
    draft = facts.draft
    widths = {tensor.name: tensor.shape[1] for tensor in draft.outputs}
    lines = [
        f"| {head.task} | {', '.join(facts.labels[head.task])} |"
        if head.kind == "classes"
        else f"| {head.task} | {widths[head.output]} dimensions, unit length; space `{draft.embedding_space}` |"
        for head in draft.heads
    ]
    return "## What it answers\n\n" + _table(("task", "answer"), lines) + "\n\nAll tasks are answered in one pass."


def _figures(facts: RunFacts) -> str:
    title = "## Figures\n\n"
    metrics = facts.draft.metrics
    if not metrics:
        return title + "None: no labelled data was given when this version was made."
    return (
        title
        + _table(
            ("data", "n", *_HEADER, "calibration error"),
            (f"| {name} | {_row(figures)} |" for name, figures in metrics.items()),
        )
        + f"\n\nTaken of the very graph that is shipped ({facts.form}), through the engine that serves it. In "
        "brackets: 95 % confidence\nintervals by bootstrap over the rows. Calibration error: expected calibration "
        "error of the best label, 15 bins\nof equal count."
    )


def _row(figures: Mapping[str, float]) -> str:
    cells = [f"{figures[name]:.3f} ({figures[f'{name}_low']:.3f}–{figures[f'{name}_high']:.3f})" for name in _FIGURES]
    return " | ".join([f"{figures['n']:,.0f}", *cells, f"{figures['calibration_error']:.3f}"])


def _loss(facts: RunFacts) -> str:
    parts = []
    trained = facts.training.metrics if facts.training else {}
    # Only what both read all of can be compared.
    both = [name for name, after in facts.draft.metrics.items() if name in trained and trained[name]["n"] == after["n"]]
    if both:
        lines = [
            f"| {name} | {before['macro_recall']:.4f} | {after['macro_recall']:.4f} "
            f"| {_POINT * (after['macro_recall'] - before['macro_recall']):+.2f} |"
            for name in both
            for before, after in [(trained[name], facts.draft.metrics[name])]
        ]
        parts.append(
            "Macro-recall of the trained network in fp32, of the shipped graph, and the difference in points:\n\n"
            + _table(("data", "fp32", facts.form, "points"), lines)
        )
    form = _form(facts)
    if form and (said := _form_loss(form)):
        parts.append(said)
    distances = [f"| {name} | {value:.2g} |" for name, value in facts.draft.parity.items()]
    parts.append(
        "Largest distances on golden and odd inputs. *alone* and *padded*: of the exported graph from the network, "
        "in logits\nand components; by precision: of the shipped graph from the exported one, in calibrated "
        "probability and in\n1 − cosine.\n\n" + _table(("output", "distance"), distances)
    )
    return "## Loss against fp32\n\n" + "\n\n".join(parts)


def _form(facts: RunFacts) -> Form | None:
    return facts.optimised.forms.get(facts.form) if facts.optimised and facts.form in FILES else None


def _form_loss(form: Form) -> str:
    lines = [
        f"| {task} | {loss.texts:,} | {loss.agreement:.2%} | {loss.mean:.4f} | {loss.largest:.3f} |"
        for task, loss in form.classes.items()
    ]
    parts = []
    if lines:
        parts.append(
            "On the same texts as the exported graph: how often the best label is the same, and how far calibrated "
            "probabilities\nmove:\n\n" + _table(("task", "texts", "same label", "mean", "largest"), lines)
        )
    sets = [
        f"| {task}/{name} | {pair.n:,} | {pair.before:.4f} | {pair.after:.4f} "
        f"| {_POINT * pair.difference:+.2f} ({_POINT * pair.low:+.2f} to {_POINT * pair.high:+.2f}) |"
        for task, loss in form.classes.items()
        for name, pair in loss.sets.items()
    ]
    if sets:
        parts.append(
            "Macro-recall of the exported graph and of this one on the same rows, in points with 95 % intervals:\n\n"
            + _table(("data", "n", "before", "after", "points"), sets)
        )
    if form.embedding:
        loss = form.embedding
        said = f"Cosine of {loss.texts:,} embeddings to those of the exported graph: "
        parts.append(said + f"mean {loss.mean_cosine:.4f}, least {loss.worst_cosine:.4f}.")
        if loss.quality:
            parts.append(
                "What the embedding is good for, and how many points it lost:\n\n"
                + _table(
                    ("figure", "value", "points lost"),
                    (
                        f"| {name} | {value:.4f} | {loss.points_lost.get(name, 0.0):+.2f} |"
                        for name, value in loss.quality.figures.items()
                    ),
                )
            )
    return "\n\n".join(parts)


def _sizes(facts: RunFacts) -> str:
    shipped = {FILES.get(facts.form, "model.onnx")}
    lines = [
        f"| `{name}`{' (shipped)' if name in shipped else ''} | {size / 1e6:.1f} |"
        for name, size in facts.sizes.items()
    ]
    whole = sum(len(content) for content in facts.draft.files.values())
    text = f"## Sizes\n\n{_table(('graph', 'MB'), lines)}\n\nThis version's files together: {whole / 1e6:.1f} MB."
    form = _form(facts)
    if form and facts.optimised and form.gain:
        threads = facts.optimised.threads
        text += (
            f" Speed when it was made, on {threads} thread{'s' if threads > 1 else ''}: "
            f"{form.texts_per_second:.0f} texts/s,\n{form.gain:.2f} times the exported graph."
        )
    return text


def _data(facts: RunFacts) -> str:
    title = "## Data\n\n"
    parts = []
    if facts.recipe:
        names = dict.fromkeys(use.name for use in facts.recipe.data)
        lines = [f"| {name} | {DATA_SETS[name].licence if name in DATA_SETS else 'your own file'} |" for name in names]
        parts.append(_table(("data set", "licence"), lines))
    if facts.training:
        lines = [
            f"| {task} | {', '.join(f'{name} {count:,}' for name, count in rows.items())} |"
            for task, rows in facts.training.rows.items()
        ]
        parts.append(
            "Rows by task. *removed* are training rows that are, or nearly are, in a validation set; *calibration* "
            "rows chose the\nbest epoch and the temperature, and trained nothing; what is validation of a training "
            "file was set aside from it,\nby whole premises or texts.\n\n" + _table(("task", "rows"), lines)
        )
    if facts.draft.data:
        parts.append(
            _table(
                ("file", "rows", "use"),
                (f"| `{source.path}` | {source.rows:,} | {source.use} |" for source in facts.draft.data),
            )
            + "\n\nTheir sha256 are in `MANIFEST.json`. None of their texts is in this folder."
        )
    if facts.imported:
        parts.append("What it was trained on is not known here; see the folder that it was imported from.")
    return title + "\n\n".join(parts)


def _training(facts: RunFacts) -> str:
    training = facts.training
    if training is None:
        return ""
    tasks = list(training.curve[0].figures) if training.curve else []
    lines = [
        f"| {point.epoch + 1}{' (kept)' if point.epoch == training.best_epoch else ''} | {point.loss:.4f} | "
        + " | ".join(f"{point.figures[task]:.4f}" for task in tasks)
        + " |"
        for point in training.curve
    ]
    return (
        f"## Training\n\nSeed {training.seed}; {training.seconds / 60:.0f} minutes. Macro-recall on the calibration "
        "rows after each epoch:\n\n" + _table(("epoch", "loss", *tasks), lines)
    )


def _licence(facts: RunFacts) -> str:
    if facts.imported and facts.imported.licence is None:
        return "## Licence\n\nThe folder that it was imported from states none: find out before you use it."
    stated = " as its folder states it" if facts.imported else ""
    return f"## Licence\n\nThe weights: {facts.draft.licence}{stated}."


def _limits(facts: RunFacts) -> str:
    tokens = facts.draft.tokens
    lines = []
    if tokens:
        room = f"{tokens.max_length} tokens, special ones included"
        lines.append(
            f"It reads a premise and a hypothesis of {room}, together; what is longer is cut and marked as truncated."
            if tokens.pairs
            else f"It reads {room}; what is beyond is not read, and the result is marked as truncated."
            if tokens.max_windows == 1
            else f"It reads {room}, at a time, and at most {tokens.max_windows} such windows of a text, which share "
            f"{tokens.overlap} tokens; what is beyond is not read, and the result is marked as truncated."
        )
    if facts.draft.metrics:
        lines.append(
            "It was measured on the data above alone: on other kinds of texts, and in other languages, on none."
        )
    lines += facts.recipe.limits if facts.recipe else ()
    unmeasured = sorted(
        task for task in facts.labels if not any(name.startswith(f"{task}/") for name in facts.draft.metrics)
    )
    if unmeasured:
        lines.append(f"Nothing was measured of {', '.join(unmeasured)}, and its drift cannot be told.")
    if facts.imported and facts.labels:
        lines.append("Its probabilities are not calibrated.")
    if facts.optimised:
        lines += [f"{note[:1].upper()}{note[1:]}." for note in facts.optimised.notes]
    lines.append("It must not be used to judge people.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _again(facts: RunFacts) -> str:
    name = facts.draft.name
    if facts.imported:
        task, folder = facts.imported.task, facts.imported.folder
        pairs = " --pairs" if facts.draft.tokens and facts.draft.tokens.pairs else ""
        normaliser = f" --normaliser {facts.draft.tokens.normaliser}" if facts.draft.tokens else ""
        length = f" --max-length {facts.imported.max_length}"
        first = [f"groundswell models import {folder} --task {task}{length}{normaliser}{pairs} --out RUN"]
    else:
        recipe = name if name in shipped() else "RECIPE"
        first = [f"groundswell models train {recipe} --data DATA --out RUN", "groundswell models export RUN"]
    if facts.form in FILES:
        bits = f" --word-bits {facts.optimised.word_bits}" if facts.optimised and facts.form.startswith("int8") else ""
        first.append(f"groundswell models optimise RUN --forms {facts.form}{bits}")
    first.append(f"groundswell models publish RUN --form {facts.form} --data DATA")
    tools = ", ".join(f"{tool} {version}" for tool, version in sorted(facts.draft.tools.items()))
    return "## Making it again\n\n```\n" + "\n".join(first) + f"\n```\n\nONNX opset {facts.opset}; {tools}."


def _table(header: Sequence[str], lines: Iterable[str]) -> str:
    head = f"| {' | '.join(header)} |\n|{' --- |' * len(header)}"
    return "\n".join([head, *lines])
