"""A municipality of classes, written straight into a database: pupils with tablets, teachers who are signed in.

Profiles are assigned as in life: one for all, one for each school, one for every other class. What a lesson's set will
come to on a class's tablets is worked out ahead by the same rules, so that reports that say so can be signed ahead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import always_open
from flask import Flask
from sqlalchemy import func, insert, select

from bench import school as tablets_of
from bench.school import Tablet
from fleet import clock
from fleet.access import Principal, Role
from fleet.assignments import assigning, publishing
from fleet.assignments.assigning import Place
from fleet.assignments.models import ProfileVersion
from fleet.assignments.timeline import body_of
from fleet.config import Config
from fleet.crypto import random_token, token_digest
from fleet.db import db, reading, transaction
from fleet.devices import tickets
from fleet.devices.models import DevicePresence, DeviceState
from fleet.lessons import sharing
from fleet.lessons.models import LessonSet
from fleet.people import signing_in
from fleet.people.models import Account, AccountGrant, SignInSession
from fleet.schools.models import ClassKind, Membership, MembershipRole, Person, PersonKind, School, SchoolClass
from profiles import catalogue
from profiles.digest import digest_of
from profiles.layering import Layer, Level

PUPILS = 28
_CLASSES_OF_A_SCHOOL = 16
_BASE, _SCHOOL, _CLASS = "kommune-grunn", "barneskole", "bibliotek"
SETS = ("lesing", "matematikk")
_BY = Principal.command_line()


@dataclass
class BenchClass:
    """A class with its teacher's cookie, its tablets, and by set what a lesson will have them apply."""

    id: int
    title: str
    cookie: str
    expected: Mapping[str, str]
    tablets: list[Tablet] = field(default_factory=list)


@dataclass
class Municipality:
    """See the module. ``sets`` are numbers of shared sets by profile; the first class has only a ticket, no tablets."""

    classes: list[BenchClass]
    sets: Mapping[str, int]
    ticket: str


