"""The demo: a server of its own, a municipality of made-up pupils, and 200 simulated tablets over real HTTP.

The server is the same program that ``scripts/run`` starts; the tablets are the protocol's own code over make-believe
devices, in this process. Everything lives in ``var/demo`` and goes on where it was.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import demo_alerts
import demo_lessons
import demo_seed
import demo_silence
import demo_tablets
from flask import Flask

from agent_protocol.simulated import SimulatedFleet
from fleet import clock, upgrading
from fleet.app import create_app
from fleet.config import Config
from fleet.db import transaction

ROOT = Path(__file__).parents[2]
_SAVE_EVERY_S = 10.0


def _say(text: str) -> None:
    print(f"demo: {text}", file=sys.stderr, flush=True)


def _environ() -> dict[str, str]:
    """Return the environment with the demo's own defaults: a folder of its own, and a quick rhythm to watch."""
    return {
        "FLEET_DATA_DIR": str(ROOT / "var" / "demo"),
        "FLEET_POLL_S": "3",
        "FLEET_REPORT_S": "10",
        **{name: value for name, value in os.environ.items() if value},
    }


@contextlib.contextmanager
def _server(environ: Mapping[str, str], config: Config) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server; ended cleanly afterwards.

    Raises:
        SystemExit: it did not start, or another one is there already.
    """
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://{config.bind}/healthz", timeout=5).close()
        raise SystemExit(f"demo: a server runs on {config.bind} already; stop it, or set FLEET_BIND to another address")
    with (config.data_dir / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fleet", "server", "run"], env=dict(environ), stderr=log, start_new_session=True
        )
    try:
        _wait(process, config)
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], config: Config) -> None:
    """Wait until the server is ready.

    Raises:
        SystemExit: it ended instead.
    """
    while process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"http://{config.bind}/readyz", timeout=5).close()
            return
        time.sleep(0.1)
    told = (config.data_dir / "server.log").read_text().splitlines()[-5:]
    raise SystemExit("\n".join(["demo: the server did not start:", *told]))


def _watch(app: Flask, fleet: SimulatedFleet, path: Path, stopping: threading.Event) -> None:
    """Say how many tablets have come in, and keep their memories for the next start."""
    told, most, since = -1, len(fleet.tablets), clock.now()
    while not stopping.wait(2.0 if told < most else _SAVE_EVERY_S):
        fleet.save(path)
        if told < most and (found := demo_seed.heard(app, since)) != told:
            told = found
            _say(f"{found} of {most} tablets have come in")


def main() -> int:
    """Run the demo until SIGTERM or Ctrl-C; returns the exit code."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    environ = _environ()
    app = create_app(environ=environ)
    config: Config = app.extensions["fleet_config"]
    with app.app_context():
        upgrading.upgrade()
        upgrading.finish()
    notes = demo_seed.fill(app, config.data_dir / "demo.json", clock.now())
    mails = config.data_dir / "mails"
    with demo_alerts.mailbox(mails) as port, _server(environ, config) as server:
        with app.app_context(), transaction():
            demo_alerts.lead_to(port, now=clock.now())
        _say(f"open {config.public_url}")
        for username, password in notes.accounts.items():
            _say(f"  sign in as {username:<16} password {password}")
        _say(f"Mails to them are files in {mails}")
        _say("Ctrl-C stops it; started again it goes on. Logs: " + str(config.data_dir / "server.log"))
        saved = demo_tablets.saved(config.data_dir)
        living = demo_tablets.living(config.public_url, config.data_dir, notes.tickets, demo_silence.QUIET)
        fleet = SimulatedFleet(config.public_url, living, threads=8, first_within_s=20)
        helpers = [
            threading.Thread(target=fleet.run, name="fleet"),
            threading.Thread(target=_watch, args=(app, fleet, saved, stopping), name="watch"),
            threading.Thread(target=demo_lessons.hold, args=(app, stopping, _say), name="lessons"),
        ]
        for helper in helpers:
            helper.start()
        while not stopping.wait(0.5) and server.poll() is None and helpers[0].is_alive():
            pass
        died = not stopping.is_set()
        stopping.set()
        fleet.stop()
        for helper in helpers:
            helper.join()
        fleet.save(saved)
    _say("the server or the tablets ended by themselves; see the log" if died else "stopped")
    return 1 if died else 0


if __name__ == "__main__":
    sys.exit(main())
