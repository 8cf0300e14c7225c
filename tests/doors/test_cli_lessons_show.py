"""``fleet lessons show``: arrival tablet by tablet, watched if one likes, and the receipt; forecasts against what came."""

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Principal
from fleet.db import db, transaction
from fleet.devices.models import Device
from fleet.lessons import calibration, life, plans, timetable
from tests import factories as make
from tests import lessons
from tests.conftest import NOW
from tests.doors.fleet_command import run
from tests.lessons import MINUTE, OSLO, UNTIL, Room, obeyed, seen

BY = Principal.command_line()


class Clock:
    """A clock that stands until it is set; to sleep is to let the next thing happen."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        self.next: list[Callable[[], None]] = []
        patch.setattr(clock, "now", lambda: self.now)
        patch.setattr(time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        if not self.next:
            raise KeyboardInterrupt
        self.next.pop(0)()


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def room(app: Flask, ticking: Clock) -> Room:
    """Make class 8B with three tablets that wait."""
    with transaction():
        made = lessons.room()
        for number, one in enumerate(made.devices, start=1):
            one.serial = f"AB{number}"
            name(one, f"{number}")
    return made


def name(device: Device, number: str) -> None:
    assert device.person is not None
    device.person.family_name = f"Prøve {number}"
    db.session.flush()


def started(room: Room) -> int:
    with transaction():
        return room.start().id


def obey(ids: list[int], ticking: Clock, *, failures: list[dict[str, str]] | None = None) -> None:
    with transaction():
        obeyed(ids, now=ticking.now, failures=failures or [])


def told(app: Flask, lesson: int) -> Any:
    return json.loads(run(app, "lessons", "show", lesson, "--json").stdout)


def test_a_running_lesson_is_shown_tablet_by_tablet_who_is_missing_first(
    app: Flask, room: Room, ticking: Clock
) -> None:
    lesson = started(room)
    ticking.now += timedelta(seconds=3)
    obey(room.ids[:1], ticking)
    obey(room.ids[1:2], ticking, failures=[{"key": "web.allowed", "reason": "rejected"}])
    lines = run(app, "lessons", "show", lesson).output.splitlines()
    assert lines[0].startswith(f"lesson {lesson}: 8B, Prøveskolen; ")
    assert lines[1].startswith("2026-09-14 10:15-11:00, running; held by Prøve laerer")
    assert lines[1].endswith("; forecast: 3 within 15 s")
    assert lines[2] == "2 of 3 tablets have it; 1 waiting, 1 failed"
    assert [line.split() for line in lines[4:]] == [
        ["tablet", "pupil", "state", "since", "note"],
        ["AB3", "Elev", "Prøve", "3", "waiting", "10:15:00", "last", "report", "never"],
        ["AB2", "Elev", "Prøve", "2", "failed", "10:15:03", "web.allowed:", "rejected"],
        ["AB1", "Elev", "Prøve", "1", "applied", "10:15:03", "-"],
    ]


def test_programs_are_told_the_same(app: Flask, room: Room, ticking: Clock) -> None:
    lesson = started(room)
    obey(room.ids[:1], ticking)
    row = told(app, lesson)
    assert (row["meant"], row["arrived"], row["expected"], row["stage"]) == (3, 1, 3, "running")
    assert row["counts"] == {"applied": 1, "waiting": 2}
    assert [(one["serial"], one["state"]) for one in row["tablets"]] == [
        ("AB2", "waiting"),
        ("AB3", "waiting"),
        ("AB1", "applied"),
    ]
    assert row["tablets"][2]["since"] == "2026-09-14T08:15:00+00:00"


def test_why_a_tablet_is_not_in_is_told(app: Flask, room: Room, ticking: Clock) -> None:
    with transaction():
        group = make.school_class(room.school, "MAT 8B")
        pupil = room.devices[0].person
        assert pupil is not None
        make.membership(pupil, group)
        seen(room.ids[1:2], at=NOW, now=NOW, is_at_school=False)
        seen(room.ids[2:], at=NOW - timedelta(days=1), now=NOW)
    mine = started(room)
    with transaction():
        teacher = lessons.teacher_of(group)
        room.of, room.teacher = group, teacher
        other = room.start(given=room.given).id
    shown = run(app, "lessons", "show", mine).output
    assert "0 of 0 tablets have it; not in it: 1 unseen, 1 elsewhere, 1 taken" in shown
    assert f"  by lesson {other} of MAT 8B (Prøve laerer" in shown
    assert "elsewhere  10:15:00  outside the school's networks" in shown
    assert f"came from lesson {mine}" not in run(app, "lessons", "show", other).output  # as long as it waits
    obey(room.ids[:1], ticking)
    assert f"came from lesson {mine} of 8B" in run(app, "lessons", "show", other).output


def test_afterwards_the_receipt_names_stragglers_first_and_when_the_others_came_back(
    app: Flask, room: Room, ticking: Clock
) -> None:
    lesson = started(room)
    obey(room.ids[:2], ticking)
    ticking.now = UNTIL + 2 * MINUTE
    obey(room.ids[:1], ticking)
    lines = run(app, "lessons", "show", lesson).output.splitlines()
    assert ", over; " in lines[1]
    assert lines[2] == "1 of 2 tablets back at base, 1 not yet; 1 had nothing"
    assert [line.split("  ")[0] for line in lines[5:]] == ["AB2", "AB1", "AB3"]
    assert lines[5].split()[4:] == ["not", "back", "yet", "11:00:00", "last", "report", "10:15"]
    assert lines[6].split()[4:] == ["back", "11:02:00", "-"]
    ticking.now = UNTIL + timedelta(days=1)
    obey(room.ids[1:2], ticking)
    assert "2026-09-15 11:00" in run(app, "lessons", "show", lesson).output  # with the date, as it is another day


def test_watching_shows_progress_until_all_have_it(app: Flask, room: Room, ticking: Clock) -> None:
    lesson = started(room)
    ticking.next = [
        lambda: obey(room.ids[:2], ticking),
        lambda: None,
        lambda: obey(room.ids[2:], ticking),
    ]
    result = run(app, "lessons", "show", lesson, "--watch")
    lines = result.output.splitlines()
    assert (result.exit_code, ticking.next) == (0, [])
    assert lines[:5] == [
        "10:15:00  0 of 3 tablets have it; 3 waiting",
        "10:15:02  2 of 3 tablets have it; 1 waiting",
        "10:15:06  3 of 3 tablets have it",
        "",
        lines[4],
    ]
    assert lines[4].startswith(f"lesson {lesson}: 8B")


def test_watching_afterwards_waits_for_stragglers_and_gives_programs_the_end_only(
    app: Flask, room: Room, ticking: Clock
) -> None:
    lesson = started(room)
    obey(room.ids, ticking)
    ticking.now = UNTIL
    ticking.next = [lambda: obey(room.ids, ticking)]
    result = run(app, "lessons", "show", lesson, "--watch", "--json")
    assert json.loads(result.stdout)["counts"] == {"back": 3}
    assert ticking.next == []


def test_who_has_seen_enough_gets_how_it_stands(app: Flask, room: Room, ticking: Clock) -> None:
    lesson = started(room)
    result = run(app, "lessons", "show", lesson, "--watch")
    assert result.exit_code == 0
    assert "Aborted" not in result.output
    assert result.stdout.startswith("10:15:00  0 of 3 tablets have it; 3 waiting\n\nlesson ")
    assert run(app, "lessons", "show", 0, "--watch").exit_code == 3


def test_a_planned_lesson_is_watched_until_it_has_begun_and_arrived(app: Flask, room: Room, ticking: Clock) -> None:
    begins = NOW + 10 * MINUTE
    with transaction():
        local = begins.astimezone(OSLO)
        ends = (local + 45 * MINUTE).time()
        plans.plan(
            room.of, room.given, on=local.date(), starts_at=local.time(), ends_at=ends, holder_id=None, by=BY,
            now=NOW, timezone=OSLO,
        )  # fmt: skip
        assert timetable.begin_due(now=NOW, timezone=OSLO) == 1
    (row,) = json.loads(run(app, "lessons", "list", "--json").stdout)
    assert row["stage"] == "planned"

    def begin() -> None:
        ticking.now = begins
        obey(room.ids, ticking)

    ticking.next = [begin]
    lines = run(app, "lessons", "show", row["id"], "--watch").output.splitlines()
    assert lines[0] == "10:15:00  3 tablets will have it; 3 waiting"
    assert lines[1] == "10:25:00  3 of 3 tablets have it"


def test_one_that_was_taken_back_says_so(app: Flask, room: Room, ticking: Clock) -> None:
    with transaction():
        lesson = room.start()
        lesson.starts_at = NOW + MINUTE
        db.session.flush()
        life.end(lesson.id, by=BY, now=NOW)
        number = lesson.id
    assert "it was taken back before it began" in run(app, "lessons", "show", number, "--watch").output


def test_what_tablets_tell_does_not_steer_the_terminal(app: Flask, room: Room, ticking: Clock) -> None:
    lesson = started(room)
    obey(room.ids[:1], ticking, failures=[{"key": "web.allowed", "reason": "\x1b[2Jrød"}])
    assert "\\x1b[2Jrød" in run(app, "lessons", "show", lesson).output


def test_forecasts_are_compared_with_what_came(app: Flask, room: Room, ticking: Clock) -> None:
    assert run(app, "lessons", "calibration").output == (
        "no forecast of the last 30 days was compared with what came yet\n"
    )
    started(room)
    obey(room.ids[:2], ticking)
    with transaction():
        calibration.note_outcomes(now=NOW + 5 * MINUTE)
    ticking.now = NOW + timedelta(days=1)
    rows = json.loads(run(app, "lessons", "calibration", "--school", "prøveskolen", "--json").stdout)
    assert [(one["name"], one["tablets"], one["arrived"]) for one in rows] == [("90-100", 3, 2), ("waiting", 3, 2)]
    shown = run(app, "lessons", "calibration").output
    assert shown.startswith("arrived means: within 15 s of the start\n\nforecast_percent  tablets  mean_percent")
    assert "waiting  3        93.0          2        66.7" in shown
    ticking.now = NOW + timedelta(days=8)
    assert json.loads(run(app, "lessons", "calibration", "--days", 7, "--json").stdout) == []
    assert run(app, "lessons", "calibration", "--school", "ingen").exit_code == 3


def test_times_are_the_schools(app: Flask, room: Room, ticking: Clock) -> None:
    winter = datetime.fromisoformat("2026-11-02T08:15:00+00:00")
    ticking.now = winter
    with transaction():
        seen(room.ids, at=winter, now=winter)
        lesson = room.start(now=winter, until=winter + 45 * MINUTE).id
    assert "2026-11-02 09:15-10:00, running" in run(app, "lessons", "show", lesson).output
