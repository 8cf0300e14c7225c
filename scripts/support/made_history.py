"""A year that was never lived: figures of days, findings, lessons, incidents and questions, for the demo and the bench.

Figures only, nobody's, and the same every time. Days off are those of Norwegian schools, roughly.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import insert

from fleet.compliance.models import Answer, FindingKind, Incident, IncidentCause, Question
from fleet.db import db
from fleet.reports.models import DayClasses, DayFigures, DayFindings, DayLessons

_KINDS = {
    FindingKind.OS_OUTDATED: 0.05, FindingKind.APP_MISSING: 0.02, FindingKind.SILENT: 0.012,
    FindingKind.STORAGE_LOW: 0.03, FindingKind.PASSCODE_MISSING: 0.006, FindingKind.APP_BLOCKED: 0.03,
    FindingKind.CLOCK_WRONG: 0.002, FindingKind.MISSING: 0.001,
}  # fmt: skip
_AT_ONCE = 5_000


@dataclass(frozen=True)
class Made:
    """What history is made of.

    Args:
        tablets: of each school, by its number.
        classes: of each school: number of the class and of its tablets.
        devices: some tablets, for questions about them.
    """

    tablets: Mapping[int | None, int]
    classes: Mapping[int, Sequence[tuple[int, int]]]
    devices: Sequence[int]


def fill(made: Made, *, now: datetime, days: int) -> None:
    """Write the days before today, in the running transaction."""
    chance, today = random.Random(7), now.date()  # noqa: S311 (figures to look at)
    dates = [today - timedelta(days=back) for back in range(days, 0, -1)]
    for model, rows in (
        (DayFigures, _figures(made, dates, chance)),
        (DayClasses, _classes(made, dates, chance)),
        (DayFindings, _findings(made, dates, chance)),
        (DayLessons, _lessons(made, dates, chance)),
    ):
        told = list(rows)
        for start in range(0, len(told), _AT_ONCE):
            db.session.execute(insert(model), told[start : start + _AT_ONCE])
    _silences(made, dates, chance, now)


def has_school(on: date) -> bool:
    """Whether pupils are at school, roughly."""
    week = on.isocalendar().week
    is_holiday = week in {8, 27, 28, 29, 30, 31, 32, 40, 52, 1} or (on.month, on.day) in {(5, 1), (5, 17)}
    return on.weekday() < 5 and not is_holiday


def _order(place: int, length: int, chance: random.Random) -> float:
    """Return which share is in order: better over the year, worse after a new version of the system."""
    slow = 0.86 + 0.11 * place / max(1, length)
    return min(0.99, slow - (0.06 if place % 90 < 12 else 0) + chance.uniform(-0.006, 0.006))


def _state(tablets: int, on: date, share: float, chance: random.Random) -> dict[str, Any]:
    seen = chance.uniform(0.9, 0.97) if has_school(on) else chance.uniform(0.02, 0.12)
    enrolled = round(tablets * 0.985)
    return {
        "on": on, "tablets": tablets, "enrolled": enrolled, "seen": round(enrolled * seen),
        "applied": round(enrolled * min(0.995, share + 0.05)), "compliant": round(enrolled * share),
    }  # fmt: skip


def _figures(made: Made, dates: Sequence[date], chance: random.Random) -> Iterator[dict[str, Any]]:
    for number, (school_id, tablets) in enumerate(made.tablets.items()):
        for place, on in enumerate(dates):
            share = _order(place, len(dates), chance) - 0.012 * (number % 5)
            lessons = chance.randint(3, 14) if has_school(on) else 0
            yield {"school_id": school_id, "lessons": lessons, **_state(tablets, on, share, chance)}


def _classes(made: Made, dates: Sequence[date], chance: random.Random) -> Iterator[dict[str, Any]]:
    for classes in made.classes.values():
        for class_id, tablets in classes:
            for place, on in enumerate(dates):
                yield {"class_id": class_id, **_state(tablets, on, _order(place, len(dates), chance), chance)}


def _findings(made: Made, dates: Sequence[date], chance: random.Random) -> Iterator[dict[str, Any]]:
    for school_id, tablets in made.tablets.items():
        for kind, share in _KINDS.items():
            standing = tablets * share
            for place, on in enumerate(dates):
                standing *= chance.uniform(1.15, 1.3) if place % 90 < 4 else chance.uniform(0.97, 1.02)
                standing = max(tablets * share * 0.6, min(standing, tablets * share * 2))
                moved = round(standing * chance.uniform(0.02, 0.12)) if has_school(on) else 0
                number = round(standing)
                yield {
                    "school_id": school_id, "on": on, "kind": kind.value, "open": number, "opened": moved,
                    "closed": round(moved * chance.uniform(0.8, 1.2)), "tablets": number,
                }  # fmt: skip


def _lessons(made: Made, dates: Sequence[date], chance: random.Random) -> Iterator[dict[str, Any]]:
    for school_id, classes in made.classes.items():
        for number, (class_id, tablets) in enumerate(classes):
            for on in dates:
                lessons = chance.choice((0, 0, 1, 1, 2, 3)) if has_school(on) and number % 7 else 0
                if lessons:
                    yield {
                        "school_id": school_id, "class_id": class_id, "on": on, "lessons": lessons,
                        "minutes": lessons * chance.randint(30, 60), "tablets": max(3, tablets),
                    }  # fmt: skip


def _silences(made: Made, dates: Sequence[date], chance: random.Random, now: datetime) -> None:
    """Write an incident each other week, and questions on school days."""
    schools = [one for one in made.tablets if one is not None]
    days = [on for on in dates if has_school(on)]
    causes = list(IncidentCause)
    incidents: list[dict[str, Any]] = []
    questions: list[dict[str, Any]] = []
    for place, on in enumerate(days):
        morning = datetime.combine(on, time(8, 10), UTC)
        if place % 10 == 3 and schools:
            cause = causes[place // 10 % len(causes)]
            most = 400 if cause is IncidentCause.EVERYWHERE else chance.randint(18, 90)
            school_id = None if cause is IncidentCause.EVERYWHERE else chance.choice(schools)
            incidents.append({
                "school_id": school_id, "cause": cause, "about": {}, "began_at": morning,
                "opened_at": morning + timedelta(minutes=45),
                "closed_at": morning + timedelta(minutes=chance.randint(60, 600)),
                "most": most, "of": most + chance.randint(0, 30),
            })  # fmt: skip
        for device_id in chance.sample(list(made.devices), k=min(2, len(made.devices))):
            asked_at = morning + timedelta(hours=3)
            answer = chance.choice([*Answer, Answer.HERE, Answer.HOME, None])
            questions.append({
                "device_id": device_id, "asked_at": asked_at, "answer": answer,
                "escalated_at": asked_at + timedelta(hours=2) if chance.random() < 0.2 else None,
                "answered_at": asked_at + timedelta(minutes=40) if answer is not None else None,
                "withdrawn_at": min(now, asked_at + timedelta(hours=20)) if answer is None else None,
            })  # fmt: skip
    for model, rows in ((Incident, incidents), (Question, questions)):
        if rows:
            db.session.execute(insert(model), rows)
