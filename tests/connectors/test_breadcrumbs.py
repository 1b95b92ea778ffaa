"""What a killed process had in hand can be read afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, cluster_main

from connectors.breadcrumbs import Breadcrumbs, InHand, forget_breadcrumbs, read_breadcrumbs


def test_survives_kill_nine(tmp_path: Path) -> None:
    script = (
        "import os, sys, signal; from pathlib import Path; from connectors.breadcrumbs import Breadcrumbs; "
        "crumbs = Breadcrumbs(Path(sys.argv[1]), 0); "
        "crumbs.enter('decode', [('posts', 0, 5, 9)]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, cwd=Path(__file__).parents[2])
    assert read_breadcrumbs(tmp_path, [0]) == [InHand("decode", (("posts", 0, 5, 9),))]


def test_what_was_put_down_is_not_in_hand(tmp_path: Path) -> None:
    crumbs = Breadcrumbs(tmp_path, 0)
    crumbs.enter("decode", [("posts", 0, 5, 9)])
    crumbs.leave()
    assert read_breadcrumbs(tmp_path, [0]) == []


def test_each_thread_leaves_its_own_trail(tmp_path: Path) -> None:
    crumbs = Breadcrumbs(tmp_path, 3)
    for number in range(2):
        thread = threading.Thread(target=crumbs.enter, args=("analyse", [("posts", number, 1, 1)]))
        thread.start()
        thread.join()
    assert [crumb.ranges[0][1] for crumb in read_breadcrumbs(tmp_path, [3])] == [0, 1]


def test_a_new_process_starts_without_the_trail_of_the_old_one(tmp_path: Path) -> None:
    Breadcrumbs(tmp_path, 0).enter("decode", [("posts", 0, 5, 9)])
    Breadcrumbs(tmp_path, 0)
    assert read_breadcrumbs(tmp_path, [0]) == []


def test_only_the_processes_that_are_meant_are_read_and_forgotten(tmp_path: Path) -> None:
    for process in (1, 11):
        Breadcrumbs(tmp_path, process).enter("decode", [("posts", process, 5, 9)])
    assert [crumb.ranges[0][1] for crumb in read_breadcrumbs(tmp_path, [1])] == [1]
    forget_breadcrumbs(tmp_path, [1])
    assert [crumb.ranges[0][1] for crumb in read_breadcrumbs(tmp_path, [1, 11])] == [11]


def test_a_path_that_is_no_text_does_not_stop_the_work(tmp_path: Path) -> None:
    Breadcrumbs(tmp_path, 0).enter("decode", [("feed/\udce9.json", 0, 5, 9)])
    assert read_breadcrumbs(tmp_path, [0]) == [InHand("decode", ())]


def test_a_thread_of_the_engine_leaves_one_trail_however_often_it_comes(tmp_path: Path) -> None:
    crumbs = Breadcrumbs(tmp_path, 0)

    def note(number: int) -> int:
        crumbs.enter("decode", [("posts", 0, number, number)])
        crumbs.leave()
        return number

    seen: list[int] = []
    flow = Dataflow("trail")
    op.output(
        "out", op.map("note", op.input("in", flow, TestingSource(range(200), batch_size=1)), note), TestingSink(seen)
    )
    cluster_main(flow, [], 0, worker_count_per_proc=1)
    assert seen == list(range(200))
    assert [path.name for path in tmp_path.iterdir()] == ["0-0.crumb"]
    assert read_breadcrumbs(tmp_path, [0]) == []
