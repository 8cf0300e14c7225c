"""Builders of what tests need to stand in the database: small functions, everything optional but what matters.

They add and flush, inside a transaction that the test opened. Names are obviously made up.
"""

import itertools
import secrets
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from fleet import audit
from fleet.access import Principal, Role
from fleet.assignments import assigning
from fleet.assignments.models import Assignment, EffectiveProfile, Profile, ProfileVersion
from fleet.db import db
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment, Platform
from fleet.people import passwords
from fleet.people.models import Account, AccountGrant
from fleet.schools.models import ClassKind, Membership, MembershipRole, Person, PersonKind, School, SchoolClass
from profiles.digest import canonical, digest, digest_of
from tests.conftest import NOW

GOOD_PASSWORD = "en lang setning om rein"
_number = itertools.count(1)


def _add(*rows: Any) -> None:
    db.session.add_all(rows)
    db.session.flush()


def school(name: str = "Prøveskolen") -> School:
    made = School(name=name)
    _add(made)
    return made


def school_class(at: School, title: str = "8B", kind: ClassKind = ClassKind.BASIC) -> SchoolClass:
    made = SchoolClass(school_id=at.id, kind=kind, title=title)
    _add(made)
    return made


def pupil(at: School) -> Person:
    number = next(_number)
    made = Person(
        kind=PersonKind.PUPIL,
        given_name="Elev",
        family_name=f"Prøve {number}",
        username=f"elev{number}",
        school_id=at.id,
    )
    _add(made)
    return made


def membership(
    person: Person,
    of: SchoolClass,
    *,
    role: MembershipRole = MembershipRole.PUPIL,
    starts_on: date | None = None,
    ends_on: date | None = None,
) -> Membership:
    made = Membership(class_id=of.id, person_id=person.id, role=role, starts_on=starts_on, ends_on=ends_on)
    _add(made)
    return made


def device(
    at: School, *, person: Person | None = None, life: DeviceLife = DeviceLife.ENROLLED, **columns: Any
) -> Device:
    """Make a tablet with its state; nothing is assigned to it until somebody materialises."""
    columns = {"serial": f"SN{next(_number):06}", "platform": Platform.IPADOS, "created_at": NOW, **columns}
    made = Device(
        uid=secrets.token_hex(16), school_id=at.id, person_id=person.id if person is not None else None, life=life,
        state=DeviceState(), **columns,
    )  # fmt: skip
    _add(made)
    return made


def published(name: str = "grunnoppsett", **settings: Any) -> ProfileVersion:
    """Make a profile with one published version; without settings it turns the camera off."""
    profile = Profile(name=name, title=name, created_at=NOW)
    _add(profile)
    told = settings or {"camera.allowed": False}
    made = ProfileVersion(
        profile_id=profile.id, number=1, settings=told, digest=digest(told), created_at=NOW, published_at=NOW
    )
    _add(made)
    return made


def assign(
    version: ProfileVersion,
    place: assigning.Place,
    *,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    now: datetime = NOW,
) -> Assignment:
    by = Principal.command_line()
    return assigning.assign(version, place, starts_at=starts_at, ends_at=ends_at, by=by, now=now)[0]


def employee(username: str | None, at: School, *, kind: PersonKind = PersonKind.TEACHER) -> Person:
    """Make a teacher or member of staff as the roster has them; pass ``kind`` for anybody else of this user name."""
    made = Person(kind=kind, given_name="Prøve", family_name="Personesen", username=username, school_id=at.id)
    _add(made)
    return made


def account(
    username: str, *roles: tuple[Role, School | None], password: str | None = None, of: Person | None = None
) -> Account:
    """Make an account with roles, at a school or (None) everywhere, and with a password where one is given."""
    made = Account(
        username=username,
        name=f"Prøve {username}",
        created_at=NOW,
        person_id=of.id if of is not None else None,
        password_hash=passwords.make_hash(password) if password is not None else None,
        grants=[AccountGrant(role=role, school_id=at.id if at is not None else None) for role, at in roles],
    )
    _add(made)
    return made


