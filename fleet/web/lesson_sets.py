"""A teacher's own sets: what there is, a new one under a name, and taking one away."""

from flask import redirect, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission
from fleet.db import transaction
from fleet.errors import FleetError, NotFoundError
from fleet.lessons import finding, members, sets, sharing
from fleet.lessons.models import SetKind
from fleet.schools import queries as schools
from fleet.web import notices, refusals_lessons, sent, signed_in
from fleet.web.blueprint import web
from fleet.web.lesson_start import Typed
from fleet.web.pages import show
from fleet.web.texts import translated as _


@web.get("/lessons/sets")
def lesson_sets() -> str:
    """Show the sets one has made, and a form for a new one."""
    return _page(Typed(request.args), None)


@web.post("/lessons/sets")
def lesson_set_make() -> Response | tuple[str, int]:
    """Keep a new set under a name.

    Raises:
        NotFoundError: whoever asks teaches no class.
    """
    by, now, typed = signed_in.by(), clock.now(), Typed(request.form)
    try:
        with transaction():
            taught = next(iter(schools.own_classes(by)), None)
            if taught is None:
                raise NotFoundError(kind="class", name="")
            typed.given(taught, by=by, now=now)
    except FleetError as error:
        problem = refusals_lessons.told(error)
        if problem is None:
            raise
        return _page(typed, problem), refusals_lessons.status(error)
    notices.tell(_("The set is kept. It is offered whenever you start a lesson."))
    return sent.onwards(url_for("web.lesson_sets"))


@web.post("/lessons/sets/<int(max=2147483647):set_id>/withdraw")
def lesson_set_withdraw(set_id: int) -> Response:
    """Offer a set no more, with a way back."""
    with transaction():
        sets.withdraw_own(set_id, by=signed_in.by(), now=clock.now())
    undo = url_for("web.lesson_set_restore", set_id=set_id)
    notices.tell(_("The set is not offered any more. Lessons that have it keep it."), undo=undo)
    return sent.onwards(url_for("web.lesson_sets"))


@web.post("/lessons/sets/<int(max=2147483647):set_id>/restore")
def lesson_set_restore(set_id: int) -> Response:
    """Offer a set again."""
    with transaction():
        sets.restore_own(set_id, by=signed_in.by(), now=clock.now())
    notices.tell(_("The set is offered again."))
    return sent.onwards(url_for("web.lesson_sets"))


@web.post("/lessons/sets/_ready-made")
def lesson_sets_ship() -> Response:
    """Share the ready-made lesson profiles with all teachers."""
    with transaction():
        number = sharing.ship(by=signed_in.by(), now=clock.now())
    if number:
        notices.tell(
            ngettext(
                "%(num)d ready-made set is offered in all lessons now.",
                "%(num)d ready-made sets are offered in all lessons now.",
                number,
            )
        )
    else:
        notices.tell(_("The ready-made sets were there already."))
    return redirect(url_for("web.lesson_sets"), 303)


def _page(typed: Typed, problem: str | None) -> str:
    by, now = signed_in.by(), clock.now()
    taught = schools.own_classes(by)
    apps: list[str] = []
    if taught:
        on = now.astimezone(signed_in.timezone()).date()
        apps = finding.apps_on([one.device_id for one in members.tablets(taught[0].id, on=on)])
    return show(
        "lesson_sets",
        own=sets.own(by),
        missing=sharing.missing() if by.may(Permission.SHARE_SETS) else [],
        may_make=bool(taught),
        kinds=(SetKind.APPS, SetKind.WEB, SetKind.EYES, SetKind.EXAM),
        apps=apps,
        typed=typed,
        problem=problem,
    )
