"""The champion of one reference: roll back by hand and by rule, drift, and the candidate beside it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from groundswell.metrics import REGISTRY
from groundswell.records import Analysis
from inference import alias_watch
from inference.champion import Rules
from inference.engine import Engine
from inference.manifest import MODEL, Reference
from inference.promotion import point, roll_back
from inference.repository import Repository
from inference.rows import RowError
from tests.inference.following import (
    BIAS,
    OTHER,
    THIRD,
    Clock,
    CountedLoads,
    ask,
    beside,
    counted,
    following,
    gained,
    metric,
    promote,
    refusals,
    serves,
    set_aliases,
)
from tests.inference.judged import TASK, read, reference, stream
from tests.inference.tiny import NAME, published, rewrite, tiny_scores


def test_going_back_by_hand_takes_the_version_from_memory(tmp_path: Path) -> None:
    first = published(tmp_path).name
    loads, swaps, returns = CountedLoads(), counted("model_swaps_total"), counted("model_rollbacks_total")
    with following(tmp_path, load=loads, rules=Rules(roll_back=True, canary=0.5)) as router:
        second = published(tmp_path, bias=OTHER).name
        router.look()
        for version in (first, second, first):
            promote(tmp_path, version)
            router.look()
            assert serves(router) == version
        assert loads.loaded == [first, second]
        assert (swaps(), returns()) == (1, 3)


def test_one_previous_champion_is_kept_and_no_more(tmp_path: Path) -> None:
    versions = [published(tmp_path, bias=bias).name for bias in (BIAS, OTHER, THIRD)]
    promote(tmp_path, versions[0])
    loads = CountedLoads()
    with following(tmp_path, load=loads) as router:
        for version in (versions[1], versions[2], versions[0]):
            promote(tmp_path, version)
            router.look()
    assert loads.loaded == [*versions, versions[0]]


def test_who_goes_back_does_not_get_what_was_left_as_a_candidate(tmp_path: Path) -> None:
    first = published(tmp_path).name
    with following(tmp_path, rules=Rules(canary=1.0)) as router:
        second = published(tmp_path, bias=OTHER).name
        router.look()
        set_aliases(tmp_path, msgspec.json.encode({"champion": second, "candidate": second}))
        router.look()
        set_aliases(tmp_path, msgspec.json.encode({"champion": first, "candidate": second}))
        router.look()
        router.look()
        assert [share.reader.ref.version for share in router.route(["good"], [TASK])] == [first]
        set_aliases(tmp_path, msgspec.json.encode({"champion": first}))
        router.look()
        point(Repository(tmp_path), NAME, "candidate", second)
        router.look()
        assert router.route(["good"], [TASK])[0].reader.ref.version == second, "but may ask for it"


RULES = Rules(drift_rows=400, roll_back=True)
#: Says "positive" of everything.
ONE_SIDED = (0.0, 0.0, 8.0)


def validated(root: Path) -> dict[str, Reference]:
    """What the sound model says of its validation data."""
    with following(root) as router:
        return {TASK: reference(ask(router, stream(1, 400)))}


def test_the_rule_goes_back_to_the_champion_before_and_the_alias_follows(tmp_path: Path) -> None:
    first = published(tmp_path).name
    told = validated(tmp_path)
    clock, returns, before = Clock(), counted("model_rollbacks_total"), refusals()
    loads = CountedLoads()
    with following(tmp_path, load=loads, rules=RULES, clock=clock) as router:
        bad = published(tmp_path, bias=ONE_SIDED, reference=told).name
        router.look()
        answers = ask(router, stream(2, 1_000))
        by = [answer.model.version for answer in answers if isinstance(answer, Analysis)]
        assert by == [bad] * 400 + [first] * 600
        assert Repository(tmp_path).aliases(NAME)["champion"] == bad
        router.look()
        assert Repository(tmp_path).aliases(NAME) == {"champion": first}
        for _ in range(3):
            router.look()
        assert serves(router) == first
        assert returns() == 1
        assert gained(before) == {"drifts": 1}
        # Whoever wants it in spite of that has it tried again.
        promote(tmp_path, bad)
        router.look()
        assert serves(router) == bad
        ask(router, stream(2, 400))
        assert serves(router) == first
    assert loads.loaded == [first, bad, bad]


def test_under_load_a_bad_champion_falls_once(tmp_path: Path) -> None:
    first = published(tmp_path).name
    told = validated(tmp_path)
    returns, before = counted("model_rollbacks_total"), refusals()
    with following(tmp_path, rules=RULES) as router, Engine(router) as engine:
        bad = published(tmp_path, bias=ONE_SIDED, reference=told).name
        router.look()

        def work(number: int) -> list[str]:
            answers = [engine.submit([text], [TASK])[0] for text in stream(number, 200)]
            return [answer.model.version for answer in answers if isinstance(answer, Analysis)]

        with ThreadPoolExecutor(4) as threads:
            versions = list(threads.map(work, range(4)))
        assert serves(router) == first
    for found in versions:
        back = found.index(first)
        assert found == [bad] * back + [first] * (200 - back)
    assert returns() == 1
    assert gained(before) == {"drifts": 1}


def test_a_bad_champion_is_not_taken_up_again_where_the_alias_cannot_follow(tmp_path: Path) -> None:
    first = published(tmp_path).name
    told = validated(tmp_path)

    class ReadOnly(Repository):
        def locked(self, name: str) -> Any:
            raise OSError(30, "Read-only file system")

    with following(ReadOnly(tmp_path), rules=RULES) as router:
        bad = published(tmp_path, bias=ONE_SIDED, reference=told).name
        router.look()
        ask(router, stream(2, 400))
        for _ in range(3):
            router.look()
            assert serves(router) == first
        assert Repository(tmp_path).aliases(NAME)["champion"] == bad


def test_the_alias_follows_as_soon_as_it_can_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = published(tmp_path).name
    told = validated(tmp_path)

    class Blocked(Repository):
        blocked = True

        def locked(self, name: str) -> Any:
            if self.blocked:
                raise OSError(28, "No space left on device")
            return super().locked(name)

    repository = Blocked(tmp_path)
    with following(repository, rules=RULES) as router:
        bad = published(tmp_path, bias=ONE_SIDED, reference=told).name
        router.look()
        ask(router, stream(2, 400))
        for _ in range(3):
            router.look()
        assert repository.aliases(NAME)["champion"] == bad
        assert caplog.text.count("could not be set back") == 1
        repository.blocked = False
        router.look()
        assert repository.aliases(NAME) == {"champion": first}
        assert serves(router) == first


def test_an_alias_that_moved_on_is_left_alone(tmp_path: Path) -> None:
    published(tmp_path)
    told = validated(tmp_path)
    with following(tmp_path, rules=RULES) as router:
        published(tmp_path, bias=ONE_SIDED, reference=told)
        router.look()
        ask(router, stream(2, 400))
        third = published(tmp_path, bias=THIRD, reference=told).name
        router.look()
        assert serves(router) == third
        assert Repository(tmp_path).aliases(NAME)["champion"] == third


@pytest.mark.parametrize("rules", [RULES, RULES._replace(roll_back=False)])
def test_a_change_of_the_world_is_no_reason_to_go_back(tmp_path: Path, rules: Rules) -> None:
    published(tmp_path)
    told = validated(tmp_path)
    returns = counted("model_rollbacks_total")
    with following(tmp_path, rules=rules) as router:
        second = published(tmp_path, bias=(0.1, 0.4, 0.0), reference=told).name
        router.look()
        ask(router, stream(2, 1_000, good=0.02, bad=0.95))
        assert serves(router) == second
        assert metric("model_drift", task=TASK, of="classes") > rules.drift_limit
    assert returns() == 0


def test_without_the_rule_a_bad_champion_stays_and_nothing_is_read_twice(tmp_path: Path) -> None:
    published(tmp_path)
    told = validated(tmp_path)
    with following(tmp_path, rules=RULES._replace(roll_back=False)) as router:
        bad = published(tmp_path, bias=ONE_SIDED, reference=told).name
        router.look()
        assert len(router.route(["good", "bad"], [TASK])) == 1
        ask(router, stream(2, 1_000))
        assert serves(router) == bad
        assert metric("model_drift", task=TASK, of="classes") > 1


def test_drift_is_measured_against_the_champion_before_where_the_manifest_tells_nothing(tmp_path: Path) -> None:
    published(tmp_path)
    rules = Rules(drift_rows=200)
    with following(tmp_path, rules=rules) as router:
        ask(router, stream(1, 200))
        labels = {"model": NAME, "task": TASK, "of": "classes"}
        assert REGISTRY.get_sample_value("groundswell_model_drift", labels) is None
        published(tmp_path, bias=ONE_SIDED)
        router.look()
        ask(router, stream(2, 200))
        assert metric("model_drift", task=TASK, of="classes") > 1
        roll_back(Repository(tmp_path), NAME)
        router.look()
        assert REGISTRY.get_sample_value("groundswell_model_drift", labels) is None


#: Says "negative" of what the others find neutral.
GLOOMY = (3.0, 0.0, 0.0)


def test_the_candidate_serves_its_share_and_is_compared(tmp_path: Path) -> None:
    first, second = published(tmp_path).name, beside(tmp_path, GLOOMY, "candidate").name
    rows = metric("canary_rows_total")
    texts = stream(3, 1_000)
    with following(tmp_path, rules=Rules(canary=0.3, drift_rows=200)) as router:
        answers = ask(router, texts)
        by = [answer.model.version for answer in answers if isinstance(answer, Analysis)]
        assert len(by) == 1_000
        assert set(by) == {first, second}
        assert 230 <= by.count(second) <= 370
        again = [answer.model.version for answer in ask(router, texts, size=7) if isinstance(answer, Analysis)]
        assert again == by
        assert metric("canary_rows_total") - rows == 2 * by.count(second)
        same = [
            max(tiny_scores(text), key=tiny_scores(text).__getitem__)
            == max(tiny_scores(text, bias=GLOOMY), key=tiny_scores(text, bias=GLOOMY).__getitem__)
            for text, version in zip(texts, by, strict=True)
            if version == second
        ]
        assert 0 < metric("canary_agreement", task=TASK) < 1
        assert metric("canary_agreement", task=TASK) == pytest.approx(sum(same) / len(same), abs=0.1)
        assert -1 < metric("canary_shift", task=TASK) < 0
        point(Repository(tmp_path), NAME, "champion", second)
        router.look()
        assert serves(router) == second
        assert len(router.route(texts, [TASK])) == 1
        labels = {"model": NAME, "task": TASK}
        assert REGISTRY.get_sample_value("groundswell_canary_agreement", labels) is None


def test_a_candidate_that_becomes_champion_is_not_loaded_again(tmp_path: Path) -> None:
    first, second = published(tmp_path).name, beside(tmp_path, OTHER, "candidate").name
    loads = CountedLoads()
    with following(tmp_path, load=loads, rules=Rules(canary=0.1)) as router:
        promote(tmp_path, second)
        router.look()
        assert serves(router) == second
    assert loads.loaded == [first, second]


def test_no_share_no_candidate_and_no_second_load(tmp_path: Path) -> None:
    first = published(tmp_path).name
    beside(tmp_path, OTHER, "candidate")
    loads = CountedLoads()
    with following(tmp_path, load=loads) as router:
        router.look()
        assert len(router.route(["good"] * 10, [TASK])) == 1
    assert loads.loaded == [first]


def test_a_candidate_comes_changes_and_goes(tmp_path: Path) -> None:
    first = published(tmp_path).name
    with following(tmp_path, rules=Rules(canary=1.0)) as router:

        def reads() -> list[tuple[str, bool]]:
            router.look()
            return [(share.reader.ref.version, share.shadow) for share in router.route(["good"], [TASK])]

        assert reads() == [(first, False)]
        for bias in (OTHER, THIRD):
            candidate = beside(tmp_path, bias, "candidate").name
            assert reads() == [(candidate, False), (first, True)]
        set_aliases(tmp_path, b"torn")
        assert reads() == [(candidate, False), (first, True)]
        set_aliases(tmp_path, msgspec.json.encode({"champion": first}))
        assert reads() == [(first, False)]


def test_a_candidate_that_must_not_serve_gets_no_share(tmp_path: Path) -> None:
    first, bad = published(tmp_path).name, beside(tmp_path, OTHER, "candidate")
    rewrite(bad, MODEL, lambda _: b"not a graph")
    before = refusals()
    with following(tmp_path, rules=Rules(canary=1.0)) as router:
        router.look()
        assert [share.reader.ref.version for share in router.route(["good"], [TASK])] == [first]
    assert gained(before) == {alias_watch.MODEL: 1}


def test_a_candidate_that_fails_loses_its_share(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = published(tmp_path).name, beside(tmp_path, OTHER, "candidate").name
    errors, before = metric("canary_errors_total"), refusals()
    with following(tmp_path, rules=Rules(canary=1.0)) as router:
        for number in range(17):
            candidate, shadow = router.route([f"good {number}"], [TASK])
            router.observe(candidate, [TASK], [RowError("device", "as the test wants it")])
            router.observe(shadow, [TASK], read(shadow.reader, ["good"]))
        for _ in range(3):
            router.look()
            assert [share.reader.ref.version for share in router.route(["good"], [TASK])] == [first]
        assert metric("canary_errors_total") - errors == 17
        assert gained(before) == {"fails": 1}
        assert f"{NAME}@{second} loses its share as a candidate" in caplog.text
        third = beside(tmp_path, THIRD, "candidate").name
        router.look()
        assert router.route(["good"], [TASK])[0].reader.ref.version == third


def test_canary_and_trial_go_together(tmp_path: Path) -> None:
    first = published(tmp_path).name
    third = beside(tmp_path, THIRD, "candidate").name
    with following(tmp_path, rules=Rules(canary=0.5, drift_rows=100, roll_back=True)) as router:
        second = published(tmp_path, bias=OTHER).name
        router.look()
        texts = stream(5, 100)
        shares = router.route(texts, [TASK])
        reads = {(share.reader.ref.version, share.shadow) for share in shares}
        assert reads == {(third, False), (second, True), (second, False), (first, True)}
        answers = ask(router, texts)
        assert {answer.model.version for answer in answers if isinstance(answer, Analysis)} == {second, third}
