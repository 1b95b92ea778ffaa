"""``kill -9`` to the first new document: the job dies under load, is restarted and goes on.

A job reads a steady stream from Kafka, model off, with its default settings. Its process is
killed, and in the same moment a post arrives. The time runs until Elasticsearch has that
post's document: notice of the death, back-off, start, replay and all.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.report import Row, options, print_rows
from connectors.elasticsearch_schema import index_name
from groundswell.records import document_id
from tests.dataflows.harness import Cluster, Run
from tests.dataflows.planting import SOURCE, Feeder, Planter, moment
from tests.stack.session import Stack
from tests.waiting import wait_until

_POSTS_PER_SECOND = 500
_DEFAULTS = {"epoch_interval": 1.0, "restart_backoff": 0.5, "restart_backoff_max": 30.0, "max_restarts": 5}
#: So that a kill falls anywhere in an epoch.
_PAUSES = (1.0, 1.3, 1.6, 1.9, 2.2, 2.5, 2.8)


def main() -> None:
    """Print the rows."""
    given = options(__doc__)
    kills = 3 if given.quick else 15
    stack = Stack()
    try:
        with tempfile.TemporaryDirectory(prefix="groundswell-bench-") as folder:
            seconds = measure(Cluster(Path(folder), stack.kafka, stack.elasticsearch), kills)
    finally:
        stack.close()
    print_rows(
        [
            Row("kill -9 to the first new document, median", median(seconds), None, "s"),
            Row(f"kill -9 to the first new document, slowest of {kills}", max(seconds), None, "s"),
        ],
        given.json,
    )


def measure(cluster: Cluster, kills: int) -> list[float]:
    """The seconds that each of the kills cost."""
    seconds = []
    # Numbers of its own, so that its posts are new.
    probes = Planter(cluster.kafka.bootstrap_servers, cluster.topic, 4, seed=2, first=1_000_000)
    with Run(cluster.settings({"job": _DEFAULTS})) as run, Feeder(cluster.planter, _POSTS_PER_SECOND):
        cluster.wait_for_documents(_POSTS_PER_SECOND)
        for number in range(kills):
            run.wait_for_job()
            wait_for(cluster, probes.plant_one())
            began = time.monotonic()
            pause = _PAUSES[number % len(_PAUSES)]
            wait_until(lambda began=began, pause=pause: time.monotonic() > began + pause, 10, "the moment")  # type: ignore[misc]
            run.kill_job_process()
            killed = time.monotonic()
            wait_for(cluster, probes.plant_one())
            seconds.append(time.monotonic() - killed)
    return seconds


def wait_for(cluster: Cluster, number: int) -> None:
    """Return when the document of this post is there (a get by id sees it before a refresh)."""
    index = index_name(cluster.alias, "week", moment(number))
    path = f"/{index}/_source/{document_id(SOURCE, f'post-{number}')}"

    def there() -> bool:
        try:
            cluster.elasticsearch.request("GET", path)
        except OSError:
            return False
        return True

    wait_until(there, 60, f"post {number}", interval=0.01)


if __name__ == "__main__":
    main()
