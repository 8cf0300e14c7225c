"""One account as others look after it: roles, classes, links for a password, and whether it is open."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, Principal, Role, require
from fleet.config import Config
from fleet.db import transaction
from fleet.errors import FleetError, InvalidError
from fleet.people import accounts, passwords, queries
from fleet.people.models import Account
from fleet.schools import queries as schools
from fleet.web import notices, refusals_people, signed_in, words_people
from fleet.web.blueprint import web
from fleet.web.texts import translated as _
from fleet.web.values import whole

_ADDRESS = "/people/<username>"
_EVERYWHERE = "all"
_ROLES = {one.value: one for one in Role}
Act = Callable[[Account, Principal, datetime], object]


@dataclass(frozen=True, slots=True)
class Place:
    """A role and where it holds, as a form or an address tells them."""

    role: Role
    school_id: int | None

    @staticmethod
    def told(values: Mapping[str, str]) -> "Place":
        """Return what is told.

        Raises:
            InvalidError: no role, or no place where the role needs one.
        """
        role, where = _ROLES.get(values.get("role", "")), values.get("school_id", "")
        if role is None:
            raise InvalidError(kind="role", reason="needs a school")
        school_id = whole(where)
        if role is Role.MUNICIPAL_ADMIN:
            return Place(role, None)
        if school_id is None and (role is Role.TEACHER or where != _EVERYWHERE):
            raise InvalidError(kind="role", role=role.value, reason="needs a school")
        return Place(role, school_id)

    def values(self) -> dict[str, str]:
        """Return the same as an address tells it."""
        return {"role": self.role.value, "school_id": str(self.school_id or _EVERYWHERE)}


@web.get("/people/new")
def person_new() -> str:
    """Show the form for a new account."""
    require(signed_in.by(), Permission.MANAGE_PEOPLE)
    return _form({})


@web.post("/people/new")
def person_create() -> Response | str | tuple[str, int]:
    """Make an account with a first role, and show the link by which its owner chooses a password."""
    by, now = signed_in.by(), clock.now()
    require(by, Permission.MANAGE_PEOPLE)
    typed = {name: request.form.get(name, "")[:255] for name in ("name", "username", "role", "school_id")}
    try:
        with transaction():
            account = accounts.create(typed["username"], typed["name"], by=by, now=now)
            if typed["role"]:
                place = Place.told(typed)
                accounts.grant(account, place.role, school_id=place.school_id, by=by, now=now)
            token = passwords.issue_link(account, by=by, now=now)
            username = account.username
    except FleetError as error:
        words = refusals_people.told(error)
        if words is None:
            raise
        return _form(typed, {_field(error): words}), refusals_people.status(error)
    return _show_link(username, token, now, is_new=True)


def _field(error: FleetError) -> str:
    """Return the field that a refusal is about."""
    if error.data.get("kind") in {"role", "school"}:
        return "school_id"
    return "name" if error.data.get("reason") == "name" else "username"


def _form(typed: Mapping[str, str], faults: Mapping[str, str] | None = None) -> str:
    return render_template(
        "person_new.html",
        typed=typed,
        faults=faults or {},
        all_roles=list(Role),
        schools=schools.visible(signed_in.by()),
        everywhere=_EVERYWHERE,
    )


@web.get(_ADDRESS)
def person(username: str) -> str:
    """Show an account."""
    return _page(username)


@web.post(f"{_ADDRESS}/roles")
def person_grant(username: str) -> Response | tuple[str, int]:
    """Give an account a role."""

    def act(account: Account, by: Principal, now: datetime) -> None:
        place = Place.told(request.values)
        accounts.grant(account, place.role, school_id=place.school_id, by=by, now=now)

    return _done(username, act, _("The role is given."), undo="web.person_revoke")


@web.post(f"{_ADDRESS}/roles/revoke")
def person_revoke(username: str) -> Response | tuple[str, int]:
    """Take a role from an account."""

    def act(account: Account, by: Principal, now: datetime) -> None:
        place = Place.told(request.values)
        accounts.revoke(account, place.role, school_id=place.school_id, by=by, now=now)

    return _done(username, act, _("The role is taken away."), undo="web.person_grant")


@web.post(f"{_ADDRESS}/close")
def person_close(username: str) -> Response | tuple[str, int]:
    """Keep an account out."""
    words = _("The account is closed and signed out everywhere.")
    return _done(
        username, lambda account, by, now: accounts.disable(account, by=by, now=now), words, undo="web.person_open"
    )


@web.post(f"{_ADDRESS}/open")
def person_open(username: str) -> Response | tuple[str, int]:
    """Let an account in again."""
    words = _("The account is open again, with the password it had.")
    return _done(
        username, lambda account, by, now: accounts.enable(account, by=by, now=now), words, undo="web.person_close"
    )


@web.post(f"{_ADDRESS}/link")
def person_link(username: str) -> str | tuple[str, int]:
    """Make a link for choosing a password, and show it this once; earlier ones end."""
    by, now = signed_in.by(), clock.now()
    try:
        with transaction():
            token = passwords.issue_link(queries.managed(username, by=by), by=by, now=now)
    except FleetError as error:
        return _refused(username, error)
    return _show_link(username, token, now, is_new=False)


def _show_link(username: str, token: str, now: datetime, *, is_new: bool) -> str:
    """Show a link in the answer to the form itself: an address or a cookie that repeats it would outlive the look."""
    config: Config = current_app.extensions["fleet_config"]
    return render_template(
        "person_link.html",
        found=queries.managed(username, by=signed_in.by()),
        link=f"{config.public_url}/password/{token}",
        until=now + passwords.LINK_LIFE,
        life_days=passwords.LINK_LIFE.days,
        is_new=is_new,
    )


def _done(username: str, act: Act, words: str, *, undo: str) -> Response | tuple[str, int]:
    by = signed_in.by()
    try:
        with transaction():
            account = queries.managed(username, by=by)
            act(account, by, clock.now())
    except FleetError as error:
        return _refused(username, error)
    values = Place.told(request.values).values() if "role" in request.values else {"role": None, "school_id": None}
    notices.tell(words, undo=url_for(undo, username=username, role=values["role"], school_id=values["school_id"]))
    return redirect(url_for("web.person", username=username), 303)


def _refused(username: str, error: FleetError) -> tuple[str, int]:
    """Show the account again with what was refused; what cannot be told there has its own page.

    Raises:
        FleetError: such a one.
    """
    words = refusals_people.told(error)
    if words is None or not signed_in.by().may(Permission.MANAGE_PEOPLE):
        raise error
    return _page(username, {"school_id" if error.data.get("reason") == "needs a school" else "": words}), (
        refusals_people.status(error)
    )


def _page(username: str, faults: Mapping[str, str] | None = None) -> str:
    by, now = signed_in.by(), clock.now()
    found = queries.managed(username, by=by)
    known = schools.visible(by)
    return render_template(
        "person.html",
        found=found,
        is_own=found.id == by.account_id,
        grants=words_people.in_order(found.grants),
        schools=known,
        teaching=queries.teaching(found, today=now.astimezone(signed_in.timezone()).date()),
        all_roles=list(Role),
        typed=request.values if faults else {},
        faults=faults or {},
        everywhere=_EVERYWHERE,
        place_of=lambda one: Place(one.role, one.school_id).values(),
        life_days=passwords.LINK_LIFE.days,
        now=now,
    )
