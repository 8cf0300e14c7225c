"""A teacher at the pages: a class with tablets, a browser signed in, and lessons in it at a fixed hour of a school day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from fleet import clock
from fleet.access import Principal, Role
from fleet.db import db, transaction
from fleet.devices.models import Device
from fleet.lessons.models import Lesson, LessonSet, LessonTablet, Part, SetKind
from fleet.lessons.sharing import share
from fleet.people import accounts
from fleet.people.models import Account
from fleet.schools.models import School, SchoolClass
from tests import factories, lessons, visiting
from tests.conftest import NOW
from tests.doors.test_web_pages import visiting_text
from tests.visiting import Visitor

ON: date = NOW.date()


@dataclass
class Teaching:
    """A school with the classes 8B and 9A, their teachers ``kari`` and ``ola``, ``it``, and two shared sets.

    Tests say what time it is: ``at`` moves the clock that the pages read.
    """

    app: Flask
    monkeypatch: pytest.MonkeyPatch
    school: School
    own: SchoolClass
    other: SchoolClass
    tablets: list[Device]
    reading: LessonSet
    web: LessonSet

    def at(self, now: datetime) -> None:
        """Let it be ``now``."""
        self.monkeypatch.setattr(clock, "now", lambda: now)

    def visitor(self, username: str = "kari") -> Visitor:
        """Return a browser in which somebody is signed in."""
        made = Visitor(self.app)
        assert made.sign_in(username).status_code == 303
        return made

    def principal(self, username: str) -> Any:
        """Return somebody as the one who acts."""
        return accounts.principal(accounts.find(username), today=ON)

    def rows(self, *of: Any) -> list[Any]:
        """Return rows of the school in the running session."""
        return [db.session.merge(one) for one in of]

    def ids(self) -> list[int]:
        """Return the numbers of 8B's tablets."""
        return [one.id for one in self.tablets]

    def start(self, visitor: Visitor, **form: str | list[str]) -> str:
        """Start a lesson with 8B as the teacher does, and return its page's address."""
        path = f"/classes/{self.own.id}/lesson"
        answer = visitor.post(path, page=path, token=None, **{"set_id": str(self.reading.id), **form})
        assert answer.status_code == 303, words(answer.text)
        return str(answer.location)

    def lesson(self) -> Lesson:
        """Return the newest lesson."""
        return db.session.scalars(select(Lesson).order_by(Lesson.id.desc())).first() or pytest.fail("no lesson")

    def part(self, place: int) -> Part:
        """Return whether 8B's tablet at a place is in the newest lesson."""
        with self.app.app_context():
            lesson_id, device_id = self.lesson().id, self.tablets[place].id
            mine = (LessonTablet.lesson_id == lesson_id, LessonTablet.device_id == device_id)
            return db.session.scalars(select(LessonTablet.part).where(*mine)).one()

    def obeyed(self, places: Sequence[int], now: datetime, failures: Sequence[dict[str, str]] = ()) -> None:
        """Have tablets of 8B report that they have what they shall have."""
        with self.app.app_context(), transaction():
            lessons.obeyed([self.tablets[place].id for place in places], now=now, failures=failures)


def words(page: str) -> str:
    """Return a page's text in one line, with plain hyphens."""
    return " ".join(visiting_text(page).replace("\u2013", "-").split())


def build(app: Flask, monkeypatch: pytest.MonkeyPatch, *, pupils: int = 4) -> Teaching:
    """Make the school; every tablet but 8B's last was heard from a moment ago, that one yesterday."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    with app.app_context():
        with transaction():
            school = factories.school()
            own, other = (factories.school_class(school, title) for title in ("8B", "9A"))
            tablets = []
            for number in range(pupils):
                pupil = factories.pupil(school)
                pupil.given_name, pupil.family_name = f"Elev{number}", "Prøve"
                factories.membership(pupil, own)
                tablets.append(factories.enrolled(school, person=pupil))
            factories.told(tablets[0], apps=["no.nb.lesebok", "no.example.paint"])
            factories.membership(pupil, other)  # the last pupil is in both
            factories.device(school, class_id=other.id)
            lessons.seen([one.id for one in tablets[:-1]], at=NOW, now=NOW)
            lessons.seen([tablets[-1].id], at=NOW - timedelta(days=1), now=NOW)
            cli = Principal.command_line()
            reading = share(school=school, title="Lesing", kind=SetKind.APPS, apps=["no.nb.lesebok"], by=cli, now=NOW)
            web = share(school=None, title="Bare leksikon", kind=SetKind.WEB, hosts=["snl.no"], by=cli, now=NOW)
            people: list[Account] = [factories.teacher("kari", own), factories.teacher("ola", other)]
            people += [
                factories.account("it", (Role.SCHOOL_IT, school)),
                factories.account("admin", (Role.MUNICIPAL_ADMIN, None)),
            ]
            for one in people:
                one.password_hash = visiting.password_hash()
        made = Teaching(app, monkeypatch, school, own, other, tablets, reading, web)
        for row in (school, own, other, *tablets, reading, web):
            db.session.refresh(row)
    return made
