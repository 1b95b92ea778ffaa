"""The model card of the sentiment baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inference.manifest import Source
from model_export.evaluate import Evaluation

_TEXT = """\
# {name}

Sentiment of short English posts: negative, neutral or positive, with calibrated probabilities.
TF-IDF over words, word pairs and character n-grams ({ids:,} of them) with logistic regression, as one
small ONNX graph. It is the baseline that every later model must beat, and it needs neither a GPU nor a
download.

## Figures

| data | n | macro-recall | macro-F1 | accuracy | calibration error |
| --- | --- | --- | --- | --- | --- |
{rows}

In brackets: 95 % confidence intervals by bootstrap over the rows. Calibration error: expected
calibration error of the best label, 15 bins of equal count.

- *validation* is TweetEval's sentiment validation set. Nothing was trained or calibrated on it, but eighteen
  settings (kinds and lengths of n-grams, norm, strength of the regularisation) were compared with both sets in view:
  where the fit converged, macro-recall was .659 to .685 here and .647 to .676 there. So its figures flatter a little.
- *calibration* is a tenth of the training texts, set aside by a hash of the text. The temperature ({temperature})
  was fitted on it.

## Data

{trained:,} texts for training and {calibrated:,} for calibration, from the files of SemEval-2017 task 4A (the
years 2013 to 2016). {read:,} rows were read; the exports' literal escapes and quotes were undone; of texts
that come more than once (mentions, addresses and punctuation aside) one was kept, with the label most given
to it ({distinct:,}). Every text was removed that is in the validation set or nearly so (at least 70 % of the
words of both together are shared): {leaked:,}; and from the training texts every one that is so near to one of
the calibration texts: {near_calibration:,}.

The files come from a repository under the MIT licence (written for its code); the posts are their authors'.
No post is in this folder: mentions and addresses are replaced before anything is counted, and an n-gram is kept
only when at least three different texts hold it. The files and their sha256
are in `MANIFEST.json`.

| file | rows | use |
| --- | --- | --- |
{sources}

## Licence

The weights and the vocabulary: {licence}, as the rest of the project.

## Limits

- English, posts of up to 280 characters, 2013 to 2016. In other languages it answers little more than its prior.
- The three classes weigh the same in training, so that rare negative posts are found. In a stream with few of
  them the probability of *negative* is therefore too high: it ranks better than it counts.
- It sees words and pairs, not sentences: irony, long negations and comparisons are lost on it.
- It knows nothing of who is spoken of. It must not be used to judge people.
- Of a text only the first {words} words are read; such results are marked as truncated.

## Making it again

`make models`, with the data at hand, gives the same version: it is named by the content of its files.
"""


def card(
    name: str,
    *,
    ids: int,
    evaluations: Mapping[str, Evaluation],
    temperature: float,
    sizes: Mapping[str, int],
    sources: Sequence[Source],
    licence: str,
    words: int,
) -> str:
    """The card as Markdown; ``sizes`` holds the numbers of texts that the template names."""
    return _TEXT.format(
        name=name,
        ids=ids,
        rows="\n".join(_row(data, figures) for data, figures in evaluations.items()),
        temperature=temperature,
        sources="\n".join(f"| `{source.path}` | {source.rows:,} | {source.use} |" for source in sources),
        licence=licence,
        words=words,
        **sizes,
    )


def _row(data: str, found: Evaluation) -> str:
    cells = [
        f"{getattr(found, figure):.3f} ({interval.low:.3f}–{interval.high:.3f})"
        for figure in ("macro_recall", "macro_f1", "accuracy")
        for interval in [found.intervals[figure]]
    ]
    return f"| {data} | {found.n:,} | {' | '.join(cells)} | {found.calibration_error:.3f} |"
