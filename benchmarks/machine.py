"""What it was measured on: enough to compare, nothing that names the machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmarks import node
from benchmarks.peers import Entry


def description() -> str:
    """The processor's model, and how many cores."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    processor = model[1].strip() if model else platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}"


def versions(peers: Iterable[Entry]) -> dict[str, str]:
    """Those of Python, of the peers' packages, and of Node.js and Redis if they are installed."""
    names = {name for peer in peers for name in peer.packages}
    names |= {"uvloop"} if find_spec("uvloop") else set()
    found = {"Python": platform.python_version(), **{n: version(n) for n in sorted(names)}}
    if not node.missing():
        found |= node.versions()
    if shutil.which("redis-server"):
        text = subprocess.check_output(["redis-server", "--version"], text=True)
        found["Redis"] = text.partition("v=")[2].split()[0]
    return found
