"""The demo's lessons: one class after the other gets a minute of one of its teacher's sets, and who had it is told."""

import math
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import demo_data
from flask import Flask
from sqlalchemy import select

from fleet import clock
from fleet.config import Config
from fleet.db import db, reading, transaction
from fleet.errors import FleetError
from fleet.lessons import life, sets, views
from fleet.lessons.models import Lesson, LessonTablet
from fleet.people import accounts
from fleet.schools import queries

SCHOOL = demo_data.SCHOOLS[0]
LASTS = timedelta(seconds=60)
_FIRST_AFTER_S = 30.0
_BETWEEN_S = 45.0
_LOOKED_AFTER_S = 15.0
_MOST_PERCENT = 95


def hold(app: Flask, stopping: threading.Event, say: Callable[[str], None]) -> None:
    """Hold lessons until told to stop, so that there is something to watch."""
    number, pause_s = 0, _FIRST_AFTER_S
    while not stopping.wait(pause_s):
        title = SCHOOL.classes[number % len(SCHOOL.classes)]
        try:
            started = _start(app, title, number)
        except FleetError as error:  # the class was moved meanwhile, or it is the last minute of the day
            say(f"no lesson for {title}: {error}")
            pause_s = _BETWEEN_S
        else:
            pause_s = _BETWEEN_S
            if started is not None:
                lesson_id, words = started
                say(words)
                stopping.wait(_LOOKED_AFTER_S)
                say(f"{title}: {_outcome(app, lesson_id)}")
                pause_s -= _LOOKED_AFTER_S
        number += 1


def _start(app: Flask, title: str, number: int) -> tuple[int, str] | None:
    """Have a class's teacher start a lesson; returns its number and what to say of it.

    None where the teacher has one already: somebody tries the pages, and shall keep the pupils.
    """
    config: Config = app.extensions["fleet_config"]
    now = clock.now()
    with app.app_context(), transaction():
        school_class = queries.find_class(title, school_id=queries.find_school(SCHOOL.name).id)
        teacher = accounts.find(demo_data.teacher_id(SCHOOL, title))
        by = accounts.principal(teacher, today=now.astimezone(config.timezone).date())
        if any(one.starts_at <= now for one in views.listed(by=by, now=now)):
            return None
        shared = sorted((one.set for one in sets.offered(school_class, by=by, now=now)), key=lambda one: one.id)
        given = shared[number % len(shared)]
        lesson = life.start(school_class, given, until=now + LASTS, by=by, now=now, timezone=config.timezone)
        return lesson.id, f"{title} has «{given.title}» for a minute; it ends by itself"


def _outcome(app: Flask, lesson_id: int) -> str:
    """Return how many of those that were present had the lesson, and how soon they had said so."""
    tablet = LessonTablet
    query = select(tablet.arrived_at, Lesson.starts_at).join(tablet.lesson)
    with app.app_context(), reading():
        rows = db.session.execute(query.where(tablet.lesson_id == lesson_id, tablet.granted_at.is_not(None))).all()
    taken = sorted((row.arrived_at - row.starts_at).total_seconds() for row in rows if row.arrived_at is not None)
    return outcome(taken, present=len(rows))


def outcome(taken: Sequence[float], *, present: int) -> str:
    """Return in words how soon most of a class had its lesson.

    Args:
        taken: seconds until each that has it said so, in rising order.
        present: how many there are.
    """
    most = math.ceil(present * _MOST_PERCENT / 100)
    if not taken:
        return f"none of {present} has it" if present else "nobody is here"
    if len(taken) < most:
        return f"only {len(taken)} of {present} had it, the last after {taken[-1]:.1f} s"
    rest = f", {len(taken)} within {taken[-1]:.1f} s" if len(taken) > most else ""
    return f"{most} of {present} had it within {taken[most - 1]:.1f} s{rest}"
