"""The trial of a new champion: what is the model's fault, and what is the world's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inference.comparison import DRIFTS, FAILS, Fault, Met
from inference.loaded import Loaded
from inference.manifest import Reference
from inference.trial import Trial
from tests.inference.judged import TASK, failed, loaded, read, reference, stream

ROWS = 600
USUAL = {"good": 0.4, "bad": 0.3}
GLOOMY = {"good": 0.02, "bad": 0.95}

#: Versions by what is done to the tiny model.
SOUND: dict[str, Any] = {}
RETRAINED: dict[str, Any] = {"bias": (0.1, 0.4, 0)}
ONE_SIDED: dict[str, Any] = {"bias": (0, 0, 6)}
SURER: dict[str, Any] = {"temperature": 0.4}


def validated(root: Path, **changes: Any) -> Reference:
    """What such a model says of its validation data."""
    return reference(read(loaded(root / "validated", **changes).reader, stream(1, 1_000, **USUAL)))


def version(root: Path, changes: dict[str, Any], of: dict[str, Any] | None) -> Loaded:
    """A version with a reference made by the model ``of``, or with none."""
    told = {} if of is None else {"reference": {TASK: validated(root, **of)}}
    return loaded(root, **changes, **told)


def tried(new: Loaded, old: Loaded, texts: list[str], limit: float = 0.25) -> Fault | None:
    trial = Trial(new, old, rows=ROWS, limit=limit)
    faults = []
    for start in range(0, len(texts), 50):
        part = texts[start : start + 50]
        faults.append(trial.add([TASK], Met(read(new.reader, part), read(old.reader, part))))
    assert trial.over
    found = [fault for fault in faults if fault is not None]
    assert len(found) <= 1, "it is said once"
    return found[0] if found else None


@pytest.mark.parametrize(
    ("old", "old_reference", "new", "new_reference", "world", "blamed"),
    [
        pytest.param(SOUND, SOUND, RETRAINED, RETRAINED, USUAL, False, id="a sound successor stays"),
        pytest.param(SOUND, SOUND, RETRAINED, RETRAINED, GLOOMY, False, id="the world changed under both"),
        pytest.param(SOUND, SOUND, ONE_SIDED, SOUND, USUAL, True, id="it does not do what it did when validated"),
        pytest.param(SOUND, SOUND, ONE_SIDED, SOUND, GLOOMY, True, id="nor in another world"),
        pytest.param(SOUND, SOUND, SURER, SURER, USUAL, False, id="surer, as its validation knew"),
        pytest.param(SOUND, SOUND, SURER, SOUND, USUAL, True, id="surer than its validation knew"),
        pytest.param(SOUND, None, SURER, SURER, GLOOMY, False, id="the first to have a reference"),
        pytest.param(SOUND, None, ONE_SIDED, None, USUAL, True, id="no references: another class for most texts"),
        pytest.param(SOUND, None, RETRAINED, None, GLOOMY, False, id="no references: the same classes"),
        pytest.param(SOUND, None, SURER, None, USUAL, False, id="no references: confidences may differ"),
    ],
)
def test_a_model_is_blamed_for_what_it_alone_does(
    tmp_path: Path,
    old: dict[str, Any],
    old_reference: dict[str, Any] | None,
    new: dict[str, Any],
    new_reference: dict[str, Any] | None,
    world: dict[str, float],
    blamed: bool,
) -> None:
    fault = tried(
        version(tmp_path, new, new_reference), version(tmp_path, old, old_reference), stream(2, ROWS, **world)
    )
    assert (fault is not None) == blamed, fault
    if fault is not None:
        assert fault.cause == DRIFTS
        assert fault.reason.startswith(f"{TASK}: on the same ")


def test_a_new_champion_that_fails_is_blamed_before_its_window_is_full(tmp_path: Path) -> None:
    new, old = loaded(tmp_path), loaded(tmp_path, bias=(1, 0, 0))
    trial = Trial(new, old, rows=ROWS, limit=0.25)
    fine = read(old.reader, stream(3, 20))
    fault = trial.add([TASK], Met([failed()] * 20, fine))
    assert fault is not None
    assert fault.cause == FAILS
    assert trial.add([TASK], Met([failed()] * 20, fine)) is None


def test_the_old_champion_reads_a_quarter_of_a_long_window_and_all_of_a_short_one(tmp_path: Path) -> None:
    new, old = loaded(tmp_path), loaded(tmp_path, bias=(1, 0, 0))
    texts = stream(4, 4_000)
    for rows, share in ((4_000, 0.25), (500, 1.0), (100, 1.0), (1_000, 0.5)):
        served, *shadows = Trial(new, old, rows=rows, limit=0.25).part(texts, range(len(texts)))
        assert (served.reader, list(served.positions), served.shadow) == (new.reader, list(range(len(texts))), False)
        (shadow,) = shadows
        assert (shadow.reader, shadow.shadow) == (old.reader, True)
        assert len(shadow.positions) == pytest.approx(share * len(texts), abs=200 if share < 1 else 0)


def test_no_text_is_read_for_nothing(tmp_path: Path) -> None:
    trial = Trial(loaded(tmp_path), loaded(tmp_path, bias=(1, 0, 0)), rows=100, limit=0.25)
    assert trial.part(["good"], []) == []
