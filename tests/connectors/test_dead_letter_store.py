"""What every store of dead letters must do, run over each of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.dead_letters import DeadLetterStore, Selection
from connectors.kafka_dead_letters import KafkaDeadLetters
from connectors.sqlite_dead_letters import SqliteDeadLetters
from groundswell.records import DeadLetter, Origin
from groundswell.waits import Waits

TIME = datetime(2026, 11, 16, 12, tzinfo=UTC)
ALL = Selection()

Open = Callable[[], DeadLetterStore]


def letter(
    offset: int, cause: str = "not_json", *, value: bytes = b"{", step: str = "decode", index: int = 0
) -> DeadLetter:
    detail = f"expected a value at {offset}"
    return DeadLetter(Origin("posts", 3, offset, index), step, cause, detail, TIME + timedelta(seconds=offset), value)


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.stack)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[DeadLetterStore] = []
    if request.param == "kafka":
        server = request.getfixturevalue("kafka")
        posts = server.topic()

        def make() -> DeadLetterStore:
            return KafkaDeadLetters(server.bootstrap_servers, f"{posts}.dead", posts, Waits())
    else:

        def make() -> DeadLetterStore:
            return SqliteDeadLetters(tmp_path / "dead.db", Waits())

    def open_it() -> DeadLetterStore:
        opened.append(make())
        opened[-1].prepare()
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> DeadLetterStore:
    return open_store()


def put(store: DeadLetterStore, *letters: DeadLetter) -> None:
    store.put(letters, lambda: True)


def test_a_letter_comes_back_as_it_was(store: DeadLetterStore) -> None:
    odd = DeadLetter(
        Origin("feed/ä \udcff/a.json", 0, 2**53, 7),
        "decode",
        "not_json",
        'said "ü" \n',
        TIME + timedelta(microseconds=1),
        bytes(range(256)),
    )
    put(store, odd, letter(1, value=b""))
    assert store.show(odd.key) == odd
    assert store.show("posts/3/1") == letter(1, value=b"")
    assert store.show("posts/3/2") is None
    assert sorted(store.list(ALL, 10), key=lambda one: one.key) == [odd, letter(1, value=b"")]


def test_half_a_surrogate_pair_in_what_was_said(store: DeadLetterStore) -> None:
    broken = letter(1)
    broken.detail = "id \ud83d is not Unicode"
    put(store, broken)
    shown = store.show(broken.key)
    assert shown is not None
    assert shown.detail.startswith("id ")


def test_a_letter_put_again_is_the_same_letter(open_store: Open) -> None:
    put(open_store(), letter(1), letter(2), letter(1))
    put(open_store(), letter(1, "no_id"))
    store = open_store()
    assert store.counts() == {"no_id": 1, "not_json": 1}
    assert len(store.list(ALL, 10)) == 2


def test_posts_of_one_record_are_letters_of_their_own(store: DeadLetterStore) -> None:
    put(store, letter(1), letter(1, index=1), letter(1, index=2))
    assert store.counts() == {"not_json": 3}


def test_counts_put_the_most_frequent_first(store: DeadLetterStore) -> None:
    assert store.counts() == {}
    put(store, letter(1, "b"), letter(2, "c"), letter(3, "c"), letter(4, "a"))
    assert list(store.counts().items()) == [("c", 2), ("a", 1), ("b", 1)]


def test_letters_are_selected_by_cause_step_and_key(store: DeadLetterStore) -> None:
    put(store, letter(1, "a"), letter(2, "b"), letter(3, "a", step="documents"), letter(4, "a"))

    def offsets(selection: Selection, limit: int = 10) -> list[int]:
        return [one.origin.offset for one in store.list(selection, limit)]

    assert offsets(Selection(cause="a")) == [1, 3, 4]
    assert offsets(Selection(cause="a"), limit=2) == [1, 3]
    assert offsets(Selection(step="documents")) == [3]
    assert offsets(Selection(keys=frozenset({"posts/3/2", "posts/3/4", "posts/3/9"}))) == [2, 4]
    assert offsets(Selection(keys=frozenset({"posts/3/2"}), cause="a")) == []
    assert offsets(Selection(keys=frozenset())) == []


def test_a_large_record_is_kept_whole(store: DeadLetterStore) -> None:
    large = letter(1, "too_large", value=bytes(range(256)) * (20 * 4096))
    put(store, large)
    assert store.show(large.key) == large


def test_many_letters_from_several_threads(open_store: Open) -> None:
    store = open_store()

    def fill(first: int) -> None:
        for start in range(first, first + 600, 100):
            put(store, *(letter(offset) for offset in range(start, start + 100)))

    threads = [threading.Thread(target=fill, args=(first,)) for first in (0, 300, 600)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert open_store().counts() == {"not_json": 1200}


def test_ping_answers(store: DeadLetterStore) -> None:
    assert store.ping().version