def fill(app: Flask, *, classes: int, authority: str, of_a_school: int = _CLASSES_OF_A_SCHOOL) -> Municipality:
    """Fill an empty server.

    Args:
        app: the application.
        classes: how many have tablets; one more gets a ticket to enrol with.
        authority: the server's host and port, as tablets sign requests for it.
        of_a_school: how many classes a school has.
    """
    now = clock.now()
    config: Config = app.extensions["fleet_config"]
    with app.app_context(), transaction():
        always_open.open_schools(days=3, title="Benk", by=_BY, now=now, timezone=config.timezone)
        versions = _publish(now)
        sharing.ensure_shipped(by=_BY, now=now)
        schools = [School(name=f"Benkeskole {number:02}") for number in range(-(-(classes + 1) // of_a_school))]
        db.session.add_all(schools)
        db.session.flush()
        made = [_school_class(schools[number // of_a_school], number) for number in range(classes + 1)]
        db.session.flush()
        pupils = _people(made[1:], "elev", PUPILS, PersonKind.PUPIL)
        rows = [
            {"serial": f"BENCH{number:07}", "school_id": school_id, "person_id": person_id}
            for number, (person_id, school_id) in enumerate(pupils)
        ]
        tablets = tablets_of.insert_tablets(rows, authority=authority)
        cookies = _teachers(app, made, now)
        assigning.assign(versions[_BASE], Place.municipality(), by=_BY, now=now)
        for one in schools:
            assigning.assign(versions[_SCHOOL], Place.school(one), by=_BY, now=now)
        for of in made[::2]:
            assigning.assign(versions[_CLASS], Place.school_class(of), by=_BY, now=now)
        place = tickets.Place(schools[0], made[0])
        _, ticket = tickets.create(place, expires_at=now + timedelta(days=1), max_enrolments=100, by=_BY, now=now)
        names = [_expected(versions, has_own=number % 2 == 0) for number in range(classes + 1)]
        found = [
            BenchClass(of.id, of.title, cookie, told) for of, cookie, told in zip(made, cookies, names, strict=True)
        ]
        wanted = select(LessonSet).where(LessonSet.shared)
        sets = {one.profile.name: one.id for one in db.session.scalars(wanted) if one.profile is not None}
    for number, each in enumerate(found[1:]):
        each.tablets = tablets[number * PUPILS : (number + 1) * PUPILS]
    _tell_desired(app, tablets)
    return Municipality(found, sets, ticket)


def _publish(now: datetime) -> dict[str, ProfileVersion]:
    return {
        given.name: publishing.publish(publishing.save_draft(given, by=_BY, now=now).profile, by=_BY, now=now)
        for given in catalogue.load()
    }


def _school_class(school: School, number: int) -> SchoolClass:
    made = SchoolClass(school_id=school.id, kind=ClassKind.BASIC, title=f"{number:03}B", grade="8")
    db.session.add(made)
    return made


def _people(classes: Sequence[SchoolClass], name: str, count: int, kind: PersonKind) -> list[tuple[int, int]]:
    """Make people, so many to a class, and return (person, school) in the classes' order; three statements."""
    role = MembershipRole.PUPIL if kind is PersonKind.PUPIL else MembershipRole.TEACHER
    rows: list[dict[str, Any]] = [
        {
            "kind": kind, "given_name": "Prøve", "family_name": f"Benk {one.title}", "school_id": one.school_id,
            "username": f"{name}{one.title.lower()}{number:02}",
        }
        for one in classes
        for number in range(count)
    ]  # fmt: skip
    db.session.execute(insert(Person), rows)
    found = db.session.execute(select(Person.username, Person.id).where(Person.kind == kind))
    ids = {row.username: row.id for row in found}
    people = [(ids[row["username"]], row["school_id"]) for row in rows]
    members = [
        {"class_id": classes[place // count].id, "person_id": person_id, "role": role}
        for place, (person_id, _) in enumerate(people)
    ]
    db.session.execute(insert(Membership), members)
    return people


def _teachers(app: Flask, classes: Sequence[SchoolClass], now: datetime) -> list[str]:
    """Make a teacher for each class, signed in; returns the cookies that their browsers hold."""
    cookies = []
    for place, (person_id, school_id) in enumerate(_people(classes, "laerer", 1, PersonKind.TEACHER)):
        account = Account(username=f"laerer{place}", name=f"Lærer {place}", person_id=person_id, created_at=now)
        account.grants.append(AccountGrant(role=Role.TEACHER, school_id=school_id))
        cookies.append(signed_in(app, account, now))
    return cookies


def signed_in(app: Flask, account: Account, now: datetime) -> str:
    """Store an account that is signed in; returns the cookie that its browser holds."""
    db.session.add(account)
    db.session.flush()
    token = random_token()
    db.session.add(
        SignInSession(
            account_id=account.id, token_digest=token_digest(token), created_at=now, last_used_at=now,
            expires_at=now + signing_in.LIFE,
        )
    )  # fmt: skip
    write = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    return f"{app.config['SESSION_COOKIE_NAME']}={write.dumps({'_user_id': token})}"


def _expected(versions: Mapping[str, ProfileVersion], *, has_own: bool) -> dict[str, str]:
    """Return by set the digest of what a class's tablets will apply in a lesson that gives it."""
    below = [(Level.MUNICIPALITY, _BASE), (Level.SCHOOL, _SCHOOL), *([(Level.CLASS, _CLASS)] if has_own else [])]
    return {
        name: digest_of(
            body_of([Layer(level, one, None, versions[one].settings) for level, one in [*below, (Level.LESSON, name)]])
        )
        for name in SETS
    }


def _tell_desired(app: Flask, tablets: Sequence[Tablet]) -> None:
    with app.app_context(), reading():
        rows = db.session.execute(select(DeviceState.device_id, DeviceState.desired_digest))
        found = {row.device_id: row.desired_digest for row in rows}
    for one in tablets:
        one.desired = found[one.device_id]


def waiting_as_noted(app: Flask) -> int:
    """Return how many tablets the server has noted as waiting: a lesson takes those that were heard from today."""
    with app.app_context(), reading():
        return db.session.scalar(select(func.count()).where(DevicePresence.waits)) or 0
