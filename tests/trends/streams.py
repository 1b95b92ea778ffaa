"""Small streams for the trends engine, and what is left of its output once corrections superseded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from groundswell.records import Batch, Envelope, Mark, Origin, Post
from groundswell.trends import TrendEvent, Window
from operators.trend_options import TrendOptions
from tests.trends.oracle import Arrival, Rules, Windows

#: Moments in tests are seconds after this one, which begins a pane and a window of any usual size.
NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
NOON_SECONDS = int(NOON.timestamp())
_TAGS = ("ash", "birch", "cedar", "Ω", "éland")


def post(at: float, *tags: str, name: str | None = None, original: Sequence[str] = ()) -> Post:
    """A post ``at`` seconds after noon; without a ``name`` it is another post than all others."""
    _unnamed[0] += 1
    identity = f"unnamed-{_unnamed[0]}" if name is None else name
    return Post(
        identity,
        "test",
        " ".join(f"#{tag}" for tag in tags),
        NOON + timedelta(seconds=at),
        f"author of {identity}",
        hashtags=tuple(dict.fromkeys(tags)),
        repost_of="original" if original else None,
        original_hashtags=tuple(original),
    )


_unnamed = [0]


def batch_of(arrival: Arrival) -> Batch:
    """An arrival as the decode step hands it on."""
    origin = Origin("test", 0, 0)
    changes = [Envelope(origin, b"", each) for each in arrival.posts]
    records = len(changes)
    return Batch("test", 0, records, 0, list(changes), [], Counter(), part=arrival.part, mark=arrival.mark)


def options_of(rules: Rules) -> TrendOptions:
    """The engine's options that mean the same; nothing but counting."""
    return TrendOptions(
        window=rules.window,
        slide=rules.slide,
        top=rules.top,
        disorder=rules.disorder,
        lateness=rules.lateness,
        advance_when_idle=rules.advance_when_idle,
        count_original=rules.count_original,
        dedupe_horizon=rules.dedupe_horizon,
        detection=None,
    )


def superseded(items: Iterable[Window | TrendEvent]) -> Windows:
    """What the windows with any tag hold in the end: of one window, the highest revision.

    Fails when a revision is emitted twice with different counts, or goes back.
    """
    newest: dict[int, Window] = {}
    for item in items:
        if isinstance(item, Window):
            known = newest.get(item.end)
            assert known is None or known.revision <= item.revision, f"{item} after {known}"
            assert known is None or known.revision < item.revision or known == item, f"{item} contradicts {known}"
            newest[item.end] = item
    return {
        end: [(counted.tag, counted.count) for counted in window.top]
        for end, window in sorted(newest.items())
        if window.top
    }


def after_noon(windows: Windows) -> Windows:
    """The same with ends in seconds after noon."""
    return {end - NOON_SECONDS: top for end, top in windows.items()}


def ended(parts: Iterable[str]) -> list[Arrival]:
    """Every partition has been read whole."""
    return [Arrival(part, mark=Mark(ended=True)) for part in parts]


def rules() -> st.SearchStrategy[Rules]:
    """Settings that leave room for everything to go wrong within a few posts."""
    sizes = st.sampled_from([(10, 10), (30, 10), (25, 10), (60, 10), (7, 3), (40, 30), (60, 60)])
    return st.builds(
        lambda size, **more: Rules(window=size[0], slide=size[1], **more),
        sizes,
        top=st.sampled_from([0, 1, 2, 3, 20]),
        disorder=st.sampled_from([0.0, 2.5, 10.0, 30.0]),
        lateness=st.sampled_from([0, 5, 20, 60]),
        advance_when_idle=st.booleans(),
        count_original=st.booleans(),
        dedupe_horizon=st.sampled_from([0, 5, 20, 100]),
    )


def tags() -> st.SearchStrategy[tuple[str, ...]]:
    """None to three tags of a post."""
    return st.lists(st.sampled_from(_TAGS), max_size=3).map(tuple)


#: From one post of a partition to its next, in seconds: mostly on, sometimes back, at times out of all bounds.
_STEPS = st.one_of(
    st.integers(0, 40).map(lambda quarters: quarters / 4),
    st.integers(-120, 240).map(lambda quarters: quarters / 4),
    st.sampled_from([-172_800.0, -600.0, 600.0, 172_800.0]),
)
_STARTS = st.sampled_from([0.0, 3.0, 600.0, 172_800.0, -172_800.0])


@st.composite
def arrivals(draw: st.DrawFn, parts: Sequence[str]) -> list[Arrival]:
    """Posts and idle marks of several partitions; each partition's clock runs by itself."""
    clocks = {part: draw(_STARTS) for part in parts}
    idle = dict.fromkeys(parts, 0.0)
    found = []
    for _ in range(draw(st.integers(1, 40))):
        part = draw(st.sampled_from(parts))
        if draw(st.integers(0, 5)) == 0:
            passed = draw(st.sampled_from([1.0, 12.5, 60.0, None]))
            idle[part] = 0.0 if passed is None else idle[part] + passed
            found.append(Arrival(part, mark=Mark(idle_for=idle[part])))
            continue
        idle[part] = 0.0
        delivered = []
        for _ in range(draw(st.integers(1, 4))):
            clocks[part] += draw(_STEPS)
            name = f"post {draw(st.integers(0, 12))}" if draw(st.booleans()) else None
            original = draw(tags()) if draw(st.integers(0, 3)) == 0 else ()
            delivered.append(post(clocks[part], *draw(tags()), name=name, original=original))
        found.append(Arrival(part, tuple(delivered)))
    return found


@st.composite
def activations(draw: st.DrawFn, found: Sequence[Arrival]) -> list[list[Arrival]]:
    """The same arrivals cut otherwise: several in one activation, or the posts of one apart."""
    cut: list[Arrival] = []
    for arrival in found:
        at = draw(st.integers(0, len(arrival.posts)))
        pieces = [arrival.posts[:at], arrival.posts[at:]] if 0 < at < len(arrival.posts) else [arrival.posts]
        cut += [arrival._replace(posts=piece) for piece in pieces]
    groups: list[list[Arrival]] = []
    for arrival in cut:
        together: bool = draw(st.booleans())
        if groups and together:
            groups[-1].append(arrival)
        else:
            groups.append([arrival])
    return groups
