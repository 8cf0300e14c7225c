"""Lessons planned ahead: what is planned, leaving out a date, planning no more, a new plan by the bells."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from flask import request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Principal
from fleet.db import transaction
from fleet.errors import FleetError, InvalidError
from fleet.lessons import plans, sets, timetable
from fleet.lessons.models import LessonPlan
from fleet.schools import bells, calendar
from fleet.schools import queries as schools
from fleet.schools.models import SchoolClass
from fleet.web import formats, notices, refusals_plans, sent, signed_in
from fleet.web.blueprint import web
from fleet.web.lesson_start import chosen_set
from fleet.web.pages import show
from fleet.web.texts import translated as _
from fleet.web.values import date_of, whole

_AHEAD = timedelta(weeks=10)  # over the longest holidays
_DATES = 3
_ADDRESS = "/lessons/plans/<int(max=2147483647):plan_id>"
_FIELDS = ("when", "set_id", "on", "weekday", "first_on", "last_on", "period", "starts_at", "ends_at")
WEEKDAYS, _SATURDAY = range(7), 5


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with the local dates of its next lessons, and the dates to come that are left out."""

    plan: LessonPlan
    dates: Sequence[date]
    skipped: Sequence[date]


@web.get("/lessons/plans")
def lesson_plans() -> str:
    """Show what is planned for the classes one teaches, and for which one may plan."""
    by, now, timezone = signed_in.by(), clock.now(), signed_in.timezone()
    found = plans.listed(by=by, now=now)
    calendars = calendar.load(timezone)
    by_class: dict[int, list[Planned]] = defaultdict(list)
    for one in found:
        spans = plans.occurrences(one, since=now, until=now + _AHEAD, calendar=calendars[one.school_class.school_id])
        dates = [starts_at.astimezone(timezone).date() for starts_at, _ends_at in spans if starts_at > now]
        skipped = [on for on in map(date.fromisoformat, one.skipped) if on >= now.astimezone(timezone).date()]
        by_class[one.class_id].append(Planned(one, dates[:_DATES], skipped))
    own = {one.id: one for one in schools.own_classes(by)}
    classes = {**own, **{one.class_id: one.school_class for one in found}}
    return show(
        "lesson_plans",
        classes=[(one, by_class.get(one.id, [])) for one in sorted(classes.values(), key=lambda one: one.title)],
        own_ids=set(own),
    )


@web.get("/classes/<int(max=2147483647):class_id>/plan")
def lesson_plan_new(class_id: int) -> str:
    """Ask what to plan for a class."""
    return _form(class_id, MultiDict(request.args), {})


@web.post("/classes/<int(max=2147483647):class_id>/plan")
def lesson_plan_make(class_id: int) -> Response | tuple[str, int]:
    """Plan a lesson of a class."""
    by, now = signed_in.by(), clock.now()
    try:
        with transaction():
            school_class = schools.taught_class(class_id, by=by)
            _make(school_class, by=by, now=now)
    except FleetError as error:
        faults = None if error.data.get("is_done") else refusals_plans.told(error)
        if faults is not None:
            return _form(class_id, request.form, faults), 409 if "" in faults else 400
        if not error.data.get("is_done"):
            raise
    notices.tell(_("The lesson is planned. It starts and ends by itself."))
    return sent.onwards(url_for("web.lesson_plans"))


def _make(school_class: SchoolClass, *, by: Principal, now: datetime) -> LessonPlan:
    form = request.form
    begins, between, ends = form.get("period", "").partition("-")
    if not between:
        begins, ends = form.get("starts_at", ""), form.get("ends_at", "")
    starts_at, ends_at = _time(begins), _time(ends)
    if starts_at is None or ends_at is None:
        raise InvalidError(kind="lesson plan", reason="times")
    is_weekly = form.get("when") == "weekly"
    return plans.plan(
        school_class,
        chosen_set(whole(form.get("set_id")), school_class, by=by),
        on=None if is_weekly else date_of(request.form.get("on")),
        weekday=whole(form.get("weekday")) if is_weekly else None,
        first_on=date_of(request.form.get("first_on")) if is_weekly else None,
        last_on=date_of(request.form.get("last_on")) if is_weekly else None,
        starts_at=starts_at,
        ends_at=ends_at,
        holder_id=by.account_id,
        by=by,
        now=now,
        timezone=signed_in.timezone(),
    )


