"""How many processors the machine grants to this process."""

from __future__ import annotations

import math
import os
from pathlib import Path


def granted_processors(root: Path = Path("/")) -> int:
    """Processors granted by affinity and by every cgroup (version 1 or 2) that holds this process; at least 1."""
    granted = float(len(os.sched_getaffinity(0)))
    for quota in _quotas(root):
        granted = min(granted, quota)
    return max(1, math.floor(granted))


def _quotas(root: Path) -> list[float]:
    """The quotas, in processors, of the process's cgroup and of those around it."""
    found: list[float] = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        version_1 = "cpu" in controllers.split(",")
        if controllers and not version_1:
            continue
        base = root / ("sys/fs/cgroup/cpu" if version_1 else "sys/fs/cgroup")
        inner = path.strip("/")
        # Inside a container the process's own group is often mounted as the root.
        for group in {base, *(base / part for part in (Path(inner), *Path(inner).parents))}:
            found += _quota_1(group) if version_1 else _quota_2(group)
    return found


def _quota_2(group: Path) -> list[float]:
    fields = _text(group / "cpu.max").split()
    return [int(fields[0]) / int(fields[1])] if len(fields) == 2 and fields[0] != "max" else []


def _quota_1(group: Path) -> list[float]:
    quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
    return [int(quota) / int(period)] if quota and period and int(quota) > 0 else []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
