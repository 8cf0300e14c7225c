"""A municipality that has been lived in: 13 schools, 7,000 tablets with their history, for looking at every page.

The history is written straight into the database: check-ins, findings, orders, the audit's lines, runs of jobs. What it
says is plausible, nobody's, and the same every time.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import made_history
from flask import Flask
from sqlalchemy import case, func, insert, select, update

from bench import municipality
from bench.municipality import Municipality
from bench.school import AUTHORITY
from fleet import clock
from fleet.access import Principal, Role
from fleet.alerts import webhooks
from fleet.alerts.models import AlertTopic
from fleet.alerts.webhooks import Draft
from fleet.android.addresses import CHANNEL
from fleet.apps import catalogue
from fleet.apps.catalogue import Told
from fleet.apps.models import App
from fleet.assignments import publishing
from fleet.assignments.models import Assignment
from fleet.audit import AuditEntry
from fleet.checkins.models import CheckIn
from fleet.compliance.models import Finding, FindingKind, Incident, IncidentCause, IncidentMember, Question
from fleet.config import Config
from fleet.db import db, transaction
from fleet.devices import queries, tickets
from fleet.devices.models import Device, DeviceNote, DeviceState, Enrolment, Platform, Ticket
from fleet.job_runs import JobOutcome, JobRun
from fleet.jobs.timetable import TIMETABLE
from fleet.lessons import life
from fleet.lessons.models import Lesson, LessonSet, LessonTablet
from fleet.orders.models import Order, OrderKind, OrderState
from fleet.people.models import Account, AccountGrant
from fleet.reports import history
from fleet.schools import queries as places
from fleet.schools.models import SchoolClass
from profiles.profile import Profile

CLASSES, OF_A_SCHOOL, CHECK_INS = 250, 20, 100_000
_YEAR_DAYS = 365
_BY = Principal.command_line()
_FACTS = {
    "os_version": "18.4", "model": "Benkebrett 11", "agent_version": "1.0",
    "apps": [{"id": f"no.example.app{number}", "version": "1.0"} for number in range(25)],
}  # fmt: skip


@dataclass
class Lived:
    """The municipality, the administrator's cookie, and what pages are looked at."""

    town: Municipality
    admin: str
    places: dict[str, Any]


def build(app: Flask, *, classes: int = CLASSES, check_ins: int = CHECK_INS) -> Lived:
    """Fill an empty server."""
    town = municipality.fill(app, classes=classes, authority=AUTHORITY, of_a_school=OF_A_SCHOOL)
    with app.app_context(), transaction():
        now, chance = clock.now(), random.Random(4)  # noqa: S311 (the same numbers every time)
        devices = list(db.session.scalars(select(Device.id).order_by(Device.id)))
        places.ensure_municipality("Benk kommune")
        _states(devices, now)
        history.record_apps()
        _check_ins(devices, check_ins, now)
        _findings(devices, now, chance)
        _orders(devices, now, chance)
        _operation(now)
        _silence(town, now)
        account = Account(username="benk-it", name="Benk, IT", created_at=now)
        account.grants.append(AccountGrant(role=Role.MUNICIPAL_ADMIN, school_id=None))
        admin = municipality.signed_in(app, account, now)
        base = publishing.published(publishing.find("kommune-grunn"))
        settings = {**base.settings, "camera.allowed": False}
        draft = Profile("kommune-grunn", base.profile.title, settings)
        publishing.save_draft(draft, by=_BY, now=now)
    lessons = _lessons(app, town)
    with app.app_context():
        return Lived(town, admin, _places(town, lessons))


def _states(devices: list[int], now: datetime) -> None:
    """Have most tablets heard from a moment ago with their profile, a few not."""
    seen_at, applied = now - timedelta(minutes=7), DeviceState.desired_digest
    state = DeviceState
    db.session.execute(
        update(state).values(
            last_seen_at=case((state.device_id % 29 == 0, now - timedelta(days=3)), else_=seen_at),
            applied_digest=case((state.device_id % 31 == 0, None), else_=applied),
            applied_at=seen_at, desired_at=now - timedelta(days=9), facts=_FACTS, battery_percent=71,
            storage_free_bytes=24_000_000_000, clock_offset_s=0, last_sequence=99, has_findings=False,
        )
    )  # fmt: skip
    some = devices[::500]
    db.session.execute(
        insert(DeviceNote),
        [{"device_id": one, "text": "Skjermen er byttet.", "written_by": "cli", "written_at": now} for one in some],
    )


