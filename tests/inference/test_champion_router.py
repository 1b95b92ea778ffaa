"""The live router: what serves follows the aliases, under load, and each answer is of one version."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from groundswell.errors import ModelError
from groundswell.metrics import REGISTRY
from groundswell.records import Analysis, ModelRef
from inference.champion import Rules
from inference.champion_router import ChampionRouter
from inference.engine import Engine
from inference.promotion import point
from inference.repository import Repository
from inference.routing import FixedRouter, Share
from inference.rows import RowError
from tests.inference.following import (
    BIAS,
    OTHER,
    THIRD,
    beside,
    counted,
    following,
    metric,
    promote,
    serves,
)
from tests.inference.judged import TASK, read
from tests.inference.tiny import NAME, published, tiny_scores
from tests.inference.tiny_bert import NAME as BERT
from tests.inference.tiny_bert import published_bert
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("requests", "rules"),
    [
        pytest.param(10_000, Rules(), id="swaps"),
        pytest.param(2_000, Rules(canary=0.4, drift_rows=100, drift_limit=100, roll_back=True), id="canary and trials"),
    ],
)
def test_under_load_each_answer_is_of_one_version_and_no_request_fails(
    tmp_path: Path, requests: int, rules: Rules
) -> None:
    biases = [BIAS, OTHER, THIRD, (0.3, 0.3, 0.3), (0.0, 2.0, 0.0)]
    bias_of = {beside(tmp_path, bias).name: bias for bias in biases}
    versions = list(bias_of)
    promote(tmp_path, versions[0])
    point(Repository(tmp_path), NAME, "candidate", versions[-1])
    texts = ["good day", "bad", "not good", "the day", "", "unheard of"]
    expected = {(version, text): tiny_scores(text, bias=bias) for version, bias in bias_of.items() for text in texts}
    workers, swaps = 8, 20
    wrong: list[object] = []
    seen: set[str] = set()
    done = threading.Semaphore(0)

    def check(asked: list[str], answers: list[Analysis | RowError]) -> None:
        for text, answer in zip(asked, answers, strict=True):
            assert isinstance(answer, Analysis)
            wanted = expected[answer.model.version, text]
            found = answer.scores[TASK].scores
            assert all(abs(found[label] - wanted[label]) < 1e-5 for label in wanted), (text, answer)
            seen.add(answer.model.version)
        assert rules.canary or len({answer.model for answer in answers if isinstance(answer, Analysis)}) == 1

    def work(engine: Engine, number: int) -> None:
        for request in range(number, requests, workers):
            asked = [texts[(request + i) % len(texts)] for i in range(1 + request % 3)]
            try:
                check(asked, engine.submit(asked, [TASK]))
            except Exception as error:  # noqa: BLE001 - the boundary of a thread: whatever it is, it is wrong
                wrong.append(error)
            done.release()

    taken = counted("model_swaps_total")
    with following(tmp_path, rules=rules) as router, Engine(router) as engine:
        threads = [threading.Thread(target=work, args=(engine, number)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for swap in range(swaps):
            for _ in range(requests // (swaps + 1)):
                done.acquire()
            promote(tmp_path, versions[(swap + 1) % len(versions)])
            router.look()
        for thread in threads:
            thread.join()
        assert serves(router) == versions[swaps % len(versions)]
    assert wrong == []
    assert seen == set(versions)
    assert taken() == swaps


def test_names_the_version_in_use_and_no_other(tmp_path: Path) -> None:
    first, second = published(tmp_path).name, beside(tmp_path).name
    provider = "CPUExecutionProvider"
    with following(tmp_path) as router:
        assert metric("model_info", version=first, provider=provider) == 1
        promote(tmp_path, second)
        router.look()
        assert metric("model_info", version=first, provider=provider) == 0
        assert metric("model_info", version=second, provider=provider) == 1
    assert metric("model_info", version=second, provider=provider) == 0


def test_what_was_routed_stays_with_its_version(tmp_path: Path) -> None:
    first, second = published(tmp_path).name, beside(tmp_path).name
    with following(tmp_path) as router:
        (before,) = router.route(["good"], [TASK])
        promote(tmp_path, second)
        router.look()
        (after,) = router.route(["good"], [TASK])
        assert (before.reader.ref.version, after.reader.ref.version) == (first, second)
        (answer,) = read(before.reader, ["good day"])
        assert isinstance(answer, Analysis)
        assert answer.scores[TASK].scores == pytest.approx(tiny_scores("good day"), abs=1e-5)
        router.observe(before, [TASK], [answer])


def test_looks_by_itself(tmp_path: Path) -> None:
    published(tmp_path)
    with following(tmp_path, refresh=0.01) as router:
        second = published(tmp_path, bias=OTHER).name
        wait_until(lambda: serves(router) == second, 30, "the router to follow the alias")


def test_a_version_that_was_named_is_never_swapped_and_has_no_candidate(tmp_path: Path) -> None:
    first = published(tmp_path).name
    with following(tmp_path, {TASK: f"{NAME}@{first}"}, rules=Rules(canary=1.0)) as router:
        published(tmp_path, bias=OTHER)
        beside(tmp_path, THIRD, "candidate")
        router.look()
        assert [share.reader.ref.version for share in router.route(["good"], [TASK])] == [first]


def test_another_alias_than_champion_is_followed(tmp_path: Path) -> None:
    first, second = beside(tmp_path, BIAS, "stable").name, beside(tmp_path, OTHER, "champion").name
    with following(tmp_path, {TASK: f"{NAME}@stable"}) as router:
        assert serves(router) == first
        point(Repository(tmp_path), NAME, "stable", second)
        router.look()
        assert serves(router) == second


def test_each_reference_has_its_own_champion(tmp_path: Path) -> None:
    published(tmp_path)
    published_bert(tmp_path)
    with following(tmp_path, {TASK: NAME, "emotion": BERT, "embedding": f"{BERT}@champion"}) as router:
        assert router.tasks() == {TASK, "emotion", "embedding"}
        assert [share.reader.ref.name for share in router.route(["good"], ["emotion", "embedding"])] == [BERT]
        assert [share.reader.ref.name for share in router.route(["good"], [TASK])] == [NAME]
        for tasks in ([TASK, "emotion"], ["nli"], [TASK, "nli"], []):
            with pytest.raises(ModelError, match=r"no model answers .* together \(there: tiny@champion: sentiment; "):
                router.route(["good"], tasks)
        second = published_bert(tmp_path, 1, alias="next").name
        promote(tmp_path, second, BERT)
        router.look()
        assert router.serving()["emotion"] == router.serving()["embedding"] == ModelRef(BERT, second)
        assert router.serving()[TASK].name == NAME


def test_another_space_takes_over_and_is_told_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    published_bert(tmp_path, embedding_space="one")
    with following(tmp_path, {TASK: BERT, "embedding": BERT}) as router:
        second = published_bert(tmp_path, 1, alias="next", embedding_space="two").name
        promote(tmp_path, second, BERT)
        router.look()
        assert serves(router) == second
    assert "embeds in another space, two; that of" in caplog.text
    assert "groundswell embed" in caplog.text


EMBEDDED = {TASK: BERT, "embedding": BERT}


def readers(router: ChampionRouter, task: str = "embedding") -> list[str]:
    """The versions that serve a text, without shadows."""
    router.look()
    return [share.reader.ref.version for share in router.route(["good"], [task]) if not share.shadow]


def space_refusals() -> float:
    return REGISTRY.get_sample_value("groundswell_model_refusals_total", {"model": BERT, "cause": "space"}) or 0


def test_a_candidate_of_another_space_gets_no_share(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = published_bert(tmp_path, embedding_space="one").name
    published_bert(tmp_path, 1, alias="candidate", embedding_space="two")
    before = space_refusals()
    with following(tmp_path, EMBEDDED, rules=Rules(canary=1.0)) as router:
        assert readers(router) == readers(router) == [first]
        assert space_refusals() - before == 1
        assert "no search would find its share" in caplog.text
        third = published_bert(tmp_path, 2, alias="candidate", embedding_space="one").name
        assert readers(router) == [third]


def test_a_candidate_is_left_behind_by_a_champion_that_moves_the_space(tmp_path: Path) -> None:
    published_bert(tmp_path, embedding_space="one")
    candidate = published_bert(tmp_path, 1, alias="candidate", embedding_space="one").name
    with following(tmp_path, EMBEDDED, rules=Rules(canary=1.0)) as router:
        assert readers(router) == [candidate]
        third = published_bert(tmp_path, 2, alias="next", embedding_space="two").name
        promote(tmp_path, third, BERT)
        assert readers(router) == [third]


def test_where_nothing_is_embedded_a_candidate_may_have_any_space(tmp_path: Path) -> None:
    published_bert(tmp_path, embedding_space="one")
    candidate = published_bert(tmp_path, 1, alias="candidate", embedding_space="two").name
    with following(tmp_path, {TASK: BERT}, rules=Rules(canary=1.0)) as router:
        assert readers(router, TASK) == [candidate]


def test_going_back_by_itself_across_spaces_is_told_and_mixes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = published_bert(tmp_path, embedding_space="one").name
    tasks = [TASK, "embedding"]
    with following(tmp_path, EMBEDDED, rules=Rules(roll_back=True)) as router, Engine(router) as engine:

        def answer() -> tuple[str, str | None]:
            (found,) = engine.submit(["good day"], tasks)
            assert isinstance(found, Analysis)
            return found.model.version, found.embedding_space

        second = published_bert(tmp_path, 1, alias="next", embedding_space="two").name
        promote(tmp_path, second, BERT)
        router.look()
        assert answer() == (second, "two")
        caplog.clear()
        failing = [f"good {number}" for number in range(200)]
        for share in router.route(failing, tasks):
            answers: list[Analysis | RowError] = [RowError("device", "as the test wants it")] * len(share.positions)
            if share.shadow:
                answers = engine_answers(share, tasks)
            router.observe(share, tasks, answers)
        assert answer() == (first, "one")
        assert router.embedding_space() == "one"
        assert "embeds in another space, one; that of" in caplog.text
        router.look()
        assert Repository(tmp_path).aliases(BERT)["champion"] == first


def engine_answers(share: Share, tasks: list[str]) -> list[Analysis | RowError]:
    """What a share's version says of good days."""
    with Engine(FixedRouter(share.reader)) as engine:
        return engine.submit(["good day"] * len(share.positions), tasks)


def test_closing_twice_is_harmless_and_nothing_takes_over_afterwards(tmp_path: Path) -> None:
    first = published(tmp_path).name
    with following(tmp_path, refresh=60) as router:
        router.close()
        published(tmp_path, bias=OTHER)
        router.look()
        assert serves(router) == first
