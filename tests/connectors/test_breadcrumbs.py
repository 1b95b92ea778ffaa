"""What a killed process had in hand can be read afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from connectors.breadcrumbs import Breadcrumbs, InHand, read_breadcrumbs


def test_survives_kill_nine(tmp_path: Path) -> None:
    script = (
        "import os, sys, signal; from pathlib import Path; from connectors.breadcrumbs import Breadcrumbs; "
        "crumbs = Breadcrumbs(Path(sys.argv[1]), 0); "
        "crumbs.enter('decode', [('posts', 0, 5, 9)]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, cwd=Path(__file__).parents[2])
    assert read_breadcrumbs(tmp_path) == [InHand("decode", (("posts", 0, 5, 9),))]


def test_what_was_put_down_is_not_in_hand(tmp_path: Path) -> None:
    crumbs = Breadcrumbs(tmp_path, 0)
    crumbs.enter("decode", [("posts", 0, 5, 9)])
    crumbs.leave()
    assert read_breadcrumbs(tmp_path) == []


def test_each_thread_leaves_its_own_trail(tmp_path: Path) -> None:
    crumbs = Breadcrumbs(tmp_path, 3)
    for number in range(2):
        thread = threading.Thread(target=crumbs.enter, args=("analyse", [("posts", number, 1, 1)]))
        thread.start()
        thread.join()
    assert [crumb.ranges[0][1] for crumb in read_breadcrumbs(tmp_path)] == [0, 1]


def test_a_new_process_starts_without_the_trail_of_the_old_one(tmp_path: Path) -> None:
    Breadcrumbs(tmp_path, 0).enter("decode", [("posts", 0, 5, 9)])
    Breadcrumbs(tmp_path, 0)
    assert read_breadcrumbs(tmp_path) == []
