"""Several at the same time: each task in a thread and a transaction of its own, on a database that ``own_app`` has."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from flask import Flask
from sqlalchemy import text

from fleet.db import db, transaction
from fleet.errors import FleetError


def together(app: Flask, tasks: Sequence[Callable[[], object]]) -> list[object]:
    """Run each task in a thread and transaction of its own, all starting at once; an error of the domain is a result."""
    start = Barrier(len(tasks))

    def run(task: Callable[[], object]) -> object:
        with app.app_context():
            start.wait(timeout=30)
            try:
                with transaction():
                    return task()
            except FleetError as error:
                return error

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


def waits_for_a_lock(*, of: int = 1) -> None:
    """Wait until so many connections wait for each other's locks; PostgreSQL only."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    for _ in range(500):
        with db.engine.connect() as connection:
            if connection.scalar(waiting) >= of:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")