def teacher(username: str, *of: SchoolClass) -> Account:
    """Make a teacher of classes of one school, in the roster and with an account."""
    person = employee(username, of[0].school)
    for one in of:
        membership(person, one, role=MembershipRole.TEACHER)
    return account(username, (Role.TEACHER, of[0].school), of=person)


def tablets(at: School, count: int, *, of_class: SchoolClass | None = None) -> list[Device]:
    """Make enrolled tablets with their states, in two statements however many."""
    made = [
        Device(
            serial=f"SN{next(_number):06}", uid=secrets.token_hex(16), platform=Platform.LINUX, life=DeviceLife.ENROLLED,
            school_id=at.id, class_id=of_class.id if of_class is not None else None, created_at=NOW, state=DeviceState(),
        )
        for _ in range(count)
    ]  # fmt: skip
    _add(*made)
    return made


def next_version(of: ProfileVersion, **settings: Any) -> ProfileVersion:
    """Make the next published version of the same profile."""
    made = ProfileVersion(
        profile_id=of.profile_id, number=of.number + 1, settings=settings, digest=digest(settings), created_at=NOW,
        published_at=NOW,
    )  # fmt: skip
    _add(made)
    return made


def enrolment(of: Device, *, at: datetime = NOW, key: str | None = None) -> Enrolment:
    """Make a tablet's open enrolment."""
    made = Enrolment(device_id=of.id, channel="native", key_thumbprint=key, enrolled_at=at)
    of.state.key_thumbprint = key
    _add(made)
    return made


def enrolled(at: School, *, channel: str = "native", since: datetime = NOW, **columns: Any) -> Device:
    """Make a tablet with an open enrolment on a channel, as orders need it."""
    made = device(at, **columns)
    _add(Enrolment(device_id=made.id, channel=channel, enrolled_at=since))
    return made


def in_use(at: School, count: int, *, channel: str = "native") -> list[Device]:
    """Make tablets with open enrolments, in a few statements however many."""
    made = tablets(at, count)
    _add(*(Enrolment(device_id=one.id, channel=channel, enrolled_at=NOW) for one in made))
    return made


def enrolments_end(of: Device, *, at: datetime = NOW) -> None:
    """End a tablet's enrolment, whatever its life says."""
    for one in db.session.scalars(select(Enrolment).where(Enrolment.device_id == of.id, Enrolment.ended_at.is_(None))):
        one.ended_at = at
    db.session.flush()


def shall_have(of: Device, *, at: datetime = NOW, **settings: Any) -> str:
    """Have a tablet's row say that it shall have these effective settings since then; returns their digest."""
    body = canonical(settings)
    name = digest_of(body)
    db.session.merge(EffectiveProfile(digest=name, body=body.decode(), length=len(body), created_at=NOW))
    of.state.desired_digest, of.state.desired_at = name, at
    db.session.flush()
    return name


def told(of: Device, *, at: datetime = NOW, applied: str | None = None, apps: Sequence[str] = (), **state: Any) -> None:
    """Have a tablet's row say what a report would: an ordinary system with these apps, and ``applied`` since then."""
    facts = {"os_version": "18.4", "storage_total_bytes": 64 * 2**30, "apps": [{"id": app} for app in apps]}
    columns = {"storage_free_bytes": 32 * 2**30, "clock_offset_s": 0, "applied_at": at, **state}
    of.state.last_seen_at, of.state.applied_digest, of.state.facts = at, applied, facts
    for name, value in columns.items():
        setattr(of.state, name, value)
    db.session.flush()


def known_key(of: Device, name: str = "") -> str:
    """Give a tablet a key by name, as enrolling would; returns the name."""
    name = name or f"key-{of.id}"
    of.state.key_thumbprint = name
    _add(of)
    return name


def audited(limit: int = 100, *, action: str | None = None) -> Sequence[audit.AuditEntry]:
    """Return the newest lines of the audit, as somebody with a shell on the server reads them."""
    return audit.lines(audit.Filter(action=action), limit=limit, by=Principal.command_line())
