"""Mails that wait, were sent, or did not get through, with the reason and a way to try again."""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.alerts import letters
from fleet.alerts.models import LetterState
from fleet.db import transaction
from fleet.errors import ConflictError
from fleet.web import notices, refusals_alerts, signed_in
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE, show
from fleet.web.texts import translated as _

_STATES = {one.value: one for one in LetterState}


@web.get("/settings/letters")
def settings_letters() -> str:
    """Show the newest mails, or those in one state."""
    state = _STATES.get(request.args.get("state", ""))
    found = letters.listed(by=signed_in.by(), state=state, limit=PAGE_SIZE)
    return show(
        "settings_letters", letters=found, state=state, states=list(LetterState), is_full=len(found) == PAGE_SIZE
    )


@web.post("/settings/letters/<int(max=2147483647):letter_id>/retry")
def settings_letter_retry(letter_id: int) -> Response:
    """Try a mail again that was given up."""
    by, now = signed_in.by(), clock.now()
    try:
        with transaction():
            letters.retry(letter_id, by=by, now=now)
    except ConflictError as error:
        notices.warn(refusals_alerts.conflict(error))
    else:
        notices.tell(_("It is sent again in a moment."))
    state = _STATES.get(request.form.get("state", ""))
    return redirect(url_for("web.settings_letters", state=state), 303)
