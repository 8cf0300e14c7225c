"""Who is signed in: from the session cookie to an account and to the one who acts.

The cookie holds the session's token, signed; what the account may is read anew at each request, so a session that was
ended or a role that was taken away is gone with the next request on every server. Pages that refresh themselves do not
count as use: a forgotten browser is signed out.
"""

from zoneinfo import ZoneInfo

from flask import Flask, Response, current_app, g, redirect, request, url_for
from flask import session as cookie
from flask_login import LoginManager, current_user, login_user, logout_user
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response as AnyResponse

from fleet import clock
from fleet.access import Principal
from fleet.allowance import Allowance
from fleet.config import Config
from fleet.db import transaction
from fleet.people import accounts, signing_in
from fleet.people.models import Account
from fleet.web.blueprint import is_public, web

# Of each account: many more forms than anybody fills in, and far fewer than would be felt by the others. Each may move
# a class and adds rows, and all who move tablets wait for the same turn.
FORMS_AT_ONCE, FORM_EVERY_S = 200, 2.0
# Files that are made while somebody waits: each holds a thread and takes up to a second of the processor.
FILES_AT_ONCE, FILE_EVERY_S = 10, 5.0
_ACCOUNTS_KEPT = 10_000


class Visitor:
    """A signed-in browser, as Flask-Login wants it: what names it is the session's token, not the account."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, token: str, account: Account | None = None) -> None:
        self.token = token
        self.account = account

    def get_id(self) -> str:
        """Return what the cookie holds."""
        return self.token


def install(app: Flask) -> None:
    """Have Flask-Login find the visitor of each request."""
    manager = LoginManager(app, add_context_processor=False)
    # What it would compare is the browser's address and name, which change with the network and prove nothing.
    manager.session_protection = None
    manager.user_loader(_find)
    app.extensions["fleet_forms"] = Allowance(FORMS_AT_ONCE, FORM_EVERY_S, kept=_ACCOUNTS_KEPT)
    app.extensions["fleet_files"] = Allowance(FILES_AT_ONCE, FILE_EVERY_S, kept=_ACCOUNTS_KEPT)
    app.context_processor(lambda: {"account": account()})


def _find(token: str) -> Visitor | None:
    now = clock.now()
    found = signing_in.current(token, now=now)
    if found is not None and found.touch_due and not is_refresh():
        with transaction():
            signing_in.touch(token, now=now)
        found = signing_in.current(token, now=now)
    return Visitor(token, found.account) if found is not None else None


def is_refresh() -> bool:
    """Whether the page asks for its own living part again, by itself or by a filter."""
    return request.headers.get("HX-Request") == "true"


def forget() -> None:
    """Take nobody for signed in for the rest of this request."""
    g.nobody = True
    g.pop("principal", None)


def account() -> Account | None:
    """Return the signed-in account, None where nobody is signed in."""
    if g.get("nobody"):
        return None
    return current_user.account if current_user.is_authenticated else None


def token() -> str | None:
    """Return the signed-in session's token, None where nobody is signed in."""
    return current_user.token if current_user.is_authenticated else None


def by() -> Principal:
    """Return the one who acts. Only where somebody is signed in."""
    if "principal" not in g:
        found = account()
        if found is None:
            raise LookupError("nobody is signed in")
        g.principal = accounts.principal(found, today=clock.now().astimezone(timezone()).date())
    return g.principal  # type: ignore[no-any-return]


def timezone() -> ZoneInfo:
    """Return the schools' local time."""
    config: Config = current_app.extensions["fleet_config"]
    return config.timezone


def begin(new_token: str) -> None:
    """Make this browser the visitor of a new session; nothing of an earlier one stays but the language."""
    language = cookie.get("language")
    cookie.clear()
    if language is not None:
        cookie["language"] = language
    login_user(Visitor(new_token))
    g.pop("principal", None)


def end() -> None:
    """Make this browser nobody's."""
    logout_user()
    cookie.clear()
    g.pop("principal", None)


@web.before_request
def require_sign_in() -> AnyResponse | None:
    """Send whoever is not signed in to the sign-in, and back afterwards."""
    if is_public(request.endpoint or "") or current_user.is_authenticated:
        return None
    if is_refresh():  # an answer to the script, which would show a sign-in page inside the page
        return Response(status=401, headers={"HX-Refresh": "true"})
    if request.method != "GET" or request.path == "/":
        return redirect(url_for("web.sign_in"))
    return redirect(url_for("web.sign_in", next=request.full_path.rstrip("?")))


@web.before_request
def require_measure() -> None:
    """Turn away an account that sends forms without end, and find out who acts by one that may go on."""
    found = account() if request.method == "POST" else None
    forms: Allowance = current_app.extensions["fleet_forms"]
    if found is None:
        return
    if not forms.take(found.id, clock.now()):
        raise TooManyRequests(retry_after=round(FORM_EVERY_S))
    by()  # here: within the form's unit of work the account would have to be read again


def require_measure_of_files() -> None:
    """Turn away an account that has files made one after another.

    Raises:
        TooManyRequests: it shall wait a little.
    """
    found = account()
    files: Allowance = current_app.extensions["fleet_files"]
    if found is not None and not files.take(found.id, clock.now()):
        raise TooManyRequests(retry_after=round(FILE_EVERY_S))
