"""People who have left are forgotten, and nobody else."""

from datetime import timedelta

from flask import Flask
from sqlalchemy import select

from fleet.db import db
from fleet.schools.models import Membership, Person
from fleet.schools.retention import forget_people
from tests import factories
from tests.conftest import NOW

HALF_A_YEAR = timedelta(days=180)


def test_names_of_people_who_left_long_ago_go_and_their_row_stays(app: Flask) -> None:
    school = factories.school()
    class_ = factories.school_class(school)
    here, lately, long_ago = (factories.pupil(school) for _ in range(3))
    for person in (here, lately, long_ago):
        factories.membership(person, class_)
        person.source_id = f"roster-{person.id}"
    lately.ended_at = NOW - HALF_A_YEAR + timedelta(days=1)
    long_ago.ended_at = NOW - HALF_A_YEAR - timedelta(days=1)
    db.session.flush()

    assert forget_people(older_than=HALF_A_YEAR, now=NOW, at_most=100) == 1
    assert forget_people(older_than=HALF_A_YEAR, now=NOW, at_most=100) == 0

    gone = db.session.get_one(Person, long_ago.id)
    assert (gone.given_name, gone.family_name, gone.username, gone.email, gone.source_id) == ("", "", None, None, None)
    assert [db.session.get_one(Person, one.id).username is not None for one in (here, lately)] == [True, True]
    members = set(db.session.scalars(select(Membership.person_id)))
    assert members == {here.id, lately.id}


def test_no_more_than_asked_for_are_forgotten_at_once(app: Flask) -> None:
    school = factories.school()
    for _ in range(3):
        factories.pupil(school).ended_at = NOW - timedelta(days=400)
    db.session.flush()
    assert [forget_people(older_than=HALF_A_YEAR, now=NOW, at_most=2) for _ in range(3)] == [2, 1, 0]
