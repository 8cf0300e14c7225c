"""Choosing a password by a one-time link; the first administrator also chooses a name.

Looking at the link does not use it up.
"""

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.db import transaction
from fleet.errors import InvalidError
from fleet.people import passwords
from fleet.people.passwords import LinkInfo, LinkInvalidError, PasswordWeakError
from fleet.web import refusals_people
from fleet.web.blueprint import public, web
from fleet.web.texts import translated as _

_MAX_TYPED = 1024


@web.get("/password/<token>")
@public
def choose_password(token: str) -> str | tuple[str, int]:
    """Show the form, or say that the link is no good."""
    try:
        info = passwords.look_up_link(token, now=clock.now())
    except LinkInvalidError:
        return _no_good()
    return _form(info)


@web.post("/password/<token>")
@public
def choose_password_now(token: str) -> Response | str | tuple[str, int]:
    """Take the password."""
    typed = {name: request.form.get(name, "")[:_MAX_TYPED] for name in ("password", "again", "username", "name")}
    now = clock.now()
    try:
        info = passwords.look_up_link(token, now=now)
        if typed["password"] != typed["again"]:
            return _form(info, typed, _("The two passwords are not the same.")), 400
        chosen = {name: typed[name] for name in ("username", "name")} if info.is_first_admin else {}
        with transaction():
            passwords.use_link(token, typed["password"], **chosen, now=now)
    except LinkInvalidError:
        return _no_good()
    except InvalidError as error:
        return _form(info, typed, _words(error)), 400
    flash(_("The password is chosen. You can sign in now."))
    return redirect(url_for("web.sign_in"), 303)


def _form(info: LinkInfo, typed: dict[str, str] | None = None, problem: str | None = None) -> str:
    return render_template(
        "choose_password.html", info=info, typed=typed or {}, problem=problem, minimum=passwords.MIN_LENGTH
    )


def _no_good() -> tuple[str, int]:
    return render_template("link_invalid.html"), 404


def _words(error: InvalidError) -> str:
    reason = error.data.get("reason")
    if not isinstance(error, PasswordWeakError):
        if reason == "name":
            return _("Write the name you want to be shown with.")
        return _("The user name can have letters, digits and . _ @ + -, at least two characters.")
    return refusals_people.weak_password(error)
