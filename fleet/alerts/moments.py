"""When a letter is due. Pure.

Invariants: a digest comes on school days only; nobody is disturbed before :data:`~fleet.alerts.topics.EARLIEST`, after
:data:`~fleet.alerts.topics.LATEST` or on a day off, but by what is serious and was chosen to come at once.
"""

from datetime import datetime, time, timedelta

from fleet.alerts.topics import EARLIEST, LATEST
from fleet.compliance.models import Severity
from fleet.schools.calendar import Calendar

GATHER = timedelta(minutes=2)  # what happens together comes in one letter
LATE = timedelta(hours=1)  # a letter that is later than that was held up
_LOOK_DAYS = 200  # longer than any summer


def digest_moment(calendar: Calendar, at: time, now: datetime) -> datetime:
    """Return when the next digest is due.

    Args:
        calendar: of the school, or of the municipality.
        at: the reader's local time.
        now: the instant; the digest is later.
    """
    return _next(calendar, at, now)


def at_once_moment(calendar: Calendar, severity: Severity, now: datetime) -> datetime:
    """Return when what was chosen to come at once is due.

    Args:
        calendar: of the school, or of the municipality.
        severity: how much it matters.
        now: the instant.
    """
    local = now.astimezone(calendar.timezone)
    is_day = EARLIEST <= local.time() < LATEST and calendar.is_school_day(local.date())
    return now + GATHER if severity is Severity.SERIOUS or is_day else _next(calendar, EARLIEST, now)


def held_until(calendar: Calendar, due_at: datetime, now: datetime) -> datetime | None:
    """Return until when what can wait is held, None where it may go now.

    A mail server that is back at night wakes nobody, and a day that has become a day off is one.

    Args:
        calendar: of the school, or of the municipality.
        due_at: when it was to come.
        now: the instant.
    """
    local = now.astimezone(calendar.timezone)
    is_hour = EARLIEST <= local.time() < LATEST or now - due_at < LATE
    return None if is_hour and calendar.is_school_day(local.date()) else _next(calendar, EARLIEST, now)


def _next(calendar: Calendar, at: time, now: datetime) -> datetime:
    local = now.astimezone(calendar.timezone)
    for number in range(_LOOK_DAYS):
        on = local.date() + timedelta(days=number)
        moment = datetime.combine(on, at, calendar.timezone).astimezone(now.tzinfo)
        if moment > now and calendar.is_school_day(on):
            return moment
    return now + timedelta(days=1)  # a calendar without any school: rather so than never


def is_unanswered(calendar: Calendar, since: datetime, now: datetime) -> bool:
    """Whether a whole school day has passed since something was raised."""
    starts_at, ends_at = calendar.weekday_hours(since.astimezone(calendar.timezone).weekday())
    day_s = (ends_at.hour - starts_at.hour) * 3600 + (ends_at.minute - starts_at.minute) * 60
    return calendar.school_seconds_between(since, now) >= day_s