def _check_ins(devices: list[int], count: int, now: datetime) -> None:
    """Write the newest check-ins: evenly, but many of the first tablet, whose page shows them."""
    each = max(1, count // len(devices))
    rows = [
        {
            "device_id": one, "sequence": number + 1, "received_at": now - timedelta(minutes=15 * (each - number)),
            "report_id": f"{one}-{number}", "battery_percent": 60, "storage_free_bytes": 24_000_000_000,
            "clock_offset_s": 0, "applied_digest": "0" * 64,
        }
        for one in devices
        for number in range(each)
    ]  # fmt: skip
    rows += [
        {**rows[0], "sequence": each + number + 1, "report_id": f"more-{number}"}
        for number in range(max(0, count - len(rows)))
    ]
    for start in range(0, len(rows), 10_000):
        db.session.execute(insert(CheckIn), rows[start : start + 10_000])


def _findings(devices: list[int], now: datetime, chance: random.Random) -> None:
    kinds = list(FindingKind)
    with_open = devices[::23]
    rows: list[dict[str, Any]] = [
        {
            "device_id": one, "kind": kinds[place % len(kinds)], "subject": "no.example.app3", "detail": {},
            "opened_at": now - timedelta(hours=chance.randrange(1, 200)), "closed_at": None,
        }
        for place, one in enumerate(with_open)
    ]  # fmt: skip
    rows += [{**row, "device_id": one, "closed_at": now} for row, one in zip(rows, devices[1::23], strict=False)]
    db.session.execute(insert(Finding), rows)
    db.session.execute(update(DeviceState).where(DeviceState.device_id.in_(with_open)).values(has_findings=True))


def _orders(devices: list[int], now: datetime, chance: random.Random) -> None:
    states = [OrderState.DONE, OrderState.QUEUED, OrderState.EXPIRED, OrderState.ASKED, OrderState.DONE]
    rows = [
        {
            "uid": f"{number:032x}", "device_id": chance.choice(devices), "kind": OrderKind.MESSAGE,
            "payload": {"text": "Hent laderen i morgen."}, "state": states[number % len(states)], "wished_by": "cli",
            "queued_at": now - timedelta(minutes=number), "expires_at": now + timedelta(days=1),
        }
        for number in range(600)
    ]  # fmt: skip
    db.session.execute(insert(Order), rows)


def _operation(now: datetime) -> None:
    """Write the audit, the runs of jobs, the figures of past days and some tickets."""
    actions = ["tickets.created", "assignments.assigned", "enrolment.taken-in", "people.signed-in", "lessons.started"]
    db.session.execute(
        insert(AuditEntry),
        [
            {
                "at": now - timedelta(minutes=7 * (20_000 - number)), "actor_kind": "account", "actor_id": "1",
                "action": actions[number % len(actions)], "subject": f"device:{1 + number % 7_000}",
                "fields": {"school_id": 1, "count": number % 30},
            }
            for number in range(20_000)
        ],
    )  # fmt: skip
    runs = [
        {
            "job": job.name, "slot": now - timedelta(minutes=number), "epoch": 1, "counts": {"opened": number % 5},
            "started_at": now - timedelta(minutes=number), "ended_at": now - timedelta(minutes=number),
            "outcome": JobOutcome.FAILED if number == 0 and job.name == "retention" else JobOutcome.DONE,
        }
        for job in TIMETABLE
        for number in range(1_000)
    ]  # fmt: skip
    db.session.execute(insert(JobRun), runs)
    _history(now)
    for name in ("Maling", "Regnebok", "Været"):
        told = Told(name, "123456789", is_licensed=True)
        catalogue.add(f"no.example.app{len(name)}", Platform.IPADOS, told, by=_BY, now=now)
    place = select(SchoolClass).order_by(SchoolClass.id)
    for one in db.session.scalars(place.limit(100)).all():
        there = tickets.Place(one.school, one)
        tickets.create(there, expires_at=now + timedelta(days=2), max_enrolments=30, by=_BY, now=now)
    db.session.execute(
        update(Enrolment)
        .where(Enrolment.device_id <= 30)
        .values(ticket_id=select(Ticket.id).limit(1).scalar_subquery())
    )
    last = select(func.max(Device.id)).scalar_subquery()  # one that has Android's agent
    db.session.execute(update(Device).where(Device.id == last).values(platform=Platform.ANDROID))
    db.session.execute(update(Enrolment).where(Enrolment.device_id == last).values(channel=CHANNEL))


def _history(now: datetime) -> None:
    """Make up the last year's figures."""
    classes: dict[int, list[tuple[int, int]]] = {}
    for school_id, class_id in db.session.execute(select(SchoolClass.school_id, SchoolClass.id)):
        classes.setdefault(school_id, []).append((class_id, 26))
    tablets: dict[int | None, int] = {school_id: 26 * len(ones) for school_id, ones in classes.items()}
    devices = list(db.session.scalars(select(Device.id).order_by(Device.id).limit(200)))
    made_history.fill(made_history.Made(tablets, classes, devices), now=now, days=_YEAR_DAYS)


def _silence(town: Municipality, now: datetime) -> None:
    """Have a class's tablets in an incident, and ask about those of another."""
    hit, asked = (db.session.get_one(SchoolClass, one.id) for one in town.classes[:2])
    of_class = {
        one.id: db.session.scalars(queries.matching(queries.Filter(class_id=one.id), by=_BY)).all()
        for one in (hit, asked)
    }
    members = of_class[hit.id]
    incident = Incident(
        school_id=hit.school_id, cause=IncidentCause.CLASS, about={"class_ids": [hit.id]}, began_at=now, opened_at=now,
        most=len(members), of=len(members),
    )  # fmt: skip
    db.session.add(incident)
    db.session.flush()
    for device_id in members:
        db.session.add(IncidentMember(incident_id=incident.id, device_id=device_id, joined_at=now))
    for device_id in of_class[asked.id]:
        db.session.add(Question(device_id=device_id, class_id=asked.id, asked_at=now))


def _lessons(app: Flask, town: Municipality) -> list[int]:
    """Start lessons in some classes, so that pages have something running to show; returns their numbers."""
    config: Config = app.extensions["fleet_config"]
    found = []
    for one in town.classes[1:40]:
        with app.app_context(), transaction():
            given = db.session.get_one(LessonSet, town.sets[municipality.SETS[0]])
            school_class = db.session.get_one(SchoolClass, one.id)
            now = clock.now()
            lesson: Lesson = life.start(
                school_class, given, until=now + timedelta(minutes=40), takes_unseen=True, by=_BY, now=now,
                timezone=config.timezone,
            )  # fmt: skip
            found.append(lesson.id)
    return found


def _places(town: Municipality, lessons: list[int]) -> dict[str, Any]:
    """Return what addresses name: the first of each kind."""
    school_class = db.session.get_one(SchoolClass, town.classes[1].id)
    return {
        "school_id": school_class.school_id,
        "class_id": school_class.id,
        "serial": db.session.scalars(select(Device.serial).order_by(Device.id)).first(),
        "android_serial": db.session.scalars(select(Device.serial).order_by(Device.id.desc())).first(),
        "lesson_id": lessons[0],
        "ticket_id": db.session.scalars(select(Ticket.id)).first(),
        "username": "laerer1",
        "job": TIMETABLE[0].name,
        "profile": "kommune-grunn",
        "app_number": db.session.scalars(select(App.id)).first(),
        "action": "message",
        "finding_id": db.session.scalars(select(Finding.id)).first(),
        "rule_code": FindingKind.STORAGE_LOW.value,
        "report": "compliance",
        "report_places": "places",
        "report_findings": "findings",
        "report_list": "finding-list",
        "report_lessons": "lessons",
        "report_apps": "apps",
        "report_systems": "systems",
        "report_tablets": "tablets",
        "device_id": db.session.scalars(
            select(LessonTablet.device_id).where(LessonTablet.lesson_id == lessons[0])
        ).first(),
        "webhook_id": _webhook(),
        "assignment_id": db.session.scalars(select(Assignment.id)).first(),
        "incident_id": db.session.scalars(select(Incident.id)).first(),
    }


def _webhook() -> int:
    """Make a webhook, and return its number."""
    draft = Draft("Brukerstøtte", "https://hjelp.example.no/varsler", [AlertTopic.MISSING])
    with transaction():
        return webhooks.create(draft, vault_key=bytes(32), by=_BY, now=clock.now()).webhook.id
