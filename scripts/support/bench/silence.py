"""``silence``: what one look of the job costs in a municipality of 7,000 tablets, on three kinds of days.

* ``usual``: half past ten of a school day, 3 % of all tablets quiet since the evening before, most with their habits.
* ``outage``: the first look after nothing was heard from anywhere for a school day: all are late.
* ``nothing``: every tablet was heard a moment ago.

Each look is a transaction, with what follows it, that is undone instead of committed, so that the next one finds the
same; memory is what Python held at most beyond what it held before, in one more look. The same is asked of a tenth of
the tablets: the statements are as many.
"""

import os
import sys
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from sqlalchemy import delete, event, insert, select, update

from bench import municipality, pages, processes, school
from fleet.compliance import silence
from fleet.compliance.models import DeviceHabit
from fleet.compliance.silence import Done
from fleet.db import db, id_set, run_followers, transaction
from fleet.devices.models import Device, DeviceState, Enrolment
from fleet.schools.models import CalendarDay, SchoolHours

CLASSES, QUICK_CLASSES, OF_A_SCHOOL = 250, 30, 20
ROUNDS, QUICK_ROUNDS = 5, 1
QUIET_EVERY = 33  # three of a hundred
_OSLO = ZoneInfo("Europe/Oslo")
_USUAL = datetime(2026, 9, 15, 10, 30, tzinfo=_OSLO)  # a Tuesday
_EVENING = datetime(2026, 9, 14, 20, 0, tzinfo=_OSLO)
_AFTER = datetime(2026, 9, 15, 14, 30, tzinfo=_OSLO)
_ENROLLED = datetime(2026, 8, 17, 9, 0, tzinfo=_OSLO)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a look cost: the median's seconds, processor time (the database's too), statements, mebibytes, what came."""

    seconds: float
    cpu_s: float
    statements: int
    mib: float
    done: Done


@dataclass(frozen=True, slots=True)
class _Watch:
    """Looks some times over, and once more for the memory; ``pids`` are the processes that take part."""

    rounds: int
    pids: Sequence[int]

    def cost(self, now: datetime) -> Cost:
        """Return what a look costs."""
        count = [0]

        def note(_connection: Any, _cursor: Any, statement: str, *_told: Any) -> None:
            count[0] += statement != "BEGIN"

        event.listen(db.engine, "before_cursor_execute", note)
        times = []
        for _ in range(self.rounds + 1):
            count[0], began, cpu_s = 0, time.perf_counter(), self._cpu_s()
            done = _look(now)
            times.append((time.perf_counter() - began, self._cpu_s() - cpu_s))
        event.remove(db.engine, "before_cursor_execute", note)
        tracemalloc.start()
        _look(now)
        mib = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        seconds, cpu_s = sorted(times[1:])[self.rounds // 2]  # the first one compiles statements
        return Cost(seconds, cpu_s, count[0], mib, done)

    def _cpu_s(self) -> float:
        return sum(map(processes.cpu_s, self.pids))


def run(*, kind: str, quick: bool) -> dict[str, Any]:
    """Measure looks of the job.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        quick: a small municipality.

    Raises:
        SystemExit: a look does not find what it was made to find.
    """
    classes = QUICK_CLASSES if quick else CLASSES
    few = _at(kind, classes // 10, rounds=1)
    many = _at(kind, classes, rounds=QUICK_ROUNDS if quick else ROUNDS)
    told: dict[str, Any] = {"tablets": classes * municipality.PUPILS}
    for name, one in many.items():
        told |= {
            f"{name}_seconds": round(one.seconds, 2),
            f"{name}_cpu_s": round(one.cpu_s, 2),
            f"{name}_statements": one.statements,
            f"{name}_statements_tenth": few[name].statements,
            f"{name}_mib": round(one.mib, 1),
        }
    usual, outage = many["usual"].done, many["outage"].done
    return told | {
        "seconds_worst": max(told[f"{name}_seconds"] for name in many),
        "statements_most": max(one.statements for one in many.values()),
        "usual_asked": usual.asked,
        "outage_incidents": outage.incidents,
        "outage_members": outage.tablets,
    }


def _at(kind: str, classes: int, *, rounds: int) -> dict[str, Cost]:
    """Measure the three looks in a municipality of so many classes."""
    with school.ground(kind) as made:
        print(f"bench: filling a municipality of {classes} classes", file=sys.stderr, flush=True)
        municipality.fill(made.app, classes=classes, authority=school.AUTHORITY, of_a_school=OF_A_SCHOOL)
        with made.app.app_context():
            devices = _lived_in()
            if kind == "postgresql":
                pages.analyse(made.app)
            watch = _Watch(rounds, [one for one in (os.getpid(), made.database_pid) if one is not None])
            found = {
                "usual": _usual(devices, watch),
                "outage": _outage(devices, watch),
                "nothing": _nothing(watch),
            }
            db.engine.dispose()
    return found


def _lived_in() -> Sequence[int]:
    """Have tablets been in use for a month, with their habits, and school be as in any week; returns their ids."""
    with transaction():
        for made in (CalendarDay, SchoolHours):  # that made it school at any hour
            db.session.execute(delete(made))
        db.session.execute(update(Device).values(created_at=_ENROLLED))
        db.session.execute(update(Enrolment).values(enrolled_at=_ENROLLED))
        devices = db.session.scalars(select(Device.id).order_by(Device.id)).all()
        whole = 2**20 - 1
        same = {"counted_on": date(2026, 9, 14), "days": 20, "heard": whole, "heard_late": 0, "heard_away": whole}
        db.session.execute(insert(DeviceHabit), [{"device_id": one, **same} for one in devices])
    return devices


def _heard(at: datetime, device_ids: Sequence[int] | None = None) -> None:
    heard = update(DeviceState).values(last_seen_at=at)
    if device_ids is not None:
        heard = heard.where(DeviceState.device_id.in_(id_set(device_ids)))
    with transaction():
        db.session.execute(heard)


def _usual(devices: Sequence[int], watch: _Watch) -> Cost:
    """Most are heard; some are quiet since yesterday evening, and some for so long that they are asked about."""
    quiet = devices[::QUIET_EVERY]
    _heard(_USUAL - timedelta(minutes=4))
    _heard(_EVENING, quiet)
    _heard(_EVENING - timedelta(hours=8), quiet[::4])
    found = watch.cost(_USUAL)
    asked = len(quiet[::4])
    _require(found, is_so=found.done == Done(tablets=asked, opened=asked, asked=asked))
    return found


def _outage(devices: Sequence[int], watch: _Watch) -> Cost:
    _heard(_EVENING)
    found = watch.cost(_AFTER)
    _require(found, is_so=found.done == Done(tablets=len(devices), incidents=1))
    return found


def _nothing(watch: _Watch) -> Cost:
    _heard(_AFTER - timedelta(minutes=4))
    found = watch.cost(_AFTER)
    _require(found, is_so=found.done == Done())
    return found


def _require(found: Cost, *, is_so: bool) -> None:
    if not is_so:
        raise SystemExit(f"bench: a look found {found.done}")


class _UndoneError(Exception):
    """Ends a look without keeping what it did. Data: the first argument is what that was."""


def _look(now: datetime) -> Done:
    try:
        with transaction():
            done = silence.review(now=now, timezone=_OSLO)
            run_followers()
            _undo(done)
    except _UndoneError as undone:
        found: Done = undone.args[0]
    return found


def _undo(done: Done) -> NoReturn:
    raise _UndoneError(done)
