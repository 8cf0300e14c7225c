"""One's own account: what one may, how the pages look, the password, and where one is signed in."""

from flask import flash, render_template, request, url_for
from flask import redirect as redirect_to
from flask import session as cookie
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Role
from fleet.alerts import topics
from fleet.db import transaction
from fleet.errors import InvalidError
from fleet.people import accounts, passwords, queries, signing_in
from fleet.people.limits import TooManyFailuresError
from fleet.people.models import Account
from fleet.people.passwords import PasswordWeakError, PasswordWrongError
from fleet.schools import queries as schools
from fleet.web import notices, refusals_people, signed_in, words_people
from fleet.web.blueprint import web
from fleet.web.languages import NAMES
from fleet.web.texts import translated as _

_MAX_TYPED = 1024
Faults = dict[str, str]


def _own() -> Account:
    found = signed_in.account()
    if found is None:
        raise LookupError("nobody is signed in")
    return found


@web.get("/account")
def account() -> str:
    """Show the account of whoever is signed in."""
    return _page()


@web.post("/account/looks")
def account_looks() -> Response:
    """Choose language and theme; what is empty follows the browser and the device."""
    language, theme = request.form.get("language") or None, request.form.get("theme") or None
    with transaction():
        accounts.set_language(_own(), language, now=clock.now())
        accounts.set_theme(_own(), theme, now=clock.now())
    cookie.pop("language", None)  # else what this browser was told before would stay
    # The next page speaks the new language, so it is told there.
    return redirect_to(url_for("web.account", saved="looks"), 303)


@web.post("/account/password")
def account_password() -> Response | tuple[str, int]:
    """Change the password; the other sessions end."""
    old, new, again = (request.form.get(name, "")[:_MAX_TYPED] for name in ("old", "new", "again"))
    if new != again:
        return _page({"again": _("The two passwords are not the same.")}), 400
    fault = _change(old, new)
    if fault is not None:
        return _page(fault), 400
    notices.tell(_("The password is changed. Other browsers are signed out."))
    return redirect_to(url_for("web.account"), 303)


def _change(old: str, new: str) -> Faults | None:
    """Change the password; returns what is wrong. A wrong guess is counted, so the transaction is kept."""
    with transaction():
        try:
            passwords.change(_own(), old, new, keep=signed_in.token(), now=clock.now())
        except (PasswordWrongError, TooManyFailuresError) as error:
            return {"old": refusals_people.words_of(error)}
        except PasswordWeakError as error:
            return {"new": refusals_people.words_of(error)}
    return None


@web.post("/account/sign-out-elsewhere")
def account_sign_out_elsewhere() -> Response:
    """End one's sessions in all other browsers."""
    token = signed_in.token()
    if token is None:
        raise InvalidError(kind="session")
    with transaction():
        ended = signing_in.sign_out_elsewhere(_own(), keep=token, now=clock.now())
    if ended:
        notices.tell(_("You are signed out everywhere else."))
    else:
        flash(_("You were not signed in anywhere else."))
    return redirect_to(url_for("web.account"), 303)


def _page(faults: Faults | None = None) -> str:
    found, now = _own(), clock.now()
    at = [one.school_id for one in found.grants if one.school_id is not None]
    return render_template(
        "account.html",
        own=found,
        grants=words_people.in_order(found.grants),
        is_teacher=any(one.role is Role.TEACHER for one in found.grants),
        names=schools.names(at),
        mail_address=topics.address_of(found),
        teaching=queries.teaching(found, today=now.astimezone(signed_in.timezone()).date()),
        browsers=signing_in.browsers(found, token=signed_in.token(), now=now),
        names_of_languages=NAMES,
        faults=faults or {},
        minimum=passwords.MIN_LENGTH,
        was_saved=request.args.get("saved") == "looks",
    )
