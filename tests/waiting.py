"""What tests of waiting tablets need: many tablets that are taken in, and a school that is open all day."""

from collections.abc import Sequence
from datetime import time, timedelta

from cryptography.hazmat.primitives import serialization
from flask import Flask

from fleet import clock
from fleet.assignments.assigning import Place
from fleet.db import db, transaction
from fleet.schools.models import CalendarDay, SchoolHours
from tests import factories as make
from tests.gate import Tablet

_DER = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def take_in(app: Flask, tablets: Sequence[Tablet]) -> list[int]:
    """Have tablets in the database as if they had enrolled, with a profile; returns their ids."""
    with app.app_context(), transaction():
        devices = make.tablets(make.school(), len(tablets))
        for one, device in zip(tablets, devices, strict=True):
            make.enrolment(device, key=one.keyid).public_key = one.key.public_key().public_bytes(*_DER)
        make.assign(make.published(), Place.municipality(), now=clock.now())
        return [device.id for device in devices]


def open_all_day(app: Flask) -> None:
    """Have school around the clock, these days, so that a server of its own holds who asks for it."""
    with app.app_context(), transaction():
        for weekday in range(7):
            db.session.add(SchoolHours(weekday=weekday, starts_at=time(0), ends_at=time(23, 59, 59)))
        for days in range(-1, 3):
            on = clock.now().date() + timedelta(days=days)
            db.session.add(CalendarDay(on=on, is_school_day=True, title="Prøvedag"))
