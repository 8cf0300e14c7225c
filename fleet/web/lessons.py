"""A teacher's start page: own classes with the lesson that runs or the sets to start with, and what comes today."""

from collections.abc import Sequence
from dataclasses import dataclass

from fleet import clock
from fleet.access import Permission
from fleet.lessons import finding, sets, views
from fleet.lessons.models import Lesson
from fleet.lessons.sets import Offer
from fleet.lessons.views import Stage
from fleet.schools import queries as schools
from fleet.schools.models import SchoolClass
from fleet.web import signed_in
from fleet.web.blueprint import web
from fleet.web.pages import show

_SETS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """A lesson, where it is in its life, and how many of how many tablets have it."""

    lesson: Lesson
    stage: Stage
    meant: int
    arrived: int


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
    counts = views.counts([one.id for one in found], now=now)
    shown = [Shown(one, views.stage_of(one, now), *counts.get(one.id, (0, 0))) for one in found]
    own = schools.own_classes(by)
    offers = sets.offers(own, by=by, now=now)
    cards = [Card(one, [each for each in shown if _runs_in(each, one.id)], offers[one.id][:_SETS_SHOWN]) for one in own]
    own_ids = {one.id for one in own}
    made = {(one.lesson.plan_id, one.lesson.starts_at) for one in shown}
    coming = finding.coming(own_ids, now=now, timezone=signed_in.timezone())
    return show(
        "lessons",
        cards=cards,
        others=[one for one in shown if one.stage is Stage.RUNNING and one.lesson.class_id not in own_ids],
        planned=sorted((one for one in shown if one.stage is Stage.PLANNED), key=lambda one: one.lesson.starts_at),
        coming=[one for one in coming if (one.plan.id, one.starts_at) not in made],
        schools=schools.visible(by),
        may_calibrate=by.school_ids(Permission.SEE_SCHOOL) != frozenset(),
    )


def _runs_in(one: Shown, class_id: int) -> bool:
    return one.stage is Stage.RUNNING and one.lesson.class_id == class_id
