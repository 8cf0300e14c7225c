"""Starts, stops and restarts a municipality's servers, as systemd would; the registry is in ``NATION``.

Imports nothing of ours, so that it costs little.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path


def ended(pid: int) -> bool:
    """Whether a process is over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def keep(action: str, unit: str) -> None:
    """Do it."""
    cell = Path(os.environ["NATION"]) / unit.removeprefix("fleet@").removesuffix(".service")
    noted = cell / "pid"
    if action in {"stop", "restart"} and noted.exists():
        pid = int(noted.read_text())
        noted.unlink()
        os.kill(pid, signal.SIGTERM)
        while not ended(pid):
            time.sleep(0.05)
    if action in {"start", "restart"} and not noted.exists():
        settings = dict(re.findall(r'^(\w+)="(.*)"$', (cell / "fleet.env").read_text(), re.MULTILINE))
        others = {name: value for name, value in os.environ.items() if not name.startswith("FLEET_")}
        with (cell / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "fleet", "server", "run"], cwd=cell / "program", stdout=log, stderr=log,
                env={**others, **settings}, start_new_session=True,
            )  # fmt: skip
        noted.write_text(str(process.pid))


if __name__ == "__main__":
    keep(*sys.argv[1:3])
