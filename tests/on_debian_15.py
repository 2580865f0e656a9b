"""Run the tests on a throw-away server of Debian's PostgreSQL 15: ``python -m tests.on_debian_15``.

Arguments go to pytest. Where postgresql-15 is not installed, it says so and is content. Tests that
need no server, or that start both versions themselves, are left to ``make test``.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.faults.server import Debian15, throw_away

ELSEWHERE = ("--ignore=tests/unit", "--ignore=tests/migrations")


def main() -> int:
    missing = Debian15.missing()
    if missing:
        sys.stdout.write(f"Skipped: {missing}\n")
        return 0
    with throw_away(Debian15) as server:
        environment = os.environ | {"DIGITWIN_TEST_URL": server.url}
        return subprocess.run(
            [sys.executable, "-m", "pytest", *ELSEWHERE, *sys.argv[1:]], env=environment
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
