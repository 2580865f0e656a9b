"""On what it was measured: enough to compare, nothing that names the machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.peers.base import Peer


def description() -> str:
    """The processor's model, and how many of it."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}"


def _processor() -> str:
    try:
        said = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    model = re.search(r"^model name\s*:\s*(.+)$", said, re.MULTILINE)
    return model.group(1).strip() if model else platform.machine()


def versions(peers: Iterable[type[Peer]]) -> dict[str, str]:
    """Of Python, of the peers' distributions, and of Redis where it runs."""
    names = {name for peer in peers for name in peer.packages} | {"uvloop"}
    found = {"Python": platform.python_version()}
    for name in sorted(names):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    redis = _redis()
    return found | ({"Redis": redis} if redis else {})


def _redis() -> str | None:
    if shutil.which("redis-server") is None:
        return None
    said = subprocess.run(
        ["redis-server", "--version"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"v=(\S+)", said)
    return found.group(1) if found else None
