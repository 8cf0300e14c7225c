"""Signing in and out."""

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.db import reading, transaction
from fleet.errors import FleetError
from fleet.people import signing_in
from fleet.people.limits import TooManyFailuresError
from fleet.people.models import Account
from fleet.people.signing_in import Refused, SignedIn
from fleet.web import signed_in
from fleet.web.blueprint import public, web
from fleet.web.formats import duration
from fleet.web.places import own_page, start_page
from fleet.web.texts import translated as _

_MAX_TYPED = 1024  # longer than any name or password can be


@web.get("/sign-in")
@public
def sign_in() -> str | Response:
    """Show the form; whoever is signed in goes on."""
    account = signed_in.account()
    if account is not None:
        return redirect(_first_page(request.args.get("next"), account))
    return _form(request.args.get("next"))


@web.post("/sign-in")
@public
def sign_in_now() -> Response | tuple[str, int, dict[str, str]]:
    """Take name and password."""
    username = request.form.get("username", "")[:_MAX_TYPED]
    password = request.form.get("password", "")[:_MAX_TYPED]
    outcome = _attempt(username, password)
    if isinstance(outcome, SignedIn):
        signed_in.begin(outcome.token)
        found = signing_in.current(outcome.token, now=clock.now())
        return redirect(_first_page(request.form.get("next"), found.account if found is not None else None), 303)
    words, status, headers = _refusal(outcome.error)
    return _form(request.form.get("next"), username=username, problem=words), status, headers


def _first_page(told: str | None, account: Account | None) -> str:
    """Return where to go on after the sign-in: to the page one wanted, else to the account's own first one."""
    return own_page(told) if told or account is None else start_page(account)


def _attempt(username: str, password: str) -> SignedIn | Refused:
    """Try to sign in; one that comes too early costs no transaction, and no hash is made inside one."""
    former, address, now = signed_in.token(), request.remote_addr or "", clock.now()
    try:
        with reading():
            stored = signing_in.look_up(username, address=address, now=now)
    except TooManyFailuresError as error:
        return Refused(error)
    compared = signing_in.compare(stored, password)
    with transaction():
        outcome = signing_in.sign_in(username, password, address=address, now=now, compared=compared)
        if isinstance(outcome, SignedIn) and former is not None:
            signing_in.sign_out(former, now=now)  # this browser's earlier session is replaced, not left behind
    return outcome


def _refusal(error: FleetError) -> tuple[str, int, dict[str, str]]:
    if isinstance(error, TooManyFailuresError):
        wait_s = int(error.data["retry_after_s"])
        words = _("Too many attempts. Try again in %(time)s.", time=duration(wait_s))
        return words, 429, {"Retry-After": str(wait_s)}
    return _("User name or password is wrong."), 401, {}


def _form(next_page: str | None, *, username: str = "", problem: str | None = None) -> str:
    return render_template("sign_in.html", next_page=next_page or "", username=username, problem=problem)


@web.post("/sign-out")
@public
def sign_out() -> Response:
    """End this browser's session."""
    token = signed_in.token()
    if token is not None:
        with transaction():
            signing_in.sign_out(token, now=clock.now())
    signed_in.end()
    flash(_("You are signed out."))
    return redirect(url_for("web.sign_in"), 303)
