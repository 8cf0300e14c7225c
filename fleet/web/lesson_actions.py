"""What a teacher does in a lesson: each a plain form that leads back to the lesson's page.

Each may arrive twice, when the network failed in between, and then is done once: an end is told as an instant, a set
that the lesson has already is not given again, a pupil who is absent is absent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, Principal
from fleet.db import transaction
from fleet.errors import ConflictError, FleetError, InvalidError
from fleet.lessons import again, finding, life, ordering, sets, tablets
from fleet.lessons.life import LessonOverError
from fleet.lessons.models import Part, SetKind
from fleet.orders import OrderKind, Wish
from fleet.web import notices, refusals_lessons, sent, signed_in
from fleet.web.blueprint import web
from fleet.web.formats import hour
from fleet.web.lesson_start import chosen_set
from fleet.web.texts import translated as _
from fleet.web.values import instant_of, whole

_ADDRESS = "/lessons/<int(max=2147483647):lesson_id>"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where to go on, and the address that takes back what was done, with what that is called."""

    onwards: str | None = None
    undo: str | None = None
    undo_words: str | None = None


Act = Callable[[Principal, datetime], object]


@web.post(f"{_ADDRESS}/extend")
def lesson_extend(lesson_id: int) -> Response:
    """Move the end to another instant, with a way back, which is none once somebody has moved it again."""
    until, moved_to = (instant_of(request.values.get(name)) for name in ("until", "moved_to"))
    if until is None:
        raise InvalidError(kind="form", found=request.values.get("until"))

    def act(by: Principal, now: datetime) -> Outcome | None:
        before = life.running(lesson_id, by=by, now=now).ends_at
        if moved_to is not None and before not in {moved_to, until}:
            raise ConflictError(kind="lesson", reason="moved again", ends_at=before)
        life.extend(lesson_id, until=until, by=by, now=now, timezone=signed_in.timezone())
        # Not "before": what arrived twice would lead back to where it is already.
        if before == until:
            return None
        way_back = url_for(
            "web.lesson_extend", lesson_id=lesson_id, until=before.isoformat(), moved_to=until.isoformat()
        )
        return Outcome(undo=way_back)

    return _done(lesson_id, act, words=_("The lesson lasts until %(time)s.", time=hour(until)))


@web.post(f"{_ADDRESS}/end")
def lesson_end(lesson_id: int) -> Response:
    """End a lesson, or cancel one that has not begun; one that was ended by mistake can begin again until its end."""

    def act(by: Principal, now: datetime) -> Outcome | None:
        found = life.get(lesson_id, by=by)
        until, has_begun = found.ends_at, found.starts_at <= now
        try:
            life.end(lesson_id, by=by, now=now)
        except LessonOverError:
            return None  # somebody, or the clock, was first: it is over, as was wished
        at = found.school_class
        if not has_begun or not by.may(Permission.TEACH, school_id=at.school_id, class_id=at.id):
            return None
        name = sent.new_request_id()
        undo = url_for("web.lesson_again", lesson_id=lesson_id, until=until.isoformat(), request_id=name)
        return Outcome(undo=undo, undo_words=_("Start it again until %(time)s", time=hour(until)))

    return _done(lesson_id, act, words=_("The lesson is over."))


@web.post(f"{_ADDRESS}/again")
def lesson_again(lesson_id: int) -> Response:
    """Start a lesson as an earlier one was; until its end, where that is still to come."""
    until = instant_of(request.values.get("until", ""))

    def act(by: Principal, now: datetime) -> Outcome:
        made = again.start_again(
            lesson_id, until=until, request_id=sent.request_id(), by=by, now=now, timezone=signed_in.timezone()
        )
        return Outcome(onwards=url_for("web.lesson", lesson_id=made.id))

    return _done(lesson_id, act)


