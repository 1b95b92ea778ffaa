"""From settings to the model that reads posts: what is asked of it, and that it follows the champion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataflows.models import ServedModel, embedding_space, model_loader, open_model
from groundswell.analysis_settings import Models
from groundswell.errors import ModelError
from groundswell.records import Analysis
from groundswell.settings import Job, Settings
from inference.model import Model
from inference.repository import Repository
from inference.rows import RowError
from tests.inference.tiny import NAME, published
from tests.inference.tiny_bert import NAME as BERT
from tests.inference.tiny_bert import published_bert
from tests.waiting import wait_until


def settings(root: Path, **models: Any) -> Settings:
    return Settings(
        job=Job(data_dir=str(root / "data")),
        models=Models(repository=str(root), threads=1, buckets=(32,), **{"posts": NAME, **models}),
    )


def opened(root: Path, *, shared: bool = False, **models: Any) -> ServedModel:
    model = open_model(settings(root, **models), shared=shared)
    assert model is not None
    return model


def read(model: ServedModel) -> Analysis:
    (answer,) = model.read(["good day"])
    assert isinstance(answer, Analysis)
    return answer


def test_the_job_follows_the_champion_and_a_check_does_not(tmp_path: Path) -> None:
    first = published(tmp_path).name
    with opened(tmp_path, shared=True, refresh=0.01) as job, opened(tmp_path, refresh=0.01) as check:
        assert read(job).model.version == first
        second = published(tmp_path, bias=(1.0, 0.0, 0.0)).name
        wait_until(lambda: read(job).model.version == second, 30, "the new champion to serve")
        assert read(check).model.version == first


def test_posts_are_asked_for_all_that_documents_hold(tmp_path: Path) -> None:
    published_bert(tmp_path, embedding=384, embedding_space="one")
    with opened(tmp_path, posts=BERT) as model:
        answer = read(model)
    assert answer.scores.keys() == {"sentiment", "emotion"}
    assert answer.embedding is not None
    assert answer.embedding_space == "one"


def test_a_device_that_fails_for_good_is_named_until_it_reads_texts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("CUDA error 700")

    published(tmp_path)
    with opened(tmp_path) as model:
        with monkeypatch.context() as patched:
            patched.setattr(Model, "run", failing)
            assert all(isinstance(answer, RowError) for answer in model.read(["good day"] * 63))
            assert model.trouble() is None
            model.read(["good day"])
            assert "so posts go on without an analysis: CUDA error 700" in str(model.trouble())
        read(model)
        assert model.trouble() is None


def test_no_more_of_a_model_is_made_ready_than_is_asked_for(tmp_path: Path) -> None:
    whole = Repository(published_bert(tmp_path, embedding=384, embedding_space="one").parent.parent).open(BERT)
    published(tmp_path)
    load = model_loader(settings(tmp_path), ["embedding", "unheard-of"])
    assert load(whole).tasks == {"embedding"}
    # What has none of it says what it has, and is refused for that.
    assert load(Repository(tmp_path).open(NAME)).tasks == {"sentiment"}
    with pytest.raises(ModelError, match="answers none of embedding"):
        open_model(settings(tmp_path), ["embedding"])


def test_a_model_that_reads_no_posts_is_refused(tmp_path: Path) -> None:
    published_bert(tmp_path, pairs=True)
    with pytest.raises(ModelError, match="answers none of sentiment, emotion, embedding"):
        open_model(settings(tmp_path, posts=BERT))


def test_embeddings_that_no_store_would_take_are_refused(tmp_path: Path) -> None:
    published_bert(tmp_path, embedding=32)
    with pytest.raises(ModelError, match="embeddings of 32 dimensions, and the document stores hold 384"):
        open_model(settings(tmp_path, posts=BERT))


def test_the_space_is_known_before_the_model_is_loaded(tmp_path: Path) -> None:
    published_bert(tmp_path, embedding=384, embedding_space="one")
    published(tmp_path)
    assert embedding_space(settings(tmp_path, posts=BERT)) == "one"
    with pytest.raises(ModelError, match=r"gives no embeddings: set models\.posts"):
        embedding_space(settings(tmp_path))
    with pytest.raises(ModelError, match="turned off"):
        embedding_space(settings(tmp_path, posts=""))


def test_models_may_be_turned_off() -> None:
    assert open_model(Settings(models=Models(posts=""))) is None
