"""Fill an empty server with the demo's municipality, through the same use cases that a municipality uses."""

import json
import secrets
import tempfile
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, time, timedelta
from pathlib import Path

import always_open
import demo_alerts
import demo_data
import demo_silence
import demo_tablets
import made_history
from flask import Flask
from sqlalchemy import func, select

from agent_protocol.store import write_whole
from fleet.access import Principal, Role
from fleet.alerts import webhooks
from fleet.apps import catalogue as app_catalogue
from fleet.assignments import assigning, publishing
from fleet.assignments.assigning import Place
from fleet.config import Config
from fleet.db import db, reading, transaction
from fleet.devices import delivery, tickets
from fleet.devices.models import Device, Platform
from fleet.lessons import plans, sets, sharing
from fleet.people import accounts, passwords
from fleet.reports import history
from fleet.schools import bells, deciding, first_run, queries
from fleet.schools.bells import Period
from fleet.schools.models import ClassKind, Membership, SchoolClass
from fleet.schools.roster import apply
from profiles import catalogue

TICKET_LIFE = timedelta(days=60)
_SET_UP_BEFORE = timedelta(days=28)  # so long before the first start the municipality began
_TAKEN_IN_BEFORE = timedelta(days=25)
_LETTERS_GO_AFTER = timedelta(minutes=3)
_DAYS_AHEAD = 14
_DAYS_SHOWN = 365
_OWN = {"os.minimum_version": "17.0", "storage.keep_free_percent": 12}  # what this municipality asks for besides
_BY = Principal.command_line()


@dataclass
class Notes:
    """What the demo must remember between starts; the file is owner-only.

    ``tickets`` are codes by school and class; ``accounts`` are passwords by user name.
    """

    tickets: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def load(path: Path) -> "Notes | None":
        """Return what was kept, None before the first start."""
        return Notes(**json.loads(path.read_text())) if path.exists() else None

    def save(self, path: Path) -> None:
        """Keep it."""
        write_whole(path, json.dumps(asdict(self), indent=2).encode())


def fill(app: Flask, path: Path, now: datetime) -> Notes:
    """Return the demo's notes, after filling the server at the first start.

    One transaction for everything that counts, and the notes are on disk before it commits, so that a demo killed
    while it is set up begins anew.
    """
    known, config = Notes.load(path), app.extensions["fleet_config"]
    with app.app_context(), transaction():
        if known is not None and queries.municipality() is not None:
            _open(config, now, _DAYS_AHEAD)
            return known
    notes, began = Notes(), now - _SET_UP_BEFORE
    with tempfile.TemporaryDirectory() as folder, app.app_context(), transaction():
        _open(config, began, _SET_UP_BEFORE.days + _DAYS_AHEAD)
        roster, list_ = Path(folder) / "roster.zip", Path(folder) / "levering.csv"
        demo_data.write_roster(roster, now.date())
        demo_data.write_delivery_list(list_)
        apply.import_file(roster, max_removed_percent=None, by=_BY, now=began)
        delivery.import_list(list_, by=_BY, now=began)
        _profiles(began)
        _apps(began)
        _tickets(notes, began)
        _accounts(notes, began)
        _bells(began)
        _lessons(config, began)
        first_run.end(by=_BY, now=began)
        _history(config, now)
        _live(notes, config, now)
        notes.save(path)
    return notes


def _open(config: Config, now: datetime, days: int) -> None:
    """Have lessons and silence at any time of day: whoever looks at the demo may do so in the evening."""
    always_open.open_schools(days=days, title="Demo", by=_BY, now=now, timezone=config.timezone)


def _live(notes: Notes, config: Config, now: datetime) -> None:
    """Have the tablets be taken in and live up to now, with what became of it."""
    webhook_id = demo_alerts.begin(list(notes.accounts), config, now - _SET_UP_BEFORE)
    past = demo_tablets.Past(config.data_dir, notes.tickets, now - _TAKEN_IN_BEFORE)
    post = demo_alerts.Post(config)
    for moment in demo_silence.happen(past, now=now, timezone=config.timezone):
        post.go(moment)
        post.go(moment + _LETTERS_GO_AFTER)
    webhooks.switch(webhook_id, is_on=False, by=_BY, now=now)
    history.record_apps()


def _profiles(now: datetime) -> None:
    for ready in catalogue.load():
        given = replace(ready, settings={**ready.settings, **_OWN}) if ready.name == "kommune-grunn" else ready
        draft = publishing.save_draft(given, by=_BY, now=now)
        publishing.publish(draft.profile, by=_BY, now=now)
    give("kommune-grunn", Place.municipality(), now)
    for school in demo_data.SCHOOLS:
        found = queries.find_school(school.name)
        give("ungdomsskole" if school is demo_data.SCHOOLS[0] else "barneskole", Place.school(found), now)
    cart = select(Device).where(Device.cart == demo_data.CART)
    for device in db.session.scalars(cart).all():
        give("delt-vogn", Place.device(device), now)


