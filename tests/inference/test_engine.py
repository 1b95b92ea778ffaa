"""The engine on tiny real models, and on a reader that does what a test tells it where timing or failure matters."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell.errors import ModelError
from groundswell.metrics import REGISTRY
from groundswell.records import Analysis
from inference.engine import CHUNK, Engine
from inference.limits import Lane, Limits
from inference.model import Model
from inference.repository import Repository
from inference.routing import FixedRouter, Share
from inference.rows import CANCELLED, DEVICE, NOT_FINITE, Outputs, Row, RowError, Text
from inference.session import DeviceError
from tests.inference.engines import open_engine
from tests.inference.odd_texts import ODD_TEXTS
from tests.inference.tiny import NAME, NOTHING, POISON, published, tiny_scores
from tests.inference.words import Words, label
from tests.waiting import wait_until

TASKS = ["sentiment"]
SMALL = Limits(batch_rows=8, batch_tokens=64, linger=0.001)


@contextmanager
def engine_of(*readers: Words, limits: Limits = SMALL) -> Iterator[Engine]:
    engine = Engine(FixedRouter(*readers), limits)
    try:
        yield engine
    finally:
        for reader in readers:
            reader.gate.set()
        engine.close()


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(count) as pool:
        yield pool


def begun(reader: Words, batches: int) -> None:
    """Wait until the reader has been given so many batches."""
    wait_until(lambda: len(reader.seen) >= batches, 30, f"batch {batches} on the device", interval=0.001)


def queued(engine: Engine, lane: Lane, rows: int) -> None:
    """Wait until so many rows wait in a lane."""
    wait_until(lambda: engine._scheduler.waiting(lane) == rows, 30, f"{rows} rows in the queue", interval=0.001)


# On a real model


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    root = tmp_path_factory.mktemp("models")
    published(root)
    with open_engine(root, NAME, SMALL) as engine:
        yield engine


def scored(answer: Analysis | RowError) -> dict[str, float]:
    assert isinstance(answer, Analysis)
    found = answer.scores["sentiment"]
    assert found.label == max(found.scores, key=found.scores.__getitem__)
    assert found.score == found.scores[found.label]
    return found.scores


def test_answers_each_text_in_order_with_labels_by_name(engine: Engine) -> None:
    texts = ["good day", "bad", "the day", "not good", "", "unheard of"]
    answers = engine.submit(texts, TASKS)
    assert [scored(answer) for answer in answers] == [pytest.approx(tiny_scores(text), abs=1e-5) for text in texts]
    assert [label(answer) for answer in answers[:3]] == ["positive", "negative", "neutral"]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["good", "bad", "not", "day", POISON, NOTHING]), max_size=5).map(" ".join)))
def test_poison_takes_no_neighbour_with_it(engine: Engine, texts: list[str]) -> None:
    for text, answer in zip(texts, engine.submit(texts, TASKS), strict=True):
        if POISON in text:
            assert isinstance(answer, RowError)
            assert answer.cause == DEVICE
            assert "out of data bounds" in answer.detail
        elif NOTHING in text:
            assert isinstance(answer, RowError)
            assert answer.cause == NOT_FINITE
        else:
            assert scored(answer) == pytest.approx(tiny_scores(text), abs=1e-5)


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_texts_have_an_answer_and_change_no_other(engine: Engine, text: str) -> None:
    first, odd, last = engine.submit(["good day", text, "bad"], TASKS)
    assert sum(scored(odd).values()) == pytest.approx(1, abs=1e-5)
    assert scored(first) == pytest.approx(tiny_scores("good day"), abs=1e-5)
    assert scored(last) == pytest.approx(tiny_scores("bad"), abs=1e-5)


def test_says_what_was_truncated(engine: Engine) -> None:
    before = REGISTRY.get_sample_value("groundswell_inference_truncated_total", {"model": NAME}) or 0
    whole, cut = engine.submit(["good", "good " * 10_000], TASKS)
    assert isinstance(whole, Analysis)
    assert isinstance(cut, Analysis)
    assert (whole.truncated, cut.truncated) == (False, True)
    assert REGISTRY.get_sample_value("groundswell_inference_truncated_total", {"model": NAME}) == before + 1


def test_threads_share_an_engine(engine: Engine) -> None:
    texts = ["good day", "bad", POISON, "the day"] * 50
    expected = [label(answer) for answer in engine.submit(texts, TASKS)]
    with threads(8) as pool:
        found = list(pool.map(lambda _: [label(answer) for answer in engine.submit(texts, TASKS)], range(8)))
    assert found == [expected] * 8


# What is asked and how


def test_nothing_is_asked_and_nothing_answered() -> None:
    with engine_of(Words()) as engine:
        assert engine.submit([], TASKS) == []


def test_what_no_model_serves_is_refused_and_others_go_on() -> None:
    with engine_of(Words(), Words("two", ["emotion"])) as engine:
        with pytest.raises(ModelError, match="name at least one task"):
            engine.submit(["a"], [])
        with pytest.raises(ModelError, match="no model answers sentiment, emotion together"):
            engine.submit(["a"], ["sentiment", "emotion"])
        with pytest.raises(ModelError, match="it reads single texts"):
            engine.submit([*(["a"] * CHUNK), ("a", "b")], TASKS)
        assert engine.tasks() == {"sentiment", "emotion"}
        assert [label(answer) for answer in engine.submit(["a", "b"], ["emotion"])] == ["a", "b"]
        assert [engine._scheduler.waiting(lane) for lane in Lane] == [0, 0]


def test_without_a_model_nothing_is_served() -> None:
    with engine_of() as engine, pytest.raises(ModelError, match="there: no model"):
        engine.submit(["a"], TASKS)


def test_more_texts_than_may_wait_are_read_in_pieces_and_in_order() -> None:
    reader = Words()
    limits = Limits(batch_rows=64, queue_rows=100, linger=0.0)
    texts = [f"w{number} x{number % 7}" for number in range(5000)]
    most = 0
    with engine_of(reader, limits=limits) as engine:
        offer = engine._scheduler.offer

        def watched(lane: Lane, *rest: object) -> None:
            nonlocal most
            offer(lane, *rest)  # type: ignore[arg-type]
            most = max(most, engine._scheduler.waiting(lane))

        engine._scheduler.offer = watched  # type: ignore[method-assign, assignment]
        assert [label(answer) for answer in engine.submit(texts, TASKS)] == texts
    assert most <= 100


def test_a_huge_submit_is_encoded_no_further_than_the_queue_reaches() -> None:
    reader = Words()
    with engine_of(reader, limits=Limits(batch_rows=8, queue_rows=CHUNK, linger=0.0)) as engine, threads(1) as pool:
        reader.gate.clear()
        asked = pool.submit(engine.submit, ["a"] * 100 * CHUNK, TASKS)
        begun(reader, 1)
        queued(engine, Lane.LIVE, CHUNK)
        assert reader.encoded <= 3 * CHUNK
        reader.gate.set()
        assert len(asked.result(60)) == 100 * CHUNK


def test_several_submits_share_a_batch() -> None:
    reader = Words()
    with engine_of(reader, limits=Limits(linger=0.0)) as engine, threads(5) as pool:
        reader.gate.clear()
        first = pool.submit(engine.submit, ["first"], TASKS)
        begun(reader, 1)
        others = [pool.submit(engine.submit, [f"w{number}"], TASKS) for number in range(4)]
        queued(engine, Lane.LIVE, 4)
        reader.gate.set()
        assert [label(answer) for asked in (first, *others) for answer in asked.result(30)] == [
            "first",
            *(f"w{number}" for number in range(4)),
        ]
    assert [len(batch) for batch in reader.seen] == [1, 4]


def test_rows_of_different_models_or_outputs_never_share_a_batch() -> None:
    one, two = Words("one", ["sentiment", "emotion"]), Words("two", ["nli"])
    with engine_of(one, two, limits=Limits(linger=0.0)) as engine, threads(6) as pool:
        one.gate.clear()
        two.gate.clear()
        held = pool.submit(engine.submit, ["held"], ["sentiment"])
        begun(one, 1)
        asked = [
            pool.submit(engine.submit, [f"{task}{number}" for number in range(5)], [task])
            for task in ("sentiment", "emotion", "nli")
        ]
        queued(engine, Lane.LIVE, 15)
        one.gate.set()
        two.gate.set()
        held.result(30)
        for future in asked:
            future.result(30)
    batches = [{word.rstrip("01234") for word in batch} for batch in [*one.seen[1:], *two.seen]]
    assert sorted(batches, key=str) == [{"emotion"}, {"nli"}, {"sentiment"}]


# Lanes


def test_live_texts_go_before_backfill_and_are_not_held_by_its_full_queue() -> None:
    reader = Words()
    limits = Limits(batch_rows=4, queue_rows=16, linger=0.0)
    with engine_of(reader, limits=limits) as engine, threads(3) as pool:
        reader.gate.clear()
        back = pool.submit(engine.submit, [f"b{number}" for number in range(64)], TASKS, Lane.BACKFILL)
        begun(reader, 1)
        queued(engine, Lane.BACKFILL, 16)
        live = pool.submit(engine.submit, ["l1", "l2"], TASKS, Lane.LIVE)
        queued(engine, Lane.LIVE, 2)
        reader.gate.set()
        assert [label(answer) for answer in live.result(30)] == ["l1", "l2"]
        assert len(back.result(30)) == 64
    assert reader.seen[1] == ["l1", "l2"]


def test_who_is_held_gets_room_in_turn() -> None:
    reader = Words()
    with engine_of(reader, limits=Limits(batch_rows=4, queue_rows=4, linger=0.0)) as engine, threads(4) as pool:
        reader.gate.clear()
        asked: list[Future[list[Analysis | RowError]]] = []
        for number in range(4):
            asked.append(pool.submit(engine.submit, [f"{number}"] * 12, TASKS))
            wait_until(
                lambda: len(engine._turns[Lane.LIVE]) == len(asked), 30, "the submit in the queue", interval=0.001
            )
        reader.gate.set()
        for future in asked:
            assert len(future.result(30)) == 12
    order = [word for batch in reader.seen for word in batch]
    assert order == sorted(order)


# Poison


def test_a_text_of_many_windows_with_one_poison_is_one_error() -> None:
    reader = Words()
    texts = ["fine words here", "one bad word among many words", "last"]
    with engine_of(reader) as engine:
        first, poison, last = engine.submit(texts, TASKS)
    assert poison == RowError(DEVICE, "a bad word")
    assert [label(first), label(last)] == [texts[0], texts[2]]


@given(
    st.lists(st.sampled_from(["good", "bad", "good words", "bad words", "ok bad ok", "longer words", ""]), max_size=40)
)
@settings(deadline=None, max_examples=50)
def test_none_one_many_or_all_poison(texts: list[str]) -> None:
    with engine_of(Words()) as engine:
        answers = engine.submit(texts, TASKS)
    assert [label(answer) for answer in answers] == [DEVICE if "bad" in text else text or "-" for text in texts]


@pytest.mark.parametrize("lane", Lane)
def test_all_poison(lane: Lane) -> None:
    with engine_of(Words()) as engine:
        assert {label(answer) for answer in engine.submit(["bad"] * 300, TASKS, lane)} == {DEVICE}


def test_whatever_a_reader_raises_is_about_its_rows() -> None:
    class Odd(Words):
        def run(self, rows: Sequence[Row], length: int, outputs: Sequence[str]) -> Outputs:
            if any(str(row) == "raise" for row in rows):
                raise MemoryError
            found = super().run(rows, length, outputs)
            return {name: found[name][:-1] for name in found} if "short" in map(str, rows) else found

    with engine_of(Odd()) as engine:
        assert engine.submit(["fine", "raise", "short"], TASKS)[1:] == [
            RowError(DEVICE, "MemoryError"),
            RowError(DEVICE, "sentiment has 0 lines for 1 rows"),
        ]
        assert label(engine.submit(["fine"], TASKS)[0]) == "fine"


def test_failing_backfill_does_not_hold_up_live_texts() -> None:
    reader = Words()
    with engine_of(reader, limits=Limits(batch_rows=64, linger=0.0)) as engine, threads(2) as pool:
        reader.gate.clear()
        back = pool.submit(engine.submit, ["bad"] * 64, TASKS, Lane.BACKFILL)
        begun(reader, 1)
        live = pool.submit(engine.submit, ["live"], TASKS)
        queued(engine, Lane.LIVE, 1)
        reader.gate.set()
        assert [label(answer) for answer in live.result(30)] == ["live"]
        assert {label(answer) for answer in back.result(30)} == {DEVICE}
    assert ["live"] in reader.seen[1:3]


# Cancellation and the end


def test_what_is_cancelled_leaves_the_queue_and_is_answered_so() -> None:
    reader = Words()
    cancelled = threading.Event()
    with engine_of(reader, limits=Limits(batch_rows=4, queue_rows=3 * CHUNK, linger=0.0)) as engine, threads(2) as pool:
        reader.gate.clear()
        other = pool.submit(engine.submit, ["other"], TASKS)
        begun(reader, 1)
        asked = pool.submit(engine.submit, ["a"] * 10 * CHUNK, TASKS, Lane.LIVE, cancelled)
        queued(engine, Lane.LIVE, 3 * CHUNK)
        cancelled.set()
        assert asked.result(30) == [RowError(CANCELLED, "the submit was cancelled")] * 10 * CHUNK
        assert engine._scheduler.waiting(Lane.LIVE) == 0
        reader.gate.set()
        assert [label(answer) for answer in other.result(30)] == ["other"]
    assert reader.seen == [["other"]]


def test_what_was_answered_before_it_was_cancelled_stays_answered() -> None:
    reader = Words()
    cancelled = threading.Event()
    with engine_of(reader, limits=Limits(batch_rows=CHUNK, linger=0.0)) as engine, threads(1) as pool:
        run = reader.run

        def first_only(rows: Sequence[Row], length: int, outputs: Sequence[str]) -> Outputs:
            if len(reader.seen) == 1:
                reader.gate.clear()
            return run(rows, length, outputs)

        reader.run = first_only  # type: ignore[method-assign]
        asked = pool.submit(engine.submit, ["a"] * CHUNK + ["b"] * CHUNK, TASKS, Lane.LIVE, cancelled)
        begun(reader, 2)
        cancelled.set()
        assert [label(answer) for answer in asked.result(30)] == ["a"] * CHUNK + [CANCELLED] * CHUNK


def test_close_lets_the_device_finish_and_wakes_everyone() -> None:
    reader = Words()
    limits = Limits(batch_rows=4, queue_rows=8, linger=0.0)
    with engine_of(reader, limits=limits) as engine, threads(4) as pool:
        reader.gate.clear()
        on_device = pool.submit(engine.submit, ["a"] * 4, TASKS)
        begun(reader, 1)
        waiting = pool.submit(engine.submit, ["b"] * 8, TASKS)
        queued(engine, Lane.LIVE, 8)
        held = pool.submit(engine.submit, ["c"] * 8, TASKS)
        wait_until(lambda: engine._turns[Lane.LIVE], 30, "the submit that is held", interval=0.001)
        closing = pool.submit(engine.close)
        with pytest.raises(ModelError, match="closed"):
            held.result(30)
        assert not closing.done()
        reader.gate.set()
        closing.result(30)
        assert [label(answer) for answer in on_device.result(30)] == ["a"] * 4
        with pytest.raises(ModelError, match="closed"):
            waiting.result(30)
        with pytest.raises(ModelError, match="closed"):
            engine.submit(["d"], TASKS)
        engine.close()
    assert not engine._thread.is_alive()
    assert reader.seen == [["a"] * 4]


def test_a_model_in_use_is_named_until_the_engine_is_closed() -> None:
    info = {"model": "named", "version": "1", "provider": "none"}
    with engine_of(Words("named")):
        assert REGISTRY.get_sample_value("groundswell_model_info", info) == 1
    assert REGISTRY.get_sample_value("groundswell_model_info", info) is None


# Shares


class Split(FixedRouter):
    """Every third text to the second reader; the third reads all, in the shadow."""

    def __init__(self, *readers: Words) -> None:
        super().__init__(*readers)
        self.readers = readers
        self.seen: list[tuple[str, list[str]]] = []

    def route(self, texts: Sequence[Text], tasks: Collection[str]) -> list[Share]:
        every = range(len(texts))
        one, two, shadow = self.readers
        return [
            Share(one, [place for place in every if place % 3]),
            Share(two, every[::3]),
            Share(shadow, every, shadow=True),
        ]

    def observe(self, share: Share, tasks: Collection[str], answers: Sequence[Analysis | RowError]) -> None:
        self.seen.append((share.reader.ref.name, [label(answer) for answer in answers]))


def test_each_text_is_answered_by_its_share_and_the_router_hears_of_all() -> None:
    readers = [Words(name) for name in ("split-one", "split-two", "split-shadow")]
    router = Split(*readers)
    texts = [f"w{number} bad" if number % 5 == 4 else f"w{number}" for number in range(1000)]
    with Engine(router, SMALL) as engine:
        answers = engine.submit(texts, TASKS)
    expected = [DEVICE if number % 5 == 4 else f"w{number}" for number in range(1000)]
    assert [label(answer) for answer in answers] == expected
    by = [answer.model.name if isinstance(answer, Analysis) else None for answer in answers]
    assert by == [None if number % 5 == 4 else "split-one" if number % 3 else "split-two" for number in range(1000)]
    assert router.seen == [
        ("split-one", [said for number, said in enumerate(expected) if number % 3]),
        ("split-two", expected[::3]),
        ("split-shadow", expected),
    ]
    counted = {
        (name, kind): REGISTRY.get_sample_value(f"groundswell_inference_{kind}_total", {"model": name}) or 0
        for name in ("split-one", "split-two", "split-shadow")
        for kind in ("rows", "errors")
    }
    failed_two = sum(said == DEVICE for said in expected[::3])
    assert counted == {
        ("split-one", "rows"): 800 - (334 - failed_two),
        ("split-one", "errors"): 200 - failed_two,
        ("split-two", "rows"): 334 - failed_two,
        ("split-two", "errors"): failed_two,
        ("split-shadow", "rows"): 0,
        ("split-shadow", "errors"): 0,
    }


class Fussy(Words):
    """Fails on words that others can read, too."""

    def run(self, rows: Sequence[Row], length: int, outputs: Sequence[str]) -> Outputs:
        if any("odd" in str(row) for row in rows):
            raise DeviceError("an odd word")
        return super().run(rows, length, outputs)


@pytest.mark.parametrize("shadow_first", [False, True])
def test_what_the_serving_version_cannot_read_has_the_shadow_s_answer(shadow_first: bool) -> None:
    new, old = Fussy("stand-in-new"), Words("stand-in-old")
    seen: list[tuple[str, list[str]]] = []

    class Canary(FixedRouter):
        def route(self, texts: Sequence[Text], tasks: Collection[str]) -> list[Share]:
            shares = [Share(new, range(1, len(texts))), Share(old, range(len(texts)), shadow=True), Share(old, [0])]
            return shares[::-1] if shadow_first else shares

        def observe(self, share: Share, tasks: Collection[str], answers: Sequence[Analysis | RowError]) -> None:
            seen.append((share.reader.ref.name, [label(answer) for answer in answers]))

    def errors() -> float:
        return REGISTRY.get_sample_value("groundswell_inference_errors_total", {"model": "stand-in-new"}) or 0

    before = errors()
    with Engine(Canary(new, old), SMALL) as engine:
        answers = engine.submit(["odd", "fine", "odd", "bad"], TASKS)
    assert [label(answer) for answer in answers] == ["odd", "fine", "odd", DEVICE]
    by = [answer.model.name if isinstance(answer, Analysis) else None for answer in answers]
    assert by == ["stand-in-old", "stand-in-new", "stand-in-old", None]
    # The router hears what the versions themselves said.
    assert ("stand-in-new", ["fine", DEVICE, DEVICE]) in seen
    assert errors() - before == 1


# Figures


def test_counts_tokens_batches_and_waits_by_lane() -> None:
    def now(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"groundswell_inference_{name}", labels) or 0

    read: dict[str, Callable[[], float]] = {
        "text": lambda: now("tokens_total", kind="text"),
        "padding": lambda: now("tokens_total", kind="padding"),
        "batches": lambda: now("batch_seconds_count", lane="backfill"),
        "rows": lambda: now("batch_rows_sum", lane="backfill"),
        "waits": lambda: now("wait_seconds_count", lane="backfill"),
    }
    before = {name: value() for name, value in read.items()}
    with engine_of(Words(), limits=Limits(buckets=(8,), linger=0.0)) as engine:
        engine.submit(["good day", "words"], TASKS, Lane.BACKFILL)
        assert now("queued_rows", lane="backfill") == 0
    found = {name: value() - before[name] for name, value in read.items()}
    assert found == {"text": 12, "padding": 12, "batches": 1, "rows": 3, "waits": 1}


# All at once


@pytest.mark.parametrize("seed", range(3))
def test_threads_lanes_cancellations_and_poison_all_at_once(tmp_path: Path, seed: int) -> None:
    """Whatever happens around it, each text has its own answer, or the error that is due, once."""
    published(tmp_path)
    real = Model(Repository(tmp_path).open(NAME), threads=1)
    words = Words("words", ["emotion"])
    limits = Limits(batch_rows=16, batch_tokens=256, queue_rows=200, linger=0.001)
    cancelled = [threading.Event() for _ in range(4)]

    def work(number: int) -> Counter[str]:
        rng = random.Random(100 * seed + number)
        said: Counter[str] = Counter()
        for _ in range(12):
            lane = rng.choice(list(Lane))
            flag = cancelled[number % 4] if number >= 4 else None
            vocabulary = ["good", "bad", "not", "day", "the", POISON if rng.random() < 0.3 else "good"]
            texts = [
                " ".join(rng.choices(vocabulary, k=rng.randint(1, 6))) for _ in range(rng.choice([1, 5, 300, 700]))
            ]
            if rng.random() < 0.5:
                answers = shared.submit(texts, TASKS, lane, flag)
                expected = [DEVICE if POISON in text else None for text in texts]
            else:
                answers = shared.submit(texts, ["emotion"], lane, flag)
                expected = [DEVICE if "bad" in text else text for text in texts]
            assert len(answers) == len(texts)
            for text, answer, due in zip(texts, answers, expected, strict=True):
                if isinstance(answer, RowError) and answer.cause == CANCELLED:
                    assert flag is not None
                    assert flag.is_set()
                    said[CANCELLED] += 1
                elif due is None:
                    assert scored(answer) == pytest.approx(tiny_scores(text), abs=1e-5)
                    said["scored"] += 1
                else:
                    assert label(answer) == due
                    said["scored" if due != DEVICE else DEVICE] += 1
            if number < 4 and rng.random() < 0.3:
                cancelled[number].set()
        return said

    with Engine(FixedRouter(real, words), limits) as shared, threads(8) as pool:
        found = sum(
            (future.result(240) for future in [pool.submit(work, number) for number in range(8)]), Counter[str]()
        )
        assert [shared._scheduler.waiting(lane) for lane in Lane] == [0, 0]
    assert found["scored"] > 0
    assert found[DEVICE] > 0
