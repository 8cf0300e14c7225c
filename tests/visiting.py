"""A browser without a screen, for tests of the pages, and a small municipality to look at."""

import functools
import re
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from werkzeug.test import TestResponse

from fleet import clock
from fleet.access import Role
from fleet.compliance.models import Finding, FindingKind
from fleet.db import db, transaction
from fleet.devices.models import Device
from fleet.people import passwords
from fleet.people.models import Account
from fleet.schools.models import MembershipRole, School, SchoolClass
from tests import factories

PASSWORD = "korrekt hest batteri"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Visitor:
    """One browser: keeps cookies, and sends the forgery token that its last page gave it.

    Each request has a context and a database session of its own, as on the real server.
    """

    def __init__(self, app: Flask, **environ: Any) -> None:
        self._app = app
        self._environ = environ
        self._token: tuple[str, str] = ("", "")
        self.client = app.test_client()

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        """Load a page."""
        with self._app.app_context():
            return self.client.get(path, environ_overrides=self._environ, buffered=True, **kwargs)

    def refresh(self, path: str) -> TestResponse:
        """Ask for the living part of a page, as its script does."""
        return self.get(path, headers={"HX-Request": "true"})

    def post(
        self, path: str, *, page: str = "/sign-in", token: str | None = None, **form: str | list[str]
    ) -> TestResponse:
        """Send a form with ``token``, or else the session's, for which ``page`` is loaded where it is not known."""
        sent = token if token is not None else self._kept_token(page)
        with self._app.app_context():
            return self.client.post(path, data={"csrf_token": sent, **form}, environ_overrides=self._environ)

    def _kept_token(self, page: str) -> str:
        """Return the token of the last page, which holds as long as the session's secret is the same."""
        secret = self._secret()
        if not secret or secret != self._token[0]:
            found = self.token(page)
            self._token = (self._secret(), found)
        return self._token[1]

    def _secret(self) -> str:
        """Return what the session's forgery tokens are made of."""
        cookie = self.client.get_cookie(self._app.config["SESSION_COOKIE_NAME"])
        interface = cast("SecureCookieSessionInterface", self._app.session_interface)
        serializer = interface.get_signing_serializer(self._app)
        if cookie is None or serializer is None:
            return ""
        return str(serializer.loads(cookie.value).get("csrf_token", ""))

    def token(self, page: str = "/sign-in") -> str:
        """Return the forgery token of a page; any page has one, in its choice of language."""
        found = _TOKEN.search(self.get(page, follow_redirects=True).text)
        assert found is not None
        return found[1]

    def sign_in(self, username: str, password: str = PASSWORD, **form: str) -> TestResponse:
        """Sign in."""
        return self.post("/sign-in", username=username, password=password, **form)


def visit(app: Flask, username: str) -> Visitor:
    """Return a visitor who has signed in."""
    visitor = Visitor(app)
    assert visitor.sign_in(username).status_code == 303
    return visitor


@dataclass(frozen=True)
class World:
    """Two schools: the first with two classes, a tablet in each, the second with one class and one tablet."""

    school: School
    other_school: School
    own_class: SchoolClass
    next_class: SchoolClass
    tablet: Device
    next_tablet: Device
    other_tablet: Device


ROLES = ("admin", "it", "other-it", "teacher", "next-teacher", "nobody")


def build(app: Flask) -> World:
    """Make the municipality and an account for each of :data:`ROLES`, all with :data:`PASSWORD`."""
    with app.app_context():
        with transaction():
            world = _fill()
        for row in vars(world).values():
            db.session.refresh(row)  # so that tests can read it without a session
    return world


@functools.cache
def password_hash() -> str:
    """Return the stored form of :data:`PASSWORD`, made once."""
    return passwords.make_hash(PASSWORD)


def _fill() -> World:
    school, other = factories.school("Prøveskolen"), factories.school("Naboskolen")
    own, near = factories.school_class(school, "8B"), factories.school_class(school, "9A")
    far = factories.school_class(other, "5C")
    pupil = factories.pupil(school)
    factories.membership(pupil, own)
    tablet = factories.device(school, person=pupil, serial="OWN1", asset_tag="TAG-OWN", model="Prøvebrett")
    near_tablet = factories.device(school, class_id=near.id, serial="NEXT1")
    far_tablet = factories.device(other, class_id=far.id, serial="OTHER1")
    for device in (tablet, near_tablet, far_tablet):
        applied = factories.shall_have(device, at=clock.now(), **{"camera.allowed": False})
        factories.told(device, at=clock.now(), applied=applied)
    finding(tablet, FindingKind.APP_BLOCKED, "no.example.game")
    factories.account("admin", (Role.MUNICIPAL_ADMIN, None))
    factories.account("it", (Role.SCHOOL_IT, school))
    factories.account("other-it", (Role.SCHOOL_IT, other))
    factories.account("nobody")
    for username, taught in (("teacher", own), ("next-teacher", near)):
        person = factories.employee(username, school)
        factories.membership(person, taught, role=MembershipRole.TEACHER)
        factories.account(username, (Role.TEACHER, school), of=person)
    for account in db.session.query(Account):
        account.password_hash = password_hash()
    return World(school, other, own, near, tablet, near_tablet, far_tablet)


def finding(device: Device, kind: FindingKind, subject: str = "", **detail: Any) -> None:
    """Open a finding."""
    db.session.add(Finding(device_id=device.id, kind=kind, subject=subject, detail=detail, opened_at=clock.now()))
    device.state.has_findings = True
    db.session.flush()
