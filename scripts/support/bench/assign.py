"""``assign``: what it costs to give a profile to a municipality of 7,000 tablets, and to take it back.

Two municipalities, one a tenth of the other, of schools, classes and pupils with layered profiles: the number of
statements shall be the same. Each step is a transaction, as from a page, with all that follows a change before its
commit.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from bench import municipality, pages, school
from fleet import clock
from fleet.access import Principal
from fleet.assignments import assigning, publishing
from fleet.assignments.assigning import Place
from fleet.db import db, transaction
from profiles.profile import Profile

CLASSES, QUICK_CLASSES = 250, 10
_BY = Principal.command_line()
_GIVEN = Profile("benk-alle", "Benk: alle", {"apps.blocked": ["no.example.benk"]})


@dataclass(frozen=True, slots=True)
class _Cost:
    seconds: float
    statements: int


def run(*, kind: str, quick: bool) -> dict[str, Any]:
    """Measure an assignment to a municipality.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        quick: a small municipality.
    """
    classes = QUICK_CLASSES if quick else CLASSES
    tenth, _, _ = _measured(kind, classes // 10, rounds=2)
    given, withdrawn, tablets = _measured(kind, classes, rounds=3)
    return {
        "seconds_7000": round(given.seconds * 7_000 / tablets, 2),
        "withdraw_seconds_7000": round(withdrawn.seconds * 7_000 / tablets, 2),
        "statements": given.statements,
        "statements_tenth": tenth.statements,
        "withdraw_statements": withdrawn.statements,
        "tablets": tablets,
        "database": kind,
    }


def _measured(kind: str, classes: int, *, rounds: int) -> tuple[_Cost, _Cost, int]:
    """Return what giving and withdrawing cost, the dearest of some rounds, and how many tablets it was for."""
    with school.ground(kind) as made:
        print(f"bench: a municipality of {classes} classes", file=sys.stderr, flush=True)
        municipality.fill(made.app, classes=classes, authority=school.AUTHORITY, of_a_school=20)
        if kind == "postgresql":
            pages.analyse(made.app)
        with made.app.app_context():
            with transaction():
                draft = publishing.save_draft(_GIVEN, by=_BY, now=clock.now())
                publishing.publish(draft.profile, by=_BY, now=clock.now())
            found = [_round() for _ in range(rounds)]
            db.engine.dispose()
    return _dearest([one[0] for one in found]), _dearest([one[1] for one in found]), found[0][2]


def _dearest(costs: Sequence[_Cost]) -> _Cost:
    """Return the longest time, and the statements of the last, in which nothing is read for the first time."""
    return _Cost(max(one.seconds for one in costs), costs[-1].statements)


def _round() -> tuple[_Cost, _Cost, int]:
    count = [0]

    def note(_connection: Any, _cursor: Any, statement: str, *_told: Any) -> None:
        count[0] += statement != "BEGIN"

    def give() -> tuple[int, int]:
        version = publishing.published(publishing.find(_GIVEN.name))
        assignment, tablets = assigning.assign(version, Place.municipality(), by=_BY, now=clock.now())
        return assignment.id, tablets

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        (number, tablets), given = _cost(give, count)
        _, withdrawn = _cost(lambda: assigning.withdraw(number, by=_BY, now=clock.now()), count)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return given, withdrawn, tablets


def _cost(step: Callable[[], Any], count: list[int]) -> tuple[Any, _Cost]:
    count[0], began = 0, time.perf_counter()
    with transaction():
        done = step()
    return done, _Cost(time.perf_counter() - began, count[0])
