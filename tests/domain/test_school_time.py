"""The rhythm follows the schools' calendars without waiting for the database."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from fleet.access import Principal
from fleet.app import create_app
from fleet.app.school_time import SchoolTime
from fleet.db import db, transaction
from fleet.schools import calendar_editing
from tests import factories

MONDAY_AT_TEN = datetime(2026, 9, 14, 8, 0, tzinfo=UTC)  # 10:00 in Oslo
SUNDAY = MONDAY_AT_TEN - timedelta(days=1)


@pytest.fixture
def served(fresh_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Return an application on a database of its own: calendars are read in another thread."""
    environ = {
        "FLEET_DATABASE_URL": fresh_url,
        "FLEET_DATA_DIR": str(tmp_path),
        "FLEET_PUBLIC_URL": "http://fleet.test",
    }
    app = create_app(environ=environ)
    with app.app_context(), transaction():
        factories.school()
    yield app
    with app.app_context():
        db.engine.dispose()


def settled(asked: SchoolTime, now: datetime, expected: bool) -> bool:
    """Ask until the reading in the background has made the answer what is expected."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if asked(now) is expected:
            return True
        time.sleep(0.01)
    return False


def test_the_calendars_decide_once_they_are_read(served: Flask) -> None:
    asked = SchoolTime(served)
    assert settled(asked, SUNDAY, expected=False)
    assert asked(MONDAY_AT_TEN)
    asked.finish()


def test_every_hour_is_busy_while_the_calendars_cannot_be_read(tmp_path: Path) -> None:
    app = create_app(environ={"FLEET_DATA_DIR": str(tmp_path), "FLEET_PUBLIC_URL": "http://fleet.test"})
    asked = SchoolTime(app)  # a database without tables
    for minutes in range(0, 60, 6):
        assert asked(SUNDAY + timedelta(minutes=minutes))
        time.sleep(0.01)
    assert settled(asked, SUNDAY, expected=True)
    asked.finish()
    with app.app_context():
        db.engine.dispose()


def test_a_changed_calendar_counts_after_some_minutes(served: Flask) -> None:
    asked = SchoolTime(served)
    assert settled(asked, SUNDAY, expected=False)
    with served.app_context(), transaction():
        calendar_editing.set_day(
            SUNDAY.date(), school_id=None, is_school_day=True, title="Åpen dag", by=Principal.command_line(), now=SUNDAY
        )
    assert settled(asked, SUNDAY + timedelta(minutes=6), expected=True)
    asked.finish()


def test_a_changed_calendar_counts_although_the_clock_was_set_back(served: Flask) -> None:
    asked, earlier = SchoolTime(served), SUNDAY - timedelta(days=7)
    assert settled(asked, SUNDAY, expected=False)
    with served.app_context(), transaction():
        calendar_editing.set_day(
            earlier.date(),
            school_id=None,
            is_school_day=True,
            title="Åpen dag",
            by=Principal.command_line(),
            now=earlier,
        )
    assert settled(asked, earlier, expected=True)
    asked.finish()


def test_school_is_near_three_quarters_of_an_hour_before_the_first_bell_and_until_the_last(served: Flask) -> None:
    asked = SchoolTime(served)
    assert settled(asked, SUNDAY, expected=False)
    near = {
        told: asked.is_near(datetime.fromisoformat(f"2026-09-14T{told}:00+02:00"))
        for told in ("07:29", "07:31", "08:14", "08:15", "14:29", "14:31", "18:00")
    }
    assert near == {
        "07:29": False, "07:31": True, "08:14": True, "08:15": True, "14:29": True, "14:31": False, "18:00": False,
    }  # fmt: skip
    asked.finish()
