"""What a teacher does in a lesson: each a plain form that leads back to the lesson's page."""

from collections.abc import Callable
from datetime import datetime, timedelta

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Principal
from fleet.db import transaction
from fleet.errors import FleetError, InvalidError
from fleet.lessons import finding, life, ordering, sets, tablets
from fleet.lessons.models import Part, SetKind
from fleet.orders import OrderKind, Wish
from fleet.web import refusals_lessons, signed_in
from fleet.web.blueprint import web
from fleet.web.lesson_start import chosen_set
from fleet.web.pages import whole
from fleet.web.texts import translated as _

_STEPS_MIN = (5, 10)
_ADDRESS = "/lessons/<int(max=2147483647):lesson_id>"
Act = Callable[[Principal, datetime], object]


@web.post(f"{_ADDRESS}/extend")
def lesson_extend(lesson_id: int) -> Response:
    """Move the end some minutes."""
    minutes = _choice("minutes", _STEPS_MIN)

    def act(by: Principal, now: datetime) -> None:
        until = life.running(lesson_id, by=by, now=now).ends_at + timedelta(minutes=minutes)
        life.extend(lesson_id, until=until, by=by, now=now, timezone=signed_in.timezone())

    return _done(lesson_id, act)


@web.post(f"{_ADDRESS}/end")
def lesson_end(lesson_id: int) -> Response:
    """End a lesson, or cancel one that has not begun."""
    return _done(lesson_id, lambda by, now: life.end(lesson_id, by=by, now=now))


@web.post(f"{_ADDRESS}/set")
def lesson_set(lesson_id: int) -> Response:
    """Give another set for the rest of a lesson, or have all eyes on the teacher, or no more."""
    set_id, eyes = whole(request.form.get("set_id")), request.form.get("eyes")

    def act(by: Principal, now: datetime) -> None:
        found = life.running(lesson_id, by=by, now=now)
        if eyes == "yes":
            given = sets.quick(SetKind.EYES, school_class=found.school_class, by=by, now=now)
        else:
            earlier = finding.before_eyes(found) if eyes == "no" else None
            given = earlier or chosen_set(set_id, found.school_class, by=by)
        life.change_set(lesson_id, given, by=by, now=now, timezone=signed_in.timezone())

    return _done(lesson_id, act)


@web.post(f"{_ADDRESS}/hand-over")
def lesson_hand_over(lesson_id: int) -> Response:
    """Hand a lesson to a colleague; whoever did has nothing more to do with it, perhaps not even to see."""
    account_id = whole(request.form.get("account_id"))

    def act(by: Principal, now: datetime) -> None:
        found = life.running(lesson_id, by=by, now=now)
        life.hand_over(lesson_id, finding.colleague(found, account_id), by=by, now=now)

    return _done(lesson_id, act, onwards=url_for("web.lessons"), words=_("The lesson is handed over."))


@web.post(f"{_ADDRESS}/tablets")
def lesson_tablets(lesson_id: int) -> Response:
    """Leave a pupil's tablet out, bring it in, or give it to another lesson."""
    for name, part in (("absent", Part.ABSENT), ("released", Part.RELEASED)):
        if name in request.form:
            out = _number(request.form[name])
            return _on_tablet(lesson_id, out, _leaving_out(lesson_id, out, part))
    if "bring" in request.form:
        device_id = _number(request.form["bring"])
        return _on_tablet(
            lesson_id,
            device_id,
            lambda by, now: tablets.bring_in(lesson_id, [device_id], by=by, now=now, timezone=signed_in.timezone()),
        )
    told, _between, other = request.form.get("give", "").partition(":")
    given, other_id = _number(told), _number(other)
    return _on_tablet(
        lesson_id,
        given,
        lambda by, now: tablets.hand_to(
            lesson_id, [given], other_id=other_id, by=by, now=now, timezone=signed_in.timezone()
        ),
    )


def _leaving_out(lesson_id: int, device_id: int, part: Part) -> Act:
    return lambda by, now: tablets.leave_out(lesson_id, [device_id], part, by=by, now=now)


@web.post(f"{_ADDRESS}/message")
def lesson_message(lesson_id: int) -> Response:
    """Show a message on one tablet, or on all that are in the lesson."""
    device_id = whole(request.form.get("device_id"))
    wish = Wish(OrderKind.MESSAGE, text=request.form.get("text", "").replace("\r\n", "\n").strip())

    def act(by: Principal, now: datetime) -> None:
        ordering.order(lesson_id, wish, device_ids=None if device_id is None else [device_id], by=by, now=now)

    return _done(lesson_id, act, words=_("The message is sent."))


def _on_tablet(lesson_id: int, device_id: int, act: Act) -> Response:
    back = url_for("web.lesson", lesson_id=lesson_id, _anchor=f"tablet-{device_id}")
    return _done(lesson_id, act, onwards=back)


def _done(lesson_id: int, act: Act, *, onwards: str | None = None, words: str | None = None) -> Response:
    """Do something in a lesson and lead on; where it is refused, back to the lesson, which says why."""
    lesson_page = url_for("web.lesson", lesson_id=lesson_id)
    try:
        with transaction():
            act(signed_in.by(), clock.now())
    except FleetError as error:
        problem = refusals_lessons.told(error)
        if problem is None:
            raise
        flash(problem, "danger")
        return redirect(lesson_page, 303)
    if words is not None:
        flash(words)
    return redirect(onwards or lesson_page, 303)


def _number(told: str | None) -> int:
    """Return a number of a form.

    Raises:
        InvalidError: it is none.
    """
    found = whole(told)
    if found is None:
        raise InvalidError(kind="form", found=told)
    return found


def _choice(name: str, known: tuple[int, ...]) -> int:
    found = whole(request.form.get(name))
    if found not in known:
        raise InvalidError(kind="form", found=request.form.get(name))
    return found
