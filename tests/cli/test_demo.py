"""``groundswell demo``: the job as a whole on the sample of real posts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_shows_what_trended_in_the_real_posts_and_in_the_invented_ones(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "demo", "--posts", "8000", "--set", f"job.data_dir={tmp_path}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert re.search(r"Top hashtags of the fullest 2h, up to 2013-05-2\d \d\d:\d\d:00 UTC\n  \w+ \d+, \w+ \d+", shown)
    events = re.findall(r"^  2013-05-2\d \d\d:\d\d:\d\d  (began|ended) +#(\w+)", shown, re.MULTILINE)
    assert {("began", "oklahoma"), ("ended", "oklahoma"), ("began", "sunset"), ("ended", "sunset")} <= set(events)
    # Posts that never had the tag, in the order of what they are about.
    found = shown[shown.index("About #oklahoma, without the tag") :].split("About #", 2)[1].split("Best scored")[0]
    assert len(re.findall(r"tornado|oklahoma|moore", found, re.IGNORECASE)) >= 5, found
    # What the generator repeats all day is frequent, and no trend.
    assert ("began", "news") not in events
    assert not (tmp_path / "documents.db").exists()
    assert (tmp_path / "demo" / "documents.db").exists()
    assert "Traceback" not in done.stderr