def _time(told: str) -> time | None:
    try:
        found = time.fromisoformat(told.strip())
    except ValueError:
        return None
    return found if found.tzinfo is None else None


def _form(class_id: int, typed: "MultiDict[str, str]", faults: dict[str, str]) -> str:
    by, now = signed_in.by(), clock.now()
    school_class = schools.taught_class(class_id, by=by)
    offers = sets.offered(school_class, by=by, now=now)
    today = now.astimezone(signed_in.timezone()).date()
    weekday = today.weekday() if today.weekday() < _SATURDAY else 0
    first = {
        "when": "weekly", "weekday": str(weekday), "on": today.isoformat(),
        "set_id": str(offers[0].set.id) if offers else "",
    }  # fmt: skip
    periods = _periods(school_class.school_id)
    first["period"] = periods[0][0] if periods else ""
    values = {name: typed.get(name, first.get(name, ""))[:40] for name in _FIELDS}
    return show(
        "lesson_plan_new",
        school_class=school_class,
        offers=offers,
        periods=periods,
        weekdays=[(one, formats.weekday(one)) for one in WEEKDAYS],
        today=today,
        values=values,
        faults=faults,
    )


def _periods(school_id: int) -> list[tuple[str, str]]:
    """Return the school's periods as a form tells them, and in words with the weekdays that have them."""
    weekdays: dict[tuple[time, time], list[int]] = defaultdict(list)
    for one in bells.periods(school_id):
        weekdays[one.starts_at, one.ends_at].append(one.weekday)
    told = sorted(weekdays.items())
    every = max((len(ones) for _span, ones in told), default=0)
    return [
        (
            f"{starts_at:%H:%M}-{ends_at:%H:%M}",
            f"{starts_at:%H:%M}\u2013{ends_at:%H:%M}"
            + ("" if len(ones) == every else f" ({', '.join(formats.weekday(one, is_short=True) for one in ones)})"),
        )
        for (starts_at, ends_at), ones in told
    ]


@web.post(f"{_ADDRESS}/skip")
def lesson_plan_skip(plan_id: int) -> Response:
    """Leave out a date, with a way back."""
    on = _told_date()

    def act(by: Principal, now: datetime) -> None:
        timetable.skip(plan_id, on, by=by, now=now, timezone=signed_in.timezone())

    undo = url_for("web.lesson_plan_unskip", plan_id=plan_id, on=on.isoformat())
    return _done(act, _("The lesson of %(date)s is left out.", date=formats.day(on)), undo=undo)


@web.post(f"{_ADDRESS}/unskip")
def lesson_plan_unskip(plan_id: int) -> Response:
    """Have the lesson on a date that was left out."""
    on = _told_date()

    def act(by: Principal, now: datetime) -> None:
        timetable.unskip(plan_id, on, by=by, now=now, timezone=signed_in.timezone())

    return _done(act, _("There is a lesson on %(date)s after all.", date=formats.day(on)))


@web.post(f"{_ADDRESS}/withdraw")
def lesson_plan_withdraw(plan_id: int) -> Response:
    """Plan this no more."""
    return _done(lambda by, now: timetable.withdraw(plan_id, by=by, now=now), _("This is not planned any more."))


def _told_date() -> date:
    found = date_of(request.values.get("on"))
    if found is None:
        raise InvalidError(kind="form", found=request.values.get("on"))
    return found


def _done(act: Callable[[Principal, datetime], object], words: str, *, undo: str | None = None) -> Response:
    """Do something and lead back to the plans; what a phone sends again, as no answer came, is told as done."""
    try:
        with transaction():
            act(signed_in.by(), clock.now())
    except FleetError as error:
        if error.data.get("is_done"):
            notices.tell(words, undo=undo)
            return sent.onwards(url_for("web.lesson_plans"))
        faults = refusals_plans.told(error)
        if faults is None:
            raise
        notices.warn(" ".join(faults.values()))
    else:
        notices.tell(words, undo=undo)
    return sent.onwards(url_for("web.lesson_plans"))
