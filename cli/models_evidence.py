"""``groundswell models evidence``: fit and publish the model that weighs the evidence that posts are about a topic."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from cli.models_parts import Part, Show, add_alias, add_json, add_repository, needs, place, progress
from dataflows import models
from dataflows.topics import label_reader
from groundswell.errors import SettingsError
from inference.limits import Lane
from inference.tasks import EMBEDDING
from operators.topics.segmentation import Segmenter

T = TypeVar("T")

#: Texts that are given to the model at once.
_CHUNK = 2_048


def run(args: argparse.Namespace) -> int:
    """Fit, judge on events left out, and publish."""
    there, settings = place(args)
    with needs("train", "fitting the evidence model"):
        from dataflows.evidence_fitting import EvidenceFitting
        from dataflows.evidence_judging import judge, left_out
        from dataflows.evidence_reading import sampled, told, tried
        from model_export import topic_data
        from model_export.evidence_card import card
        from model_export.evidence_fit import draft, sources
        from model_export.publish import publish
    events, event_files = topic_data.read_t6(args.data)
    elsewhere, elsewhere_files = topic_data.read_t26(args.data)
    at_large, large_files = topic_data.read_posts_at_large(args.data)
    given = msgspec.structs.replace(settings.models, repository=there.root)
    model = models.open_model(msgspec.structs.replace(settings, models=given), [EMBEDDING])
    if model is None:
        raise SettingsError("models are turned off: set models.posts to a model with an embedding")
    with model, progress("embedding", "texts") as show:
        known: dict[str, bytes | None] = {}
        # Those of the events are read with their hashtags and without.
        most = 2 * len(events) + len(elsewhere) + len(at_large)

        def embed(texts: Sequence[str]) -> list[bytes | None]:
            missing = list(dict.fromkeys(text for text in texts if text not in known))
            for start in range(0, len(missing), _CHUNK):
                part = missing[start : start + _CHUNK]
                known.update(zip(part, model.vectors(part), strict=True))
                show(len(known), most, "")
            return [known[text] for text in texts]

        segmenter = Segmenter.open(there.open())
        fitting = EvidenceFitting(events, elsewhere, at_large, segmenter, embed, model.embedding_space() or "")
    found = list(left_out(fitting))
    judged = judge(found)
    metrics = {"events left out": judged}
    file, rows = fitting.fitted()
    reading = ""
    cross_encoder = models.open_cross_encoder(msgspec.structs.replace(settings, models=given))
    if cross_encoder is not None and cross_encoder.cross_encoder is not None:
        name = cross_encoder.cross_encoder.partition("@")[0]
        with cross_encoder, progress("reading", "topics") as show:
            read = label_reader(cross_encoder, settings.reclassify.template, Lane.LIVE)
            trial = tried(*sampled(_counted(found, show), read))
        metrics[f"events left out, {name} on what is uncertain"] = trial.figures
        reading = told(name, trial)
        if trial.kept and trial.reading is not None:
            file = msgspec.structs.replace(file, readings={name: trial.reading})
        print(reading, file=sys.stderr)
    data = sources(event_files, elsewhere_files, large_files)
    made = draft(file, fitting.space, metrics, data, rows, card(file, metrics, data, reading))
    ref = publish(there.root, made, args.alias, cache=there.cache)
    if args.json:
        print(json.dumps({"model": ref.name, "version": ref.version, "figures": judged}))
    else:
        print(f"published {ref.name}@{ref.version} in {there.root}")
        for name, value in judged.items():
            print(f"{name}: {value:.4f}")
    return 0


def _counted(found: Sequence[T], show: Show) -> Iterator[T]:
    for number, each in enumerate(found):
        show(number, len(found), "")
        yield each


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="folder of the public data")
    add_repository(parser)
    add_alias(parser)
    add_json(parser)


PARTS = {
    "evidence": Part(
        "fit and publish the model that weighs evidence about topics",
        "Fit the model that says how probably a post is about what a hashtag is about, on judged posts of public "
        "events, judge it on events that were left out, and publish it. It is for the embedding space of models.posts, "
        "and needs the word model; fit it again when either changes.",
        _arguments,
        run,
    ),
}
