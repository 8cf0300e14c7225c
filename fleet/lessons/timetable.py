"""Planned lessons come to be: made shortly before they begin, left out on a date, planned no more.

These stand above both :mod:`fleet.lessons.plans` and :mod:`fleet.lessons.life`, which asks the former what is planned.
Whoever changes a plan, or makes a lesson of one, takes the turn ``assignments`` and reads after it: so a lesson that is
made in the very minute in which its plan is withdrawn is either not made or taken back.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from fleet import audit
from fleet.access import Permission, Principal
from fleet.db import db, id_set
from fleet.errors import ConflictError, InvalidError
from fleet.lessons import granting, life, members, plans
from fleet.lessons.models import Lesson, LessonPlan
from fleet.people import accounts
from fleet.schools import calendar

AHEAD = timedelta(minutes=20)  # tablets fetch what a lesson needs before it begins, without hurry
AT_ONCE = 20  # lessons made in one transaction: who starts one by hand at 08:15 waits for no more than these


def skip(plan_id: int, on: date, *, by: Principal, now: datetime, timezone: ZoneInfo) -> LessonPlan:
    """Leave out a plan's lesson on a local date; one that was made and has not begun is taken back.

    Raises:
        NotFoundError: there is no such plan, or ``by`` does not teach its class.
        InvalidError: the plan has no lesson that day; data has ``is_done`` where it is left out already.
        ConflictError: the plan is withdrawn, or its lesson has begun by then.
    """
    found = _standing(plan_id, by=by)
    span = plans.lesson_on(found, on, timezone) if plans.falls_on(found, on) else None
    if span is None:
        raise InvalidError(kind="lesson plan", reason="no lesson", on=on, is_done=on.isoformat() in found.skipped)
    if span[0] <= now:
        raise ConflictError(kind="lesson plan", id=plan_id, reason="begun")
    found.skipped = sorted([*found.skipped, on.isoformat()])
    db.session.flush()
    life.cancel_planned(plan_id, span[0], by=by, now=now)
    audit.record(
        by, "lessons.plan-skipped", subject=f"lesson-plan:{plan_id}", now=now, class_id=found.class_id,
        on=on.isoformat(),
    )  # fmt: skip
    return found


def unskip(plan_id: int, on: date, *, by: Principal, now: datetime, timezone: ZoneInfo) -> LessonPlan:
    """Have a plan's lesson on a local date after all.

    Raises:
        NotFoundError: there is no such plan, or ``by`` does not teach its class.
        InvalidError: the date is not left out; data has ``is_done`` where it has a lesson.
        ConflictError: the plan is withdrawn, another one has that time by now, or the lesson was taken back already.
    """
    found = _standing(plan_id, by=by)
    if on.isoformat() not in found.skipped:
        raise InvalidError(kind="lesson plan", reason="not left out", on=on, is_done=plans.falls_on(found, on))
    found.skipped = [one for one in found.skipped if one != on.isoformat()]
    plans.require_alone(found, today=now.astimezone(timezone).date())
    span = plans.lesson_on(found, on, timezone)
    if span is not None and _made({(plan_id, span[0])}):
        raise ConflictError(kind="lesson plan", id=plan_id, reason="taken back")
    audit.record(
        by, "lessons.plan-unskipped", subject=f"lesson-plan:{plan_id}", now=now, class_id=found.class_id,
        on=on.isoformat(),
    )  # fmt: skip
    return found


def withdraw(plan_id: int, *, by: Principal, now: datetime) -> LessonPlan:
    """Plan this no more; a lesson that was made and has not begun is taken back, one that has begun goes on.

    Raises:
        NotFoundError: there is no such plan, or ``by`` does not teach its class.
        ConflictError: it is withdrawn already; data has ``is_done``.
    """
    found = _standing(plan_id, by=by, is_withdrawal=True)
    found.withdrawn_at = now
    db.session.flush()
    waiting = select(Lesson.starts_at).where(Lesson.plan_id == plan_id, Lesson.starts_at > now)
    for starts_at in db.session.scalars(waiting).all():
        life.cancel_planned(plan_id, starts_at, by=by, now=now)
    audit.record(
        by, "lessons.plan-withdrawn", subject=f"lesson-plan:{plan_id}", now=now, class_id=found.class_id,
    )  # fmt: skip
    return found


def _standing(plan_id: int, *, by: Principal, is_withdrawal: bool = False) -> LessonPlan:
    granting.begin_turn()
    found = plans.get(plan_id, by=by, for_change=True)
    if found.withdrawn_at is not None:
        raise ConflictError(kind="lesson plan", id=plan_id, reason="withdrawn already", is_done=is_withdrawal)
    return found


@dataclass(frozen=True, slots=True)
class _Due:
    plan: LessonPlan
    starts_at: datetime
    ends_at: datetime


def begin_due(*, now: datetime, timezone: ZoneInfo, ahead: timedelta = AHEAD) -> int:
    """Make lessons that begin soon, or have begun meanwhile; returns how many, a few at once: repeat until none is.

    A plan gives none while its class, school or set is gone, or its holder may not teach the class (any more), or not
    then: the school's hours may be others by now. A lesson that would last too long by now is made shorter.
    """
    if not _due(now, timezone, ahead):
        return 0
    granting.begin_turn()
    calendars = calendar.load(timezone)
    due = _due(now, timezone, ahead)
    allowed = (
        one for one in (_allowed(each, calendars, timezone) for each in due) if one is not None and one.ends_at > now
    )
    making = list(islice(allowed, AT_ONCE))
    # All at once and in their one order: check-ins take the same rows, of several classes too.
    granting.hold(members.ever({one.plan.class_id for one in making}))
    for one in making:
        life.begin_planned(
            one.plan, starts_at=one.starts_at, ends_at=one.ends_at, calendars=calendars, now=now, timezone=timezone
        )
    return len(making)


def _allowed(due: _Due, calendars: life.Calendars, timezone: ZoneInfo) -> _Due | None:
    """Return a lesson as far as its holder may hold it; None where not at all."""
    at, who = due.plan.school_class, Principal.command_line()
    if due.plan.holder is not None:
        who = accounts.principal(due.plan.holder, today=due.starts_at.astimezone(timezone).date())
    if not who.may(Permission.TEACH, school_id=at.school_id, class_id=at.id):
        return None
    limits = life.allowed_until(at, due.starts_at, by=who, calendars=calendars)
    return replace(due, ends_at=min(due.ends_at, limits.latest)) if limits is not None else None


def _due(now: datetime, timezone: ZoneInfo, ahead: timedelta) -> list[_Due]:
    """Return what begins until then or runs now, and was not made yet; one statement where there is none."""
    until = now + ahead
    local, local_until = now.astimezone(timezone), until.astimezone(timezone)
    query = plans.living({local.date(), local_until.date()})
    if local.date() == local_until.date() and local.utcoffset() == local_until.utcoffset():
        # Lessons lie within their local times; across midnight or a change of the clocks all of the day are looked at.
        query = query.where(LessonPlan.starts_at <= local_until.time(), LessonPlan.ends_at > local.time())
    query = query.options(joinedload(LessonPlan.holder)).execution_options(populate_existing=True)
    found = db.session.scalars(query).all()
    if not found:
        return []
    calendars = calendar.load(timezone)
    due = [
        _Due(one, *span)
        for one in found
        for span in plans.occurrences(one, since=now, until=until, calendar=calendars[one.school_class.school_id])
    ]
    made = _made({(one.plan.id, one.starts_at) for one in due})
    return [one for one in due if (one.plan.id, one.starts_at) not in made]


def _made(wanted: Collection[tuple[int, datetime]]) -> set[tuple[int, datetime]]:
    """Return for which of these plans and starts there is a lesson, ended ones too."""
    if not wanted:
        return set()
    query = select(Lesson.plan_id, Lesson.starts_at).where(
        Lesson.plan_id.in_(id_set({plan_id for plan_id, _starts_at in wanted})),
        Lesson.starts_at.in_({starts_at for _plan_id, starts_at in wanted}),
    )
    return {(int(plan_id or 0), starts_at) for plan_id, starts_at in db.session.execute(query)} & set(wanted)
