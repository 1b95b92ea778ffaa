"""The history that a picture is drawn from, and the picture."""

from __future__ import annotations

import random
import warnings
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cli.trends_history import TagHistory
from cli.trends_picture import draw
from groundswell.trends import TagCount, Trend, TrendEvent, Window


def window(end: int, **counts: int) -> Window:
    return Window(1, end, 0, 600, tuple(TagCount(tag, count) for tag, count in counts.items()))


def trend(tag: str, since: int, until: int | None = None) -> TrendEvent:
    begun = datetime.fromtimestamp(since, UTC)
    ended = None if until is None else datetime.fromtimestamp(until, UTC)
    known = Trend(f"{tag}@{since}", tag, tag, begun, 9.0, 20, 20, 20, until=ended)
    return TrendEvent(1, "ended" if ended else "began", ended or begun, 0, known)


@settings(deadline=None)
@given(
    windows=st.lists(
        st.tuples(st.integers(0, 500), st.dictionaries(st.sampled_from("abc"), st.integers(1, 50), min_size=1)),
        min_size=1,
        max_size=40,
    )
)
def test_each_point_has_the_highest_count_of_its_windows(windows: list[tuple[int, dict[str, int]]]) -> None:
    history = TagHistory(10, points=16)
    for number, counts in windows:
        history.add(window(number * 10, **counts))
    ends = [number * 10 for number, _ in windows]
    times = list(history.times())
    assert history.ends == (min(ends), max(ends))
    assert len(times) <= 16
    assert times[0] <= min(ends) <= max(ends) < times[-1] + history.step
    for tag in "abc":
        expected = [
            max((counts.get(tag, 0) for end, (_, counts) in zip(ends, windows, strict=True)
                 if time <= end < time + history.step), default=0)
            for time in times
        ]  # fmt: skip
        assert history.series(tag) == expected


def test_what_trended_is_shown_first_and_then_what_was_as_frequent() -> None:
    history = TagHistory(10)
    history.add(window(10, high=90, burst=50, small=5, other=60, rare=2))
    for event in (trend("burst", 10), trend("small", 10), trend("small", 10, 50)):
        history.add(event)
    assert history.prominent(10) == ["high", "other", "burst", "small"]
    assert history.prominent(3) == ["high", "burst", "small"]
    assert [event.event for event in history.trends()["small"]] == ["ended"]


def test_tags_in_any_script_are_drawn_without_a_complaint(tmp_path: Path) -> None:
    """A letter that no font here has must not become an empty box, nor a dollar sign a formula."""
    tags = ["plain", "मतदान", "東京", "서울", "القاهرة", "תל_אביב", "กรุงเทพ", "𒀀𒁀", "a$b$c", "x" * 200]
    chance = random.Random(1)
    history = TagHistory(10)
    for end in range(0, 6_000, 10):
        history.add(window(end, **{tag: chance.randrange(1, 100) for tag in tags}))
    history.add(trend("मतदान", 1_000, 2_000))
    history.add(trend("𒀀𒁀", 3_000))
    picture = tmp_path / "trends.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(history, picture, window=600, slide=10)
    data = picture.read_bytes()
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1600, 900)


def test_a_single_window_makes_a_picture_too(tmp_path: Path) -> None:
    history = TagHistory(10)
    history.add(window(1_000, only=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(history, tmp_path / "one.png", window=600, slide=10)
    assert (tmp_path / "one.png").stat().st_size > 10_000
