"""Several at the same time: each task in a thread and a transaction of its own, on a database that ``own_app`` has."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from flask import Flask

from fleet.db import transaction
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
