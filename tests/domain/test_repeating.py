"""Small work in a thread of its own: again and again, whatever fails, and a last time at the end."""

import threading

import structlog
from flask import Flask, current_app
from sqlalchemy.exc import OperationalError

from fleet.app.repeating import Repeating


def test_it_is_done_again_in_the_applications_context_and_a_last_time_at_the_end(app: Flask) -> None:
    done: list[str] = []
    thrice = threading.Event()

    def work() -> None:
        done.append(current_app.name)
        if len(done) == 3:
            thrice.set()

    repeating = Repeating(app, work, every_s=0.01, name="prøve")
    repeating.start()
    assert thrice.wait(20)
    repeating.stop()
    assert set(done) == {app.name}
    assert "prøve" not in {thread.name for thread in threading.enumerate()}
    rarely = Repeating(app, work, every_s=600, name="sjelden")
    rarely.start()
    number = len(done)
    rarely.stop()
    assert len(done) == number + 1


def test_a_database_that_is_away_and_a_fault_of_ours_are_said_once_and_tried_again(app: Flask) -> None:
    faults: list[Exception] = [OperationalError("", {}, Exception()), LookupError("hemmelig"), ZeroDivisionError()]
    well = threading.Event()

    def work() -> None:
        if faults:
            raise faults.pop(0)
        well.set()

    with structlog.testing.capture_logs() as lines:
        repeating = Repeating(app, work, every_s=0.01, name="prøve")
        repeating.start()
        assert well.wait(20)
        repeating.stop()
    assert [(line["event"], line["kind"]) for line in lines] == [("not done", "OperationalError")]
