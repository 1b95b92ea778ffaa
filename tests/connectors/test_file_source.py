"""Files and watched folders: each file is run once, also across restarts."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.credits import Credits
from connectors.file_formats import FileOptions
from connectors.file_source import FileSource, lane_of
from connectors.file_watch import LOOK_SECONDS, FileWatch
from connectors.source import BATCH_BYTES, BATCH_RECORDS
from groundswell.errors import SettingsError
from groundswell.records import UNREADABLE
from groundswell.waits import Waits
from tests.connectors.partitions import Clock, Driver, ample_credits, never


def _write(path: Path, first: int, count: int) -> list[bytes]:
    lines = [json.dumps({"id": number}).encode() for number in range(first, first + count)]
    data = b"\n".join(lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return lines


def _source(*inputs: Path | str, until_end: bool = True, watch: FileWatch | None = None, **options: Any) -> FileSource:
    return FileSource(
        [str(each) for each in inputs], ample_credits(), never(), Waits(), until_end=until_end, watch=watch, **options
    )


def test_all_files_of_a_folder_are_read_and_the_source_ends(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    expected = _write(tmp_path / "a.jsonl", 0, 1200) + _write(tmp_path / "sub" / "b.jsonl.gz", 2000, 3)
    driver = Driver(_source(tmp_path))
    batches = driver.run()
    assert sorted(driver.values) == sorted(expected)
    assert all(len(batch.values) <= BATCH_RECORDS for batch in batches)
    assert sorted(driver.places) == [(str(tmp_path / "a.jsonl"), 0, n) for n in range(1200)] + [
        (str(tmp_path / "sub" / "b.jsonl.gz"), 0, n) for n in range(3)
    ]


def test_the_stream_is_the_path_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    _write(Path("in/a.json"), 0, 1)
    for given_as in ("in/a.json", "in", "in/*.json", "*/a.json"):
        driver = Driver(_source(given_as))
        driver.run()
        assert driver.places == [("in/a.json", 0, 0)]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    expected = _write(tmp_path / "a.json", 0, 2)
    driver = Driver(_source(tmp_path / "a.json", tmp_path / "a.json", tmp_path / "*.json"))
    driver.run()
    assert driver.values == expected


def test_a_name_with_magic_characters_is_a_file_when_there_is_one(tmp_path: Path) -> None:
    expected = _write(tmp_path / "posts[1].json", 0, 2)
    driver = Driver(_source(tmp_path / "posts[1].json"))
    driver.run()
    assert driver.values == expected


def test_batches_stay_near_a_megabyte(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\n".join(json.dumps({"text": "x" * 100_000}).encode() for _ in range(30)))
    driver = Driver(_source(tmp_path))
    assert max(batch.size for batch in driver.run()) < BATCH_BYTES + 200_000


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_restart_anywhere_loses_and_repeats_nothing(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("in")
    expected = []
    for number in range(5):
        suffix = data.draw(st.sampled_from([".jsonl", ".jsonl.gz"]))
        expected += _write(folder / f"{number}{suffix}", 10_000 * number, data.draw(st.integers(0, 1700)))
    values: list[bytes] = []
    states: dict[str, Any] | None = None
    while True:
        driver = Driver(_source(folder, lanes=2), states)
        for _ in range(data.draw(st.integers(1, 6))):
            driver.step()
        values += driver.values
        # Through pickle, as recovery does it.
        states = pickle.loads(pickle.dumps(driver.snapshot()))  # noqa: S301
        whole = len(driver.ended) == 2
        driver.close()
        if whole:
            break
    assert sorted(values) == sorted(expected)


def test_a_watched_folder_runs_each_arriving_file_once(tmp_path: Path) -> None:
    clock = Clock()
    watch = FileWatch([str(tmp_path)], once=False, clock=clock)
    driver = Driver(_source(tmp_path, until_end=False, watch=watch))

    def look() -> list[bytes]:
        clock.now += LOOK_SECONDS
        before = len(driver.values)
        for _ in range(10):
            driver.step()
        return driver.values[before:]

    assert look() == []
    first = _write(tmp_path / "a.json", 0, 2)
    assert look() == []  # seen, but it may be growing
    first += _write(tmp_path / "a.json", 0, 3)[2:]
    assert look() == []  # it was
    assert look() == first
    assert look() == []
    for name in (".hidden.json", "b.json.tmp", "c.part"):
        _write(tmp_path / name, 50, 1)
    assert look() + look() == []
    (tmp_path / "b.json.tmp").rename(tmp_path / "b.json")
    assert look() + look() == [b'{"id": 50}']
    state = driver.snapshot()
    driver.close()

    # The next process knows what was done, and runs what changed or came meanwhile.
    later = _write(tmp_path / "d.json", 70, 1)
    watch = FileWatch([str(tmp_path)], once=False, clock=clock)
    driver = Driver(_source(tmp_path, until_end=False, watch=watch), state)
    assert look() + look() == later
    changed = _write(tmp_path / "a.json", 80, 4)
    assert look() + look() == changed
    driver.close()


def test_finished_files_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    states = {"00": {"done": {f"gone/{number}": (1, 1) for number in range(1500)}, "current": None}}
    _write(tmp_path / "a.json", 0, 1)
    driver = Driver(_source(tmp_path, lanes=1), states)
    driver.run()
    assert list(driver.states["00"]["done"]) == [str(tmp_path / "a.json")]


def test_a_file_that_changed_while_the_job_was_down_is_read_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.json"
    _write(path, 0, 1000)
    driver = Driver(_source(path, lanes=1))
    driver.step()
    state = driver.snapshot()
    driver.close()
    expected = _write(path, 5000, 1100)
    driver = Driver(_source(path, lanes=1), state)
    driver.run()
    assert driver.values == expected
    assert "has changed since record 500" in caplog.text


def test_a_file_that_is_gone_is_a_record_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    _write(path, 0, 1000)
    driver = Driver(_source(path, lanes=1))
    driver.step()
    path.unlink()
    driver.run()
    assert len(driver.values) == 1000  # it was open
    state = {"00": {"done": {}, "current": (str(path), 10, 10, (500, (5000, False, 0)))}}
    _write(tmp_path / "b.json", 0, 1)
    driver = Driver(_source(tmp_path / "b.json", lanes=1), state)
    driver.run()
    assert driver.places == [(str(path), 0, 500), (str(tmp_path / "b.json"), 0, 0)]
    assert driver.values[0].startswith(UNREADABLE + str(path).encode())


def test_a_file_system_that_fails_for_a_while_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The one thing here that no real part can be made to do: an I/O error of the file system.
    expected = _write(tmp_path / "a.json", 0, 3)
    waits = Waits()
    source = FileSource([str(tmp_path)], ample_credits(), never(), waits, lanes=1, until_end=True)
    driver = Driver(source)
    real_open = Path.open

    def failing(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name == "a.json":
            raise OSError(5, "Input/output error")
        return real_open(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", failing)
        for _ in range(3):
            driver.step()
        assert "Input/output error" in waits.current()["files"]
    driver.run()
    assert driver.values == expected
    assert waits.current() == {}


# Idleness


class _Watching(Driver):
    """Lanes that watch ``given``, with a clock that moves a tenth of a second with every step."""

    def __init__(self, given: Path, lanes: int = 1, states: dict[str, Any] | None = None) -> None:
        self.clock = Clock()
        watch = FileWatch([str(given)], once=False, clock=self.clock)
        source = FileSource([str(given)], ample_credits(), never(), Waits(), lanes=lanes, watch=watch)
        super().__init__(source, states, idle_timeout=5.0, clock=self.clock)

    def wait(self, seconds: float) -> dict[str, list[float]]:
        """Let some time pass; returns the idle times that were said in it."""
        before = {name: len(times) for name, times in self.idle_times.items()}
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now += 0.1
            self.step()
        return {name: times[before[name] :] for name, times in self.idle_times.items()}


def test_lanes_without_anything_to_read_idle(tmp_path: Path) -> None:
    lanes = _Watching(tmp_path, lanes=4)
    assert lanes.wait(4.5) == {lane: [] for lane in lanes.marks}
    times = lanes.wait(3.5)
    assert times == dict.fromkeys(lanes.marks, times["00"])
    assert times["00"] == pytest.approx([5.0, 6.0, 7.0], abs=1.0)
    expected = _write(tmp_path / "a.json", 0, 600)
    reader = f"{lane_of(str(tmp_path / 'a.json'), 4):02d}"
    times = lanes.wait(4.5)
    assert lanes.values == expected
    assert all((said[-1] < 3.0) if lane == reader else (said[-1] > 10.0) for lane, said in times.items())
    assert lanes.wait(8.0)[reader][0] == pytest.approx(5.0, abs=1.0)
    lanes.close()


def test_a_lane_is_not_idle_while_one_of_its_files_grows(tmp_path: Path) -> None:
    lane = _Watching(tmp_path)
    for count in range(1, 30):
        _write(tmp_path / "a.json", 0, count)
        assert lane.wait(0.5) == {"00": []}
    assert lane.values == []
    assert lane.wait(9.0)["00"]
    assert len(lane.values) == 29


@pytest.mark.parametrize("given", ["folder", "pattern"])
def test_a_file_system_that_does_not_answer_is_not_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    # The one thing here that no real part can be made to do: an I/O error of the file system.
    real_scandir = os.scandir
    (tmp_path / "sub").mkdir()
    values = _write(tmp_path / "sub" / "a.json", 0, 3)
    lane = _Watching(tmp_path if given == "folder" else tmp_path / "sub" / "*.json")

    def failing(path: Any = ".") -> Any:
        if str(path).endswith("sub"):
            raise OSError(5, "Input/output error", str(path))
        return real_scandir(path)

    assert lane.wait(9.0)["00"]
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", failing)
        assert lane.wait(600.0) == {"00": [0.0]}
    assert lane.wait(4.5) == {"00": []}
    assert lane.wait(3.0)["00"][0] == pytest.approx(5.0, abs=1.0)
    assert lane.values == values
    lane.close()


def test_an_input_is_not_at_its_end_before_all_of_it_could_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_scandir, clock = os.scandir, Clock()
    (tmp_path / "sub").mkdir()
    first, later = _write(tmp_path / "a.json", 0, 3), _write(tmp_path / "sub" / "b.json", 3, 3)
    driver = Driver(_source(tmp_path, lanes=1, watch=FileWatch([str(tmp_path)], once=True, clock=clock)))

    def failing(path: Any = ".") -> Any:
        if str(path).endswith("sub"):
            raise OSError(116, "Stale file handle", str(path))
        return real_scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", failing)
        for _ in range(20):
            clock.now += LOOK_SECONDS
            driver.step()
        assert (driver.values, driver.ended) == (first, set())
    clock.now += LOOK_SECONDS
    driver.run()
    assert (driver.values, driver.ended) == (first + later, {"00"})


@pytest.mark.parametrize("missing", ["none.json", "none/*.json"])
def test_an_input_that_is_not_there_is_refused_when_the_source_is_made(tmp_path: Path, missing: str) -> None:
    with pytest.raises(SettingsError, match="none"):
        _source(tmp_path / missing)


def test_a_pattern_may_match_later_when_it_is_watched(tmp_path: Path) -> None:
    _source(tmp_path / "none/*.json", until_end=False)


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="latin-99"):
        _source(tmp_path, options=FileOptions(encoding="latin-99"))


def test_without_credits_nothing_is_read(tmp_path: Path) -> None:
    _write(tmp_path / "a.json", 0, 2000)
    budget = Credits(600, 10**9)
    driver = Driver(FileSource([str(tmp_path)], budget, never(), Waits(), lanes=1, until_end=True))
    for _ in range(10):
        driver.step()
    assert len(driver.values) == 1000
    for batch in driver.batches:
        budget.release(len(batch.values), batch.size)
    driver.step()
    assert len(driver.values) == 1500
    driver.close()


def test_a_drain_ends_every_lane_at_its_position(tmp_path: Path) -> None:
    expected = _write(tmp_path / "a.json", 0, 1300)
    stop = threading.Event()
    driver = Driver(FileSource([str(tmp_path)], ample_credits(), stop, Waits(), lanes=2, until_end=False,
                               watch=FileWatch([str(tmp_path)], once=True)))  # fmt: skip
    driver.step()
    driver.step()
    stop.set()
    driver.run()
    assert 0 < len(driver.values) < 1300
    rest = Driver(_source(tmp_path, lanes=2), driver.states)
    rest.run()
    assert driver.values + rest.values == expected


def test_lanes_never_change() -> None:
    paths = ("a.json", "b.json", "é", "posts/2016/c.csv.gz", "x/y")
    assert [lane_of(path, 4) for path in paths] == [0, 2, 2, 0, 3]
