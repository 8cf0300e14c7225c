"""A few weeks of chosen spells through the database job: it does at each look what the pure year does."""

from typing import Any

from flask import Flask

from fleet.access import Principal
from fleet.compliance.models import IncidentCause
from fleet.db import db, transaction
from fleet.schools import after_school
from fleet.schools.models import CalendarDay, SchoolClass
from tests import factories
from tests.silence_lived import Beside, Job, digest
from tests.silence_small import (
    CLASSES,
    FIRST,
    HOLIDAYS,
    PLANNING_DAY,
    PROGRAMME,
    SCHOOLS,
    Small,
    places,
    tablet,
)
from tests.silence_world import OSLO, STARTS, at

BEGINS = at(FIRST, STARTS)


def built() -> tuple[Small, Job]:
    """Write the world's schools and tablets, and return it with them."""
    numbers = []
    for name in SCHOOLS:
        school = factories.school(f"Skole {name}")
        classes = [factories.school_class(school, f"{name}{number}") for number in range(CLASSES)]
        if name == "D":
            classes[0].grade = "3"
            after_school.decide(school.id, PROGRAMME, by=Principal.command_line(), now=BEGINS)
        numbers.append((school, classes))
    for on in HOLIDAYS:
        db.session.add(CalendarDay(school_id=None, on=on, is_school_day=False, title="Høstferie"))
    planning = CalendarDay(school_id=numbers[1][0].id, on=PLANNING_DAY, is_school_day=False, title="Planleggingsdag")
    db.session.add(planning)
    world = Small(1, places=places([(school.id, [one.id for one in classes]) for school, classes in numbers]))
    schools, devices, pupils = {school.id: school for school, _ in numbers}, [], {}
    for number, place in enumerate(world.places):
        is_pupils = place.class_id is not None and number % 2 == 0
        person = factories.pupil(schools[place.school]) if is_pupils else None
        if person is not None:
            factories.membership(person, db.session.get_one(SchoolClass, place.class_id))
            pupils[number] = person.id
        made = factories.device(
            schools[place.school], person=person, class_id=None if is_pupils else place.class_id, cart=place.cart,
            created_at=BEGINS,
        )  # fmt: skip
        factories.enrolment(made, at=BEGINS, key=f"k{number}")
        made.state.last_seen_at, made.state.battery_percent = BEGINS, 60
        settings: dict[str, Any] = {"camera.allowed": digest(number) == "new"}
        factories.shall_have(made, **settings)
        devices.append(made.id)
    return world, Job(devices, pupils)


def told(year: Beside, one: str) -> list[str]:
    """Return what was found of a tablet, with the local hour and minute."""
    number = tablet(one)
    found = [flag for flag in year.flags if flag.tablet == number and flag.what != "question"]
    return [f"{flag.what} {flag.at.astimezone(OSLO):%d.%H:%M}" for flag in found]


# What became of each spell, at the first look after it was due; the test's looks come once an hour.
_SINGLY = {
    "A00": [],  # away as told
    "A02": ["silent 08.12:15", "silent 09.10:15"],  # away as nobody told, and asked about each day
    "A04": ["silent 05.14:15"],  # nearly flat when last heard: a school day and a little
    "A21": ["silent 11.12:15", "missing 11.14:15"],
    "A23": ["silent 14.12:15", "missing 14.13:15"],  # stolen on a Saturday
    "A31": ["silent 16.14:15", "missing 17.09:15"],
    "B01": ["silent 09.12:15", "silent 11.14:15", "missing 14.09:15"],  # was at home once, which explains no theft
    "B03": [],  # flat until the next morning
    "B05": ["silent 09.10:15"],
    "B15": ["silent 24.14:15", "missing 25.09:15"],  # neither the planning day nor the server's absence counted
    "B21": [
        "silent 16.10:15",
        "silent 17.10:15",
        "silent 24.13:00",
        "silent 08.10:15",
    ],  # at home, said ever more rarely
    "C01": ["silent 08.14:15"],  # here and broken, and then in others' incident
    "C21": ["silent 14.14:15", "missing 21.09:15"],  # nobody answered
    "D02": ["silent 07.11:15", "missing 07.13:15"],  # expected in the programme too
    "D03": ["silent 07.12:15", "missing 07.13:15"],  # not expected there
    "D05": ["silent 05.12:15", "missing 05.14:15"],  # the holidays did not count
    "D20": ["silent 09.12:15", "silent 11.12:15", "silent 15.12:15", "silent 08.14:15"],  # one is used to it by then
}
_MANY = [
    (IncidentCause.NETWORK, 16), (IncidentCause.CART, 6), (IncidentCause.CLASS, 5), (IncidentCause.PROFILE, 22),
    (IncidentCause.NETWORK, 15), (IncidentCause.EVERYWHERE, 114),
]  # fmt: skip


def test_the_job_does_at_each_look_what_the_pure_year_does(own_app: Flask) -> None:
    with own_app.app_context():
        with transaction():
            world, job = built()
        year = Beside(world, job=job).run()  # which compares at each look
    assert year.compared > 200
    assert {one: told(year, one) for one in _SINGLY} == _SINGLY
    assert {flag.tablet for flag in year.flags} == {tablet(one) for one, found in _SINGLY.items() if found}
    assert [(one.cause, len(one.former)) for one in year.incidents.values()] == _MANY
    assert {one.cause for one in year.incidents.values() if one.closed_at is None} == set()
