"""The top tags of a hopping window in Flink SQL, run by a Python that has ``apache-flink``.

``python benchmarks/flink_job.py FILE WINDOW SLIDE TOP`` reads lines ``seconds,tag`` and prints a
line ``window end, seconds since the start`` for the first row of every window, as it comes. It
imports nothing of this project.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from pyflink.table import EnvironmentSettings, TableEnvironment  # type: ignore[import-not-found]

_SOURCE = """
CREATE TABLE tags (
  seconds DOUBLE,
  tag STRING,
  moment AS TO_TIMESTAMP_LTZ(CAST(seconds * 1000 AS BIGINT), 3),
  WATERMARK FOR moment AS moment - INTERVAL '10' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'csv')
"""
_TOP = """
SELECT window_end, tag, posts FROM (
  SELECT window_end, tag, posts,
    ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY posts DESC, tag ASC) AS place
  FROM (
    SELECT window_start, window_end, tag, COUNT(*) AS posts
    FROM HOP(TABLE tags, DESCRIPTOR(moment), INTERVAL '{slide}' SECOND, INTERVAL '{window}' SECOND({digits}))
    GROUP BY window_start, window_end, tag
  )
) WHERE place <= {top}
"""


def run(arguments: Sequence[str]) -> None:
    """Run the job to the end of the file."""
    path, window, slide, top = arguments
    environment = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for name, value in {
        "parallelism.default": "1",
        "table.local-time-zone": "UTC",
        "taskmanager.memory.process.size": "4g",
    }.items():
        environment.get_config().set(name, value)
    environment.execute_sql(_SOURCE.format(path=path))
    query = _TOP.format(window=window, slide=slide, top=top, digits=len(window))
    newest = None
    began = time.perf_counter()
    with environment.execute_sql(query).collect() as rows:
        for end, _, _ in rows:
            if end != newest:
                newest = end
                print(f"{end:%Y-%m-%dT%H:%M:%S}Z {time.perf_counter() - began:.3f}", flush=True)


if __name__ == "__main__":
    run(sys.argv[1:])
