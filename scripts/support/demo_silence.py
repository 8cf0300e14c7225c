"""What the demo's tablets went through before the first start: findings, silence, and what people did about it.

The use cases that people and jobs call are called one after the other with the instants of then, so that all of it
hangs together: an access point that failed twice, tablets of which one is missing and one is asked about, absences.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import demo_data
from demo_tablets import Past
from sqlalchemy import select

from fleet.access import Principal
from fleet.compliance import acting, habits, questions, review, silence
from fleet.compliance.models import Answer, Finding, FindingKind
from fleet.db import db, run_followers
from fleet.people import accounts
from fleet.schools import absences
from fleet.schools.models import Person

_KJENN, _RASTA = demo_data.SCHOOLS[:2]
# Heard and lost together: they hang on one access point.
ONE_ACCESS_POINT = tuple(
    demo_data.serial(_RASTA, title, number) for title, numbers in (("5A", range(1, 10)), ("6A", range(8, 13)))
    for number in numbers
)  # fmt: skip
ASKED = demo_data.serial(_KJENN, "8B", 7)  # waits for a tap of the class's teacher
ESCALATED = demo_data.serial(_KJENN, "9A", 5)  # nobody has answered
GONE = demo_data.serial(_KJENN, "9B", 12)
AT_HOME = demo_data.serial(_KJENN, "10A", 3)
FLAT = demo_data.serial(_KJENN, "9A", 11)  # here, and does not speak
AWAY = (("8B", 14), ("9A", 20))  # their pupils are
_AWAY = tuple(demo_data.serial(_KJENN, *one) for one in AWAY)
QUIET = frozenset({*ONE_ACCESS_POINT, ASKED, ESCALATED, GONE, AT_HOME, FLAT, *_AWAY})
_DAYS = 12  # on which tablets were heard once each, so that it is known what is usual for them
_BEFORE = {GONE: 72.0, **dict.fromkeys(_AWAY, 48.0), AT_HOME: 27.5, FLAT: 27.4, ESCALATED: 6.0, ASKED: 4.3}
_BEFORE |= dict.fromkeys(ONE_ACCESS_POINT, 3.1)
_NOTE = "Oppdateres på fredag, når klassen er på tur."


def happen(past: Past, *, now: datetime, timezone: ZoneInfo) -> Iterator[datetime]:
    """Have it happen, up to now; gives each instant at which people may have been written to.

    Args:
        past: the tablets, as they are known.
        now: the first start.
        timezone: the schools' local time.
    """
    told = _Told(past, now, timezone)
    for days in range(_DAYS, 4, -1):
        told.hear(24.0 * days)
        told.count(24.0 * days)
    review.review_due(now=told.at(24.0 * 5 - 1))  # graces are over
    run_followers()
    yield told.at(24.0 * 5 - 1)
    yield from _first_outage(told)
    yield from _singles(told)
    _answers(told)
    yield from _today(told)


class _Told:
    """Everything by hours before now."""

    def __init__(self, past: Past, now: datetime, timezone: ZoneInfo) -> None:
        self.past, self.now, self.timezone = past, now, timezone

    def at(self, hours: float) -> datetime:
        """Return the instant so long ago."""
        return self.now - timedelta(hours=hours)

    def hear(self, hours: float, *, but: Sequence[str] = ()) -> None:
        """Have all tablets report that speak at that time."""
        quiet = [serial for serial, since in _BEFORE.items() if since > hours]
        self.past.hear(self.at(hours), but=(*quiet, *but))

    def look(self, hours: float, *, but: Sequence[str] = ()) -> datetime:
        """Look at silence, a moment after all others were heard."""
        self.hear(hours + 0.05, but=but)
        silence.review(now=self.at(hours), timezone=self.timezone)
        run_followers()
        return self.at(hours)

    def count(self, hours: float) -> None:
        """Count who was heard on a day."""
        habits.count(now=self.at(hours), timezone=self.timezone)

    def teacher(self, title: str) -> Principal:
        """Return the teacher of a class at the first school."""
        account = accounts.find(demo_data.teacher_id(_KJENN, title))
        return accounts.principal(account, today=self.now.astimezone(self.timezone).date())

    def answer(self, serial: str, title: str, said: Answer, hours: float) -> None:
        """Have a class's teacher answer where a tablet is."""
        by, now = self.teacher(title), self.at(hours)
        asked = questions.about(self.past.id_of(serial), by=by)
        if asked is not None:
            questions.answer(asked.id, said, by=by, now=now, timezone=self.timezone)
            run_followers()


def _first_outage(told: _Told) -> Iterator[datetime]:
    """An access point fails for two hours and a half, four days ago."""
    told.past.hear(told.at(98.5), only=ONE_ACCESS_POINT)
    told.hear(98.4, but=ONE_ACCESS_POINT)
    yield told.look(95.9, but=ONE_ACCESS_POINT)
    yield told.look(95.5)
    told.count(95.4)


def _singles(told: _Told) -> Iterator[datetime]:
    """Tablets that fall silent one by one, and what their teachers say."""
    told.hear(72.0)
    told.count(71.9)
    yield told.look(67.5)
    told.answer(GONE, "9B", Answer.GONE, 67)
    told.hear(48.0)
    told.count(47.9)
    today = told.now.astimezone(told.timezone).date()
    for title, number in AWAY:
        pupil = demo_data.pupil_id(_KJENN, title, number)
        ids = db.session.scalars(select(Person.id).where(Person.username == pupil)).all()
        by, dates = told.teacher(title), (today - timedelta(days=2), today + timedelta(days=1))
        absences.enter(ids, *dates, by=by, now=told.at(47))
    told.hear(27.5)
    yield told.look(23)
    told.answer(AT_HOME, "10A", Answer.HOME, 22.5)
    told.answer(FLAT, "9A", Answer.HERE, 22.4)
    told.count(22.3)


def _answers(told: _Told) -> None:
    """School IT knows of one old system, and has put another off."""
    old = select(Finding).where(Finding.kind == FindingKind.OS_OUTDATED, Finding.closed_at.is_(None))
    found = db.session.scalars(old.order_by(Finding.id)).all()
    account = accounts.find("it-kjenn")
    by = accounts.principal(account, today=told.now.astimezone(told.timezone).date())
    mine = [one.id for one in found if one.device.school is not None and one.device.school.name == _KJENN.name]
    acting.acknowledge(mine[:1], _NOTE, by=by, now=told.at(20))
    on = told.now.astimezone(told.timezone).date() + timedelta(days=3)  # all days are school days here
    acting.snooze(mine[1:2], on, by=by, now=told.at(19.8), timezone=told.timezone)
    run_followers()


def _today(told: _Told) -> Iterator[datetime]:
    """Two more fall silent, and the access point fails again."""
    for hours in (6.0, 4.3, 3.1):
        told.hear(hours)
    yield told.look(1.85)
    yield told.look(0.8)
    yield told.look(0.2)
    told.count(0.15)
    told.hear(0.01)
