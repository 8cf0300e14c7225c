"""What tests of lessons start from: a class whose pupils' tablets were heard from, its teacher, a set, and a lesson."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from fleet.access import Grant, Principal, Role
from fleet.assignments import leases, schedules
from fleet.assignments.assigning import Place
from fleet.checkins import polls
from fleet.db import changed, db, run_followers
from fleet.devices.models import Device, DevicePresence, DeviceState, Enrolment, Platform
from fleet.lessons import life, sets
from fleet.lessons.models import Lesson, LessonSet, LessonTablet, Part, SetKind
from fleet.schools.models import School, SchoolClass
from tests import factories as make
from tests.conftest import NOW

OSLO = ZoneInfo("Europe/Oslo")
MINUTE = timedelta(minutes=1)
_number = itertools.count(1)
UNTIL = NOW + 45 * MINUTE  # 11:00 in Oslo


@dataclass
class Room:
    """A class with its tablets and teacher."""

    school: School
    of: SchoolClass
    devices: list[Device]
    teacher: Principal
    given: LessonSet

    @property
    def ids(self) -> list[int]:
        """The tablets' numbers."""
        return [one.id for one in self.devices]

    def start(self, *, until: datetime = UNTIL, now: datetime = NOW, **said: Any) -> Lesson:
        """Start a lesson, as the teacher."""
        said = {"by": self.teacher, "given": self.given, **said}
        given = said.pop("given")
        return life.start(self.of, given, until=until, now=now, timezone=OSLO, **said)


def room(title: str = "8B", *, count: int = 3, school: School | None = None, seen_at: datetime | None = NOW) -> Room:
    """Make a class with a tablet for each pupil, heard from at ``seen_at`` if ever; its teacher has an account."""
    school = school or make.school()
    of = make.school_class(school, title)
    devices = []
    for _ in range(count):
        pupil = make.pupil(school)
        make.membership(pupil, of)
        devices.append(make.device(school, person=pupil))
    make.assign(make.published(f"base-{title.lower()}", **{"camera.allowed": True}), Place.school_class(of))
    teacher = teacher_of(of)
    if seen_at is not None:
        seen([one.id for one in devices], at=seen_at, now=seen_at)
    given = sets.quick(SetKind.WEB, school_class=of, hosts=["*.nb.no"], by=teacher, now=NOW)
    return Room(school, of, devices, teacher, given)


def teacher_of(*classes: SchoolClass) -> Principal:
    """Make a teacher's account and return it as the one who acts, with these classes as its own."""
    account = make.account(f"laerer{next(_number)}", (Role.TEACHER, classes[0].school))
    grants = (Grant(Role.TEACHER, classes[0].school_id),)
    return Principal("account", str(account.id), grants, frozenset(one.id for one in classes))


def on_channel(channel: str, *devices: Device, platform: Platform = Platform.ANDROID) -> None:
    """Have tablets speak to us on a channel, which they do alone from then on."""
    for one in devices:
        make.enrolments_end(one)
        one.platform = platform
        db.session.add(Enrolment(device_id=one.id, channel=channel, enrolled_at=NOW))
    db.session.flush()


def seen(device_ids: Sequence[int], *, at: datetime, now: datetime, is_at_school: bool | None = None) -> None:
    """Have tablets asked, as the door would note, and let those follow who do."""
    for device_id in device_ids:
        db.session.merge(
            DevicePresence(device_id=device_id, polled_at=at, due_at=at + MINUTE, waits=True, is_at_school=is_at_school)
        )
    changed("presence", device_ids, now=now)
    run_followers()


def fetched(device_ids: Sequence[int], *, now: datetime) -> None:
    """Have tablets fetched their configuration as it stands."""
    polls.note_fetched({one: db.session.get_one(DeviceState, one).config_version for one in device_ids}, now=now)
    run_followers()


def obeyed(device_ids: Sequence[int], *, now: datetime, failures: Sequence[dict[str, str]] = ()) -> None:
    """Have tablets fetched, and reported to have, what they shall have now."""
    fetched(device_ids, now=now)
    for device_id in device_ids:
        state = db.session.get_one(DeviceState, device_id)
        state.applied_digest, state.failures = due(device_id, now)["profile"], list(failures) or None
        state.last_seen_at = now
    changed("report", device_ids, now=now)
    run_followers()


def due(device_id: int, now: datetime) -> Any:
    """Return the entry of a tablet's schedule that holds."""
    digest = db.session.get_one(DeviceState, device_id).schedule_digest
    assert digest is not None
    return schedules.entry_at(schedules.load([digest])[digest], now)


def hosts(device_id: int, now: datetime) -> list[str] | None:
    """Return the web addresses a tablet is bound to at an instant, None where to none."""
    body = schedules.body(due(device_id, now)["profile"])
    assert body is not None
    found: dict[str, Any] = json.loads(body)
    return found.get("web.allowed")


def part(lesson: Lesson, device: Device) -> Part:
    """Return whether a tablet is in a lesson, or why not."""
    db.session.expire_all()
    mine = (LessonTablet.lesson_id == lesson.id, LessonTablet.device_id == device.id)
    return db.session.scalars(select(LessonTablet.part).where(*mine)).one()


def stretches(device: Device, *, since: datetime = NOW) -> list[tuple[datetime, datetime]]:
    """Return from when until when a tablet is under leases."""
    return [(one.starts_at, one.ends_at) for one in leases.held([device.id], since=since).get(device.id, [])]
