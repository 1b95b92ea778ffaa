"""Counting beside Flink SQL's hopping window with the same top, on the same stream of 100,000 live tags.

``python -m benchmarks.flink_hop --python VENV/bin/python`` takes a Python with ``apache-flink`` 2.3 and
a JDK 17 or later; about ten minutes. Flink runs in one process with parallelism 1, reads the
hashtags from a file and keeps no checkpoints; it is measured over the first slides of a full window,
as are the job's own operators (:mod:`benchmarks.trends`), which read posts from memory, leave out
repeats and take a snapshot every second. Flink is no dependency and runs with no other benchmark.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.report import Row, print_rows
from benchmarks.tag_stream import SLIDE, START, TOP, WINDOW, TagStream
from benchmarks.trends import LIVE, run
from benchmarks.trends_run import Plan

#: Seconds of event time over which Flink is measured once its window is full.
_MEASURED = 6 * SLIDE


def compare(argv: Sequence[str] | None = None) -> None:
    """Print the row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flink_hop", description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="the Python that has apache-flink")
    parser.add_argument("--json", action="store_true", help="one JSON object a row instead of a table")
    given = parser.parse_args(argv)
    theirs = flink_rates(given.python)
    ours = run(Plan(LIVE, seconds=_MEASURED * 10))
    name = f"counting, {LIVE:,} live tags, peer: Flink SQL HOP"
    print_rows(
        [
            Row(name, ours.rate, theirs.wall, "hashtags/s of wall time"),
            Row(name, ours.processor_rate, theirs.processor, "hashtags/s of processor time"),
        ],
        given.json,
    )


class Rates(NamedTuple):
    """Hashtags a second of wall time, and of all processor time that Flink took."""

    wall: float
    processor: float


class _Passed(NamedTuple):
    """Seconds since the job began, and seconds of processor time that it took."""

    wall: float
    processor: float


def flink_rates(python: Path) -> Rates:
    """What Flink does with a full window."""
    stream = TagStream(LIVE, WINDOW + _MEASURED + 2 * SLIDE)
    with tempfile.TemporaryDirectory(prefix="groundswell-bench-") as folder:
        path = Path(folder, "tags.csv")
        with path.open("w") as file:
            file.writelines(f"{at:.3f},{tag}\n" for at, tag in stream.rows())
        job = Path(__file__).with_name("flink_job.py")
        command = [str(python), str(job), str(path), str(WINDOW), str(SLIDE), str(TOP)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                moments = dict(_windows(process.stdout, process.pid))
            finally:
                process.kill()
    start, end = moments[START + WINDOW], moments[START + WINDOW + _MEASURED]
    hashtags = stream.per_second * _MEASURED
    return Rates(hashtags / (end.wall - start.wall), hashtags / (end.processor - start.processor))


def _windows(lines: Iterator[str], pid: int) -> Iterator[tuple[int, _Passed]]:
    """End of every window (seconds since 1970) and what time had passed and been taken, until enough were seen."""
    for line in lines:
        end, seconds = line.split()
        taken = 0.0
        for process in psutil.Process(pid).children(recursive=True):
            taken += process.cpu_times().user + process.cpu_times().system
        moment = int(datetime.fromisoformat(end).timestamp())
        yield moment, _Passed(float(seconds), taken)
        if moment == START + WINDOW + _MEASURED:
            return


if __name__ == "__main__":
    compare()
