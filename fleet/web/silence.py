"""Silence: who is asked where a tablet is, which tablets are missing, and what many of them have in common.

A question is answered with one tap wherever it is shown, and the answer can be taken back. Not here: what follows from
an answer, and what makes an incident (``compliance``).
"""

from datetime import timedelta
from typing import Any

from flask import abort, redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission
from fleet.compliance import incidents, questions
from fleet.compliance import queries as compliance
from fleet.compliance.models import Answer, FindingKind
from fleet.db import transaction
from fleet.errors import ConflictError
from fleet.web import notices, signed_in, words_silence
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE, page_count, show
from fleet.web.places import own_page
from fleet.web.texts import translated as _
from fleet.web.values import whole

_PAST = timedelta(days=365)
_MOST_PAST = 100
_QUESTION = "/questions/<int(max=2147483647):question_id>"
_REFRESH_S = 30


@web.get("/silence")
def silence() -> str:
    """Show the questions one may answer, the tablets that are missing, and the open incidents."""
    by = signed_in.by()
    page = whole(request.args.get("page")) or 1
    missing = compliance.Filter(kind=FindingKind.MISSING)
    count = compliance.count(missing, by=by).findings
    pages = page_count(count)
    page = min(page, pages)
    return show(
        "silence",
        asked=questions.waiting(by=by, limit=PAGE_SIZE),
        missing=compliance.open_findings(missing, by=by, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE),
        missing_count=count,
        page=page,
        pages=pages,
        incidents=incidents.open_incidents(by=by),
        losing_at=by.school_ids(Permission.MANAGE_DEVICES),
        is_it=by.school_ids(Permission.SEE_SCHOOL) != frozenset(),
        back=url_for("web.silence"),
        refresh_s=_REFRESH_S,
    )


@web.post(f"{_QUESTION}/answer")
def question_answer(question_id: int) -> Response:
    """Say where a tablet is."""
    told = request.form.get("answer", "")
    if told not in set(Answer):
        abort(400)
    by, now, back = signed_in.by(), clock.now(), own_page(request.form.get("back"))
    try:
        with transaction():
            questions.answer(question_id, Answer(told), by=by, now=now, timezone=signed_in.timezone())
    except ConflictError as error:
        notices.caution(_conflict(error))
    else:
        words = f"{words_silence.answer(Answer(told))}. {words_silence.answer_leads(Answer(told))}"
        notices.tell(words, undo=url_for("web.question_take_back", question_id=question_id, back=back))
    return redirect(back, 303)


@web.post(f"{_QUESTION}/take-back")
def question_take_back(question_id: int) -> Response:
    """Take an answer back: the question waits again."""
    try:
        with transaction():
            questions.take_back(question_id, by=signed_in.by(), now=clock.now())
    except ConflictError:
        notices.warn_of_late_undo()
    else:
        notices.tell(_("The answer is taken back. The question waits again."))
    return redirect(own_page(request.args.get("back")), 303)


def _conflict(error: ConflictError) -> str:
    if error.data.get("reason") == "heard":
        return _("The tablet has been heard from meanwhile. Nothing more is asked.")
    return _("Somebody else has answered already. That answer holds.")


@web.get("/incidents")
def incident_list() -> str:
    """Show the incidents that are open, and those of the last year."""
    by, now = signed_in.by(), clock.now()
    return show(
        "incident_list",
        incidents=incidents.open_incidents(by=by),
        past=incidents.past(by=by, since=now - _PAST, limit=_MOST_PAST),
        is_full=_MOST_PAST,
        refresh_s=_REFRESH_S,
    )


@web.get("/incidents/<int(max=2147483647):incident_id>")
def incident(incident_id: int) -> str:
    """Show an incident: what it is, where to look first, and its tablets."""
    by = signed_in.by()
    told = incidents.incident(incident_id, by=by)
    page = whole(request.args.get("page")) or 1
    pages = page_count(told.incident.most)
    page = min(page, pages)
    members = incidents.members(incident_id, by=by, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    values: dict[str, Any] = {"told": told, "members": members, "page": page, "pages": pages}
    return show("incident", **values, refresh_s=_REFRESH_S)
