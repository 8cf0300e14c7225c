"""Reports that go out by mail: who has asked for which, how often, and what is due.

Times are local mornings: Monday's, or that of the first of a month. What a report then has is what its account may see
at that moment. Not here: making the file (:mod:`fleet.reports.exports`) and putting it into a letter, which the
application joins.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select

from fleet import audit
from fleet.access import Principal
from fleet.db import carry_out, db
from fleet.errors import ConflictError, ForbiddenError, NotFoundError
from fleet.people.models import Account
from fleet.reports import definitions, exports
from fleet.reports.definitions import narrowed
from fleet.reports.models import Export, Format, ReportSchedule, Rhythm
from fleet.reports.parameters import Parameters

GOES_AT = time(6, 45)  # so that it is there when work begins
MOST = 20  # of one account
_LANGUAGE = "nb"  # of an account that has chosen none


class TooManySchedulesError(ConflictError):
    """An account has as many reports by mail as it may. Data: ``most``."""

    code = "too-many-schedules"


def following(rhythm: Rhythm, now: datetime, timezone: ZoneInfo) -> datetime:
    """Return the next time a report of this rhythm goes out, after an instant."""
    local = now.astimezone(timezone)
    on = local.date()
    if rhythm is Rhythm.WEEKLY:
        on += timedelta(days=-on.weekday() % 7)
        step = timedelta(days=7)
        return next(one for one in (_morning(on, timezone), _morning(on + step, timezone)) if one > now)
    firsts = (on.replace(day=1), (on.replace(day=1) + timedelta(days=32)).replace(day=1))
    return next(one for one in (_morning(first, timezone) for first in firsts) if one > now)


def _morning(on: date, timezone: ZoneInfo) -> datetime:
    return datetime.combine(on, GOES_AT, timezone)


def add(
    report: str, given: Parameters, form: Format, rhythm: Rhythm, *, by: Principal, now: datetime, timezone: ZoneInfo
) -> ReportSchedule:
    """Have a report mailed to oneself.

    Args:
        report: its name.
        given: what it is asked about; not days of one's own, which would be the same each time.
        form: as what.
        rhythm: how often.
        by: who asks: an account.
        now: the instant.
        timezone: the schools' local time.

    Raises:
        ForbiddenError: no account asks, or the report is not for it.
        NotFoundError: there is no such report, school or class for it.
        InvalidError: the parameters name days of one's own.
        TooManySchedulesError: the account has many already.
    """
    if by.account_id is None:
        raise ForbiddenError(permission="account")
    told = narrowed(definitions.find(report, by=by), given).lasting()
    definitions.build(report, told, by=by, now=now, timezone=timezone)  # what it may not see it may not be sent
    counting = select(func.count()).select_from(ReportSchedule).where(ReportSchedule.account_id == by.account_id)
    if (db.session.scalar(counting) or 0) >= MOST:
        raise TooManySchedulesError(most=MOST)
    made = ReportSchedule(
        account_id=by.account_id, report=report, parameters=dict(told.told()), format=form, rhythm=rhythm,
        next_at=following(rhythm, now, timezone), created_at=now,
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    audit.record(by, "reports.scheduled", subject=f"account:{by.account_id}", now=now, name=report)
    return made


def own(by: Principal) -> Sequence[ReportSchedule]:
    """Return what an account has asked to be mailed; one statement."""
    query = select(ReportSchedule).where(ReportSchedule.account_id == by.account_id).order_by(ReportSchedule.id)
    return db.session.scalars(query).all()


def remove(number: int, *, by: Principal, now: datetime) -> None:
    """Have a report mailed no more.

    Raises:
        NotFoundError: there is none of this number that is the account's own.
    """
    found = db.session.get(ReportSchedule, number)
    if found is None or by.account_id is None or found.account_id != by.account_id:
        raise NotFoundError(kind="report-schedule", name=str(number))
    report = found.report
    carry_out(delete(Export).where(Export.schedule_id == found.id))
    db.session.delete(found)
    audit.record(by, "reports.unscheduled", subject=f"account:{by.account_id}", now=now, name=report)


def ask_due(*, now: datetime, timezone: ZoneInfo, at_most: int = 100) -> int:
    """Ask for the files that are to go out, at most so many at once; returns how many. For a job.

    What was missed while the server stood goes out once, not once for each time.
    """
    query = select(ReportSchedule, Account.language).join(Account, Account.id == ReportSchedule.account_id)
    query = query.where(ReportSchedule.next_at <= now).order_by(ReportSchedule.next_at).limit(at_most)
    rows = db.session.execute(query.with_for_update(of=ReportSchedule, skip_locked=True)).all()
    for one, language in rows:
        exports.ask_for_letter(one, language=language or _LANGUAGE, now=now)
        one.next_at = following(one.rhythm, now, timezone)
    db.session.flush()
    return len(rows)
