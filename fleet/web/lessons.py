"""A teacher's start page: own classes with the lesson that runs or the likeliest sets, and today by the bell."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import url_for

from fleet import clock
from fleet.access import Permission
from fleet.compliance import questions
from fleet.lessons import endings, finding, sets, views
from fleet.lessons.finding import Coming
from fleet.lessons.models import Lesson
from fleet.lessons.sets import Offer
from fleet.lessons.views import Stage
from fleet.schools import queries as schools
from fleet.schools.models import SchoolClass
from fleet.web import bars, lesson_day, signed_in
from fleet.web.blueprint import web
from fleet.web.lesson_day import Day, Entry
from fleet.web.pages import show

_SETS_SHOWN = 2
_ASKED_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Shown:
    """A lesson, where it is in its life, how many of how many tablets have it, and how many minutes are left."""

    lesson: Lesson
    stage: Stage
    meant: int
    arrived: int
    left_min: int

    @property
    def parts(self) -> Sequence[bars.Part]:
        """The bar of those that have it."""
        return bars.arrival_parts(self.meant, self.arrived)


@dataclass(frozen=True, slots=True)
class Card:
    """An own class: the lessons that run, and the sets to start one with."""

    school_class: SchoolClass
    running: Sequence[Shown]
    offers: Sequence[Offer]


@web.get("/lessons")
def lessons() -> str:
    """Show own classes and the lessons one may act in."""
    by, now = signed_in.by(), clock.now()
    found = views.listed(by=by, now=now)
    counts = views.counts([one.id for one in found], now=now) if found else {}
    shown = [_shown(one, counts.get(one.id, (0, 0)), now) for one in found]
    own = schools.own_classes(by)
    offers = sets.offers(own, by=by, now=now)
    own_ids = {one.id for one in own}
    made = {(one.lesson.plan_id, one.lesson.starts_at) for one in shown}
    coming = finding.coming(own_ids, now=now, timezone=signed_in.timezone())
    coming = [one for one in coming if (one.plan.id, one.starts_at) not in made]
    cards = [Card(one, [each for each in shown if _runs_in(each, one.id)], offers[one.id][:_SETS_SHOWN]) for one in own]
    return show(
        "lessons",
        # A teacher at work looks for the class that has a lesson.
        cards=sorted(cards, key=lambda card: not card.running),
        others=[one for one in shown if one.stage is Stage.RUNNING and one.lesson.class_id not in own_ids],
        planned=sorted((one for one in shown if one.stage is Stage.PLANNED), key=lambda one: one.lesson.starts_at),
        coming=coming,
        day=_day(own, [one for one in shown if one.lesson.class_id in own_ids], coming, now),
        asked=questions.waiting(by=by, limit=_ASKED_SHOWN) if own else [],
        back=url_for("web.lessons"),
        schools=schools.visible(by),
        may_calibrate=by.school_ids(Permission.SEE_SCHOOL) != frozenset(),
    )


def _shown(lesson: Lesson, count: tuple[int, int], now: datetime) -> Shown:
    left = max(0, -(-(lesson.ends_at - now) // timedelta(minutes=1)))
    return Shown(lesson, views.stage_of(lesson, now), *count, left)


def _runs_in(one: Shown, class_id: int) -> bool:
    return one.stage is Stage.RUNNING and one.lesson.class_id == class_id


def _day(own: Sequence[SchoolClass], shown: Sequence[Shown], coming: Sequence[Coming], now: datetime) -> Day | None:
    """Return the day of the school of the first own class; most teach at one."""
    if not own:
        return None
    periods = endings.periods_on_day(own[0].school_id, now=now, timezone=signed_in.timezone())
    entries = [
        Entry(one.lesson.school_class.title, one.lesson.starts_at, one.lesson.ends_at, one.stage is Stage.RUNNING)
        for one in shown
    ]
    entries += [Entry(one.plan.school_class.title, one.starts_at, one.ends_at, is_running=False) for one in coming]
    return lesson_day.day(periods, sorted(entries, key=lambda one: one.starts_at), now=now)
