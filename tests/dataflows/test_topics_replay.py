"""Files are re-read in the light of a tag: every post is scored, those without the tag too."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.file_formats import FileOptions
from dataflows import assembly
from dataflows.topics_replay import ScoredPost, TopicsReplay
from groundswell.errors import StopJob
from groundswell.settings import Settings
from groundswell.topics import Topic
from tests.operators.topics.evidence import ABOUT, AT, NOT_ABOUT, POSTS, SPACE, Spelled, embed, model

OTHERS = [f"{NOT_ABOUT} number{number}" for number in range(60)]
TEXTS = [*POSTS, *OTHERS, ABOUT]


def replayed(path: Path, *, vectors: bool = True) -> tuple[Topic, list[ScoredPost]]:
    replay = TopicsReplay(
        [path],
        FileOptions(),
        assembly.open_decoder(Settings(), lambda: datetime.now(UTC)),
        Spelled(),
        model(),
        embed if vectors else None,
        SPACE if vectors else None,
    )
    return replay.run("prayforoklahoma", AT)


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    path = tmp_path / "posts.jsonl.gz"
    lines = (
        {"id": str(number), "text": text, "created_at": "2013-05-20T20:00:00Z"} for number, text in enumerate(TEXTS)
    )
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return path


@pytest.mark.parametrize("vectors", [True, False])
def test_every_post_is_scored_in_the_order_of_the_file(posts: Path, vectors: bool) -> None:
    topic, scored = replayed(posts, vectors=vectors)
    assert [each.id for each in scored] == [str(number) for number in range(len(TEXTS))]
    assert [each.tagged for each in scored] == [number < len(POSTS) for number in range(len(TEXTS))]
    assert topic.phrase == "pray for oklahoma" and topic.posts == len(POSTS)
    about, others = scored[-1].score, [each.score for each in scored[len(POSTS) : -1]]
    assert about > max(others)
    assert min(each.score for each in scored[: len(POSTS)]) > max(others)


def test_the_same_files_give_the_same_scores(posts: Path) -> None:
    assert replayed(posts) == replayed(posts)


def test_files_without_a_post_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text("")
    with pytest.raises(StopJob, match="no post"):
        replayed(path)