@web.post(f"{_ADDRESS}/set")
def lesson_set(lesson_id: int) -> Response:
    """Give another set for the rest of a lesson, or have all eyes on the teacher, or no more."""
    set_id, eyes = whole(request.form.get("set_id")), request.form.get("eyes")

    def act(by: Principal, now: datetime) -> None:
        found = life.running(lesson_id, by=by, now=now)
        if eyes == "yes":
            if found.given[-1].set.kind is SetKind.EYES:
                return
            given = sets.quick(SetKind.EYES, school_class=found.school_class, by=by, now=now)
        else:
            earlier = finding.before_eyes(found) if eyes == "no" else None
            if eyes == "no" and earlier is None and len(found.given) > 1:
                return
            given = earlier or chosen_set(set_id, found.school_class, by=by)
            if given.id == found.given[-1].set_id:
                return
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
            words = _("The pupil is absent.") if part is Part.ABSENT else _("The pupil is let go.")
            return _on_tablet(lesson_id, out, _leaving_out(lesson_id, out, part), words=words)
    if "bring" in request.values:
        device_id = _number(request.values["bring"])
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
    def act(by: Principal, now: datetime) -> Outcome:
        tablets.leave_out(lesson_id, [device_id], part, by=by, now=now)
        return Outcome(undo=url_for("web.lesson_tablets", lesson_id=lesson_id, bring=device_id))

    return act


@web.post(f"{_ADDRESS}/message")
def lesson_message(lesson_id: int) -> Response:
    """Show a message on one tablet, or on all that are in the lesson."""
    device_id = whole(request.form.get("device_id"))
    wish = Wish(OrderKind.MESSAGE, text=request.form.get("text", "").replace("\r\n", "\n").strip())

    def act(by: Principal, now: datetime) -> None:
        device_ids = None if device_id is None else [device_id]
        ordering.order(lesson_id, wish, device_ids=device_ids, shown_at=_shown_at(), by=by, now=now)

    return _done(lesson_id, act, words=_("The message is sent."))


@web.post(f"{_ADDRESS}/open")
def lesson_open(lesson_id: int) -> Response:
    """Open a page or an app on all tablets that are in the lesson."""
    app = request.form.get("app", "").strip()
    address = request.form.get("address", "").strip() or request.form.get("again", "").strip()
    if address and "://" not in address:
        address = f"https://{address}"

    def act(by: Principal, now: datetime) -> None:
        wish = Wish(OrderKind.OPEN_APP, app=app) if app else Wish(OrderKind.OPEN_URL, url=address)
        ordering.order(lesson_id, wish, shown_at=_shown_at(), by=by, now=now)

    return _done(lesson_id, act, words=_("It is opened on the tablets in the lesson."))


def _shown_at() -> datetime | None:
    """Return when the form was shown: sent again after a lost answer, it says the same."""
    return instant_of(request.form.get("shown_at"))


def _on_tablet(lesson_id: int, device_id: int, act: Act, *, words: str | None = None) -> Response:
    back = url_for("web.lesson", lesson_id=lesson_id, _anchor=f"tablet-{device_id}")
    return _done(lesson_id, act, onwards=back, words=words)


def _done(lesson_id: int, act: Act, *, onwards: str | None = None, words: str | None = None) -> Response:
    """Do something in a lesson and lead on; where it is refused, back to the lesson, which says why.

    Args:
        lesson_id: the lesson.
        act: what is done; may return an :class:`Outcome`.
        onwards: where to, unless the outcome says otherwise; to the lesson where neither does.
        words: what was done.
    """
    lesson_page = url_for("web.lesson", lesson_id=lesson_id)
    try:
        with transaction():
            told = act(signed_in.by(), clock.now())
    except FleetError as error:
        problem = refusals_lessons.told(error)
        if problem is None:
            raise
        notices.warn(problem)
        return sent.onwards(lesson_page)
    outcome = told if isinstance(told, Outcome) else Outcome()
    if words is not None:
        notices.tell(words, undo=outcome.undo, undo_words=outcome.undo_words)
    return sent.onwards(outcome.onwards or onwards or lesson_page)


def _number(told: str | None) -> int:
    """Return a number of a form.

    Raises:
        InvalidError: it is none.
    """
    found = whole(told)
    if found is None:
        raise InvalidError(kind="form", found=told)
    return found
