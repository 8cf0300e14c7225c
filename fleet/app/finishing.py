"""Does what an upgrade has left, indexes of large tables most often, in a thread beside the work of a server that runs.

It may have to wait for hours, for a backup for instance, or fail: the server answers meanwhile, and it is tried again
until it is done, here or by another.
"""

import threading
from collections.abc import Callable

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from fleet import upgrading

_AGAIN_S = 60.0
_log = structlog.get_logger("finishing")


def start(app: Flask, *, again_s: float = _AGAIN_S) -> Callable[[], None]:
    """Begin; returns what ends it.

    Args:
        app: the application.
        again_s: after how long to see again whether it is done.
    """
    ending = threading.Event()

    def run() -> None:
        while not _is_done(app) and not ending.wait(again_s):
            pass

    # A daemon, and not waited for at the end: an index that is broken off is made anew by whoever starts next.
    threading.Thread(target=run, name="finishing", daemon=True).start()
    return ending.set


def _is_done(app: Flask) -> bool:
    """Do it, or see that it is done; a fault is for the next time."""
    try:
        with app.app_context():
            return upgrading.finish()
    except SQLAlchemyError as error:
        _log.warning("upgrade not finished", kind=type(error).__name__)
        return False
