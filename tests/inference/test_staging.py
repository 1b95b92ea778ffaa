"""Folders that appear whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from inference.staging import locked, put_away, staging


def test_what_is_not_renamed_goes(tmp_path: Path) -> None:
    with staging(tmp_path / "new") as made:
        (made / "file").write_bytes(b"x")
        assert made.name.startswith(".")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(RuntimeError), staging(tmp_path):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_is_renamed_stays(tmp_path: Path) -> None:
    with staging(tmp_path) as made:
        (made / "file").write_bytes(b"x")
        made.rename(tmp_path / "there")
    assert (tmp_path / "there" / "file").read_bytes() == b"x"


def test_only_what_nobody_holds_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".staging-dead").mkdir()
    (tmp_path / ".staging-dead" / "file").write_bytes(b"x")
    with staging(tmp_path) as first, staging(tmp_path) as second:
        assert first.exists()
        assert second.exists()
        assert not (tmp_path / ".staging-dead").exists()


def test_one_at_a_time_holds_a_folder(tmp_path: Path) -> None:
    inside: list[int] = []
    seen: list[int] = []

    def work() -> None:
        with locked(tmp_path / "model"):
            inside.append(1)
            seen.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 8


def test_a_folder_is_put_away_whole(tmp_path: Path) -> None:
    (tmp_path / "old" / "deep").mkdir(parents=True)
    put_away(tmp_path / "old")
    assert list(tmp_path.iterdir()) == []
