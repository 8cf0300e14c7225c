"""What a person sees when something is refused or fails: one page, with the request's id to quote.

Every refusal of the domain is mapped here, once.
"""

import uuid

import structlog
from flask import Flask, g, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError, TooManyRequests

from fleet.db import db, is_unavailable
from fleet.errors import BrakedError, ConflictError, FleetError, ForbiddenError, NotFoundError
from fleet.people.limits import TooManyFailuresError
from fleet.web import signed_in
from fleet.web.texts import translated as _

_log = structlog.get_logger("web")

_RETRY_S = "5"  # after a database that was away, or busier than one waits for

_STATUS: tuple[tuple[type[FleetError], int], ...] = (
    (NotFoundError, 404),
    (ForbiddenError, 403),
    (ConflictError, 409),
    (BrakedError, 409),
    (TooManyFailuresError, 429),
)


def install(app: Flask) -> None:
    """Answer errors with pages."""
    app.before_request(name_request)
    app.teardown_request(lambda _error: structlog.contextvars.unbind_contextvars("request_id", "route"))
    app.register_error_handler(FleetError, refused)
    app.register_error_handler(CSRFError, forged)
    app.register_error_handler(HTTPException, not_served)


def name_request() -> None:
    """Have every line that is logged while this request runs tell its id and page; Flask logs our faults itself."""
    structlog.contextvars.bind_contextvars(request_id=request_id(), route=request.endpoint)


def request_id() -> str:
    """Return the id of this request: the server's, or one of our own where there is no server in front."""
    if "request_id" not in g:
        g.request_id = request.environ.get("HTTP_X_REQUEST_ID") or uuid.uuid4().hex
    return str(g.request_id)


def refused(error: FleetError) -> tuple[str, int, dict[str, str]]:
    """Answer a refusal of the domain; what it does not tell apart is a bad request."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 400)
    headers = {"Retry-After": str(error.data["retry_after_s"])} if isinstance(error, TooManyFailuresError) else {}
    return _page(status), status, headers


def forged(error: CSRFError) -> tuple[str, int]:
    """Answer a form that does not come from a page of this session."""
    _log.info("forged", reason=error.description)
    return _page(400, _("The page was open for too long, or you have signed out since. Go back and try again.")), 400


def not_served(error: HTTPException) -> tuple[str, int, dict[str, str]]:
    """Answer what the web server's own rules refuse, and our own faults, which are logged where they are raised."""
    status = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name not in {"Content-Type", "Content-Length"}}
    if isinstance(error, InternalServerError):
        db.session.rollback()
        signed_in.forget()  # perhaps it was the database that failed: the page must not ask it again
        if is_unavailable(error.original_exception):
            status, headers = 503, {**headers, "Retry-After": _RETRY_S}
    if isinstance(error, TooManyRequests):
        headers.setdefault("Retry-After", "60")
    return _page(status), status, headers


def _page(status: int, words: str | None = None) -> str:
    title, told = _texts(status)
    return render_template("error.html", status=status, title=title, told=words or told, request_id=request_id())


def _texts(status: int) -> tuple[str, str]:
    known = {
        403: (_("Not allowed"), _("Your account does not have access to this.")),
        404: (_("Not found"), _("There is nothing here, or your account does not have access to it.")),
        409: (_("Not possible now"), _("Something has changed in the meantime. Load the page again and look.")),
        413: (_("Too large"), _("What was sent is larger than the server takes.")),
        429: (_("Too many attempts"), _("Wait a little and try again.")),
    }
    if status >= 500:
        return _("Something went wrong"), _("The fault is ours and is noted. Try again in a little while.")
    return known.get(status, (_("Not understood"), _("The server could not make sense of the request.")))