def _apps(now: datetime) -> None:
    """Name the apps that the ready-made profiles name, so that pages call them as people do."""
    for app_id, name, store in demo_data.APPS:
        told = app_catalogue.Told(name, store, is_licensed=bool(store))
        app_catalogue.add(app_id, Platform.IPADOS, told, by=_BY, now=now)


def give(profile: str, place: Place, now: datetime) -> None:
    """Give a profile to a place."""
    assigning.assign(publishing.published(publishing.find(profile)), place, by=_BY, now=now)


def _tickets(notes: Notes, now: datetime) -> None:
    for school in demo_data.SCHOOLS:
        found = queries.find_school(school.name)
        for title in school.classes:
            is_cart = school is demo_data.CART_SCHOOL
            place = tickets.Place(
                found,
                None if is_cart else queries.find_class(title, school_id=found.id),
                demo_data.CART if is_cart else None,
            )
            # Twice as many as needed: a demo that is killed forgets its tablets' last keys, and they enrol anew.
            _, code = tickets.create(
                place, expires_at=now + TICKET_LIFE, max_enrolments=2 * school.pupils_per_class, by=_BY, now=now
            )
            notes.tickets[demo_tablets.ticket_key(school, title)] = code


def _accounts(notes: Notes, now: datetime) -> None:
    kjenn = queries.find_school(demo_data.SCHOOLS[0].name)
    school = demo_data.SCHOOLS[0]
    teachers = [
        (demo_data.teacher_id(school, title), f"Demolærer For {title}", Role.TEACHER, kjenn.id)
        for title in school.classes
    ]
    for username, name, role, school_id in (
        ("it", "Demo IT, kommunen", Role.MUNICIPAL_ADMIN, None),
        ("it-kjenn", "Demo IT, Kjenn", Role.SCHOOL_IT, kjenn.id),
        *teachers,
    ):
        account = accounts.create(username, name, by=_BY, now=now)
        accounts.grant(account, role, school_id=school_id, by=_BY, now=now)
        password = "-".join(secrets.token_hex(2) for _ in range(4))
        passwords.use_link(passwords.issue_link(account, by=_BY, now=now), password, now=now)
        notes.accounts[username] = password


def _bells(now: datetime) -> None:
    """Tell when it rings: a municipality's usual day, with a shorter Friday."""
    day = ("08:30-09:15", "09:15-10:00", "10:15-11:00", "11:45-12:30", "12:30-13:15", "13:30-14:15")
    spans = [(time.fromisoformat(told[:5]), time.fromisoformat(told[6:])) for told in day]
    week = [Period(weekday, *span) for weekday in range(5) for span in spans[: 4 if weekday == 4 else None]]
    bells.set_periods(None, week, by=_BY, now=now)


def _lessons(config: Config, now: datetime) -> None:
    """Share the ready-made sets, tell the first school's networks, and plan a lesson each day for its first class."""
    sharing.ensure_shipped(by=_BY, now=now)
    school = demo_data.SCHOOLS[0]
    kjenn = queries.find_school(school.name)
    deciding.set_networks(kjenn, ["127.0.0.1", "::1"], by=_BY, now=now)
    first, local = queries.find_class(school.classes[0], school_id=kjenn.id), now.astimezone(config.timezone)
    teacher = accounts.find(demo_data.teacher_id(school, school.classes[0]))
    by = accounts.principal(teacher, today=local.date())
    given = sets.offered(first, by=by, now=now)[0].set
    hour = (local.hour + 1) % 24  # soon, so that one need not wait until tomorrow
    for weekday in range(7):
        plans.plan(
            first, given, weekday=weekday, starts_at=time(hour), ends_at=time(hour, 45), holder_id=None, by=by, now=now,
            timezone=config.timezone,
        )  # fmt: skip


def _history(config: Config, now: datetime) -> None:
    """Make up the last year: jobs would have counted it, had the demo run for so long."""
    by_school = select(Device.school_id, func.count()).group_by(Device.school_id)
    by_class = (
        select(SchoolClass.school_id, SchoolClass.id, func.count())
        .join(Membership, Membership.class_id == SchoolClass.id)
        .where(SchoolClass.kind == ClassKind.BASIC)
        .group_by(SchoolClass.school_id, SchoolClass.id)
    )
    classes: dict[int, list[tuple[int, int]]] = {}
    for school_id, class_id, number in db.session.execute(by_class):
        classes.setdefault(school_id, []).append((class_id, number))
    tablets: dict[int | None, int] = {row[0]: row[1] for row in db.session.execute(by_school)}
    devices = list(db.session.scalars(select(Device.id).order_by(Device.id).limit(40)))
    made = made_history.Made(tablets, classes, devices)
    made_history.fill(made, now=now.astimezone(config.timezone), days=_DAYS_SHOWN)


def heard(app: Flask, since: datetime) -> int:
    """Return how many tablets have been heard since an instant."""
    with app.app_context(), reading():
        return demo_tablets.heard(since)
