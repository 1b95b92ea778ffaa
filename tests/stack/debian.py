"""Install a missing tool from Debian's packages, where that is allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def install(package: str) -> bool:
    """Install ``package`` with apt-get; ``False`` where that cannot be done (not root, no such package)."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    if not _known(package):
        _apt("update")
        if not _known(package):
            return False
    print(f"installing Debian's package {package}", file=sys.stderr)
    return _apt("install", "-y", "--no-install-recommends", package)


def _known(package: str) -> bool:
    shown = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False).stdout
    return "Candidate:" in shown and "Candidate: (none)" not in shown


def _apt(*arguments: str) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return (
        subprocess.run(["apt-get", "-qq", *arguments], env=environment, stdout=sys.stderr, check=False).returncode == 0
    )
