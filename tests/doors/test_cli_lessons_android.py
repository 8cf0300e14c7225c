"""Android tablets in ``fleet lessons start`` and ``show``: who needs a network for the end, and what is less."""

import json

import pytest
from flask import Flask

from fleet import clock
from fleet.db import transaction
from profiles.key import HEADWIND
from tests import lessons
from tests.conftest import NOW
from tests.doors.fleet_command import run
from tests.lessons import MINUTE, UNTIL, Room, obeyed, seen


@pytest.fixture
def room(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Make class 8B with two Android tablets and one that ends by its own clock."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    with transaction():
        made = lessons.room()
        lessons.on_channel(HEADWIND, *made.devices[:2])
    return made


def test_before_the_start_it_is_said_who_needs_a_network_and_what_is_less(app: Flask, room: Room) -> None:
    words = ("lessons", "start", "8B", "--apps", "no.bok", "--locked", "--dry-run")
    forecast, less = run(app, *words).output.splitlines()
    needs = "2 tablets on Android must have network when it ends, or keep it until they have"
    assert forecast == f"3 of 3 tablets within 15 s; {needs}"
    assert less.startswith("2 tablets on Android: apps.allowed: apps that nobody names are not shown, but not closed")
    assert less.endswith("; kiosk.app: not locked to it; the other apps are hidden")
    row = json.loads(run(app, *words, "--json").output)
    assert row["end_needs_network"] == 2
    assert row["less"] == [
        {
            "channel": "headwind",
            "tablets": 2,
            "instead": {"apps.allowed": "known-only", "kiosk.app": "hides-others"},
            "missing": [],
        }
    ]
    exam = run(app, "lessons", "start", "8B", "--exam", "no.bok", "--web", "nb.no", "--dry-run").output.splitlines()
    assert "; web.allowed: in Chrome only; other browsers are hidden; not in force: assistant.allowed," in exam[1]


def test_meanwhile_and_afterwards_it_is_said_who_may_stay_in_it(
    app: Flask, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        lesson = room.start().id
        obeyed(room.ids, now=NOW, failures=[{"key": "web.allowed", "reason": "rejected"}])
        seen(room.ids[1:], at=NOW + 10 * MINUTE, now=NOW + 10 * MINUTE)
    monkeypatch.setattr(clock, "now", lambda: NOW + 10 * MINUTE)
    told = run(app, "lessons", "show", lesson).output
    keeps = "no contact since 10:15; keeps the lesson until it has network"
    assert "3 of 3 tablets have it; 3 failed; 1 out of contact may stay in it" in told
    assert told.count(f"web.allowed: rejected; {keeps}") == told.count("no contact") == 1
    row = json.loads(run(app, "lessons", "show", lesson, "--json").output)
    assert (row["end_needs_network"], row["cut_off"]) == (2, 1)
    assert sorted((one["channel"] or "", one["away_since"] or "") for one in row["tablets"]) == [
        ("", ""), ("headwind", ""), ("headwind", "2026-09-14T08:15:00+00:00"),
    ]  # fmt: skip
    monkeypatch.setattr(clock, "now", lambda: UNTIL + MINUTE)
    with transaction():
        obeyed(room.ids[1:], now=UNTIL + MINUTE)
    (line,) = [one for one in run(app, "lessons", "show", lesson).output.splitlines() if "not back yet" in one]
    assert line.endswith(keeps)
