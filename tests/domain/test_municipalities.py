"""Figures of a municipality: counted right, and nothing in them that names a person, place or tablet."""

import json
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask
from sqlalchemy import String, select

from fleet.checkins.models import CheckIn
from fleet.compliance.models import Finding, FindingKind
from fleet.db import Base, db
from fleet.devices.models import Device, DeviceLife, Enrolment, Platform
from fleet.job_runs import JobLease
from fleet.municipalities import figures, standing
from tests import factories
from tests.conftest import NOW

OSLO = ZoneInfo("Europe/Oslo")


def tablets(number: int, platform: Platform, channel: str, version: str, **columns: Any) -> list[Device]:
    at = factories.school(f"Skolen {channel} {version}")
    made = [factories.device(at, person=factories.pupil(at), platform=platform, **columns) for _ in range(number)]
    for one in made:
        one.state.facts = {"os_version": version, "name": "Brettet til Prøve"}
        one.state.last_seen_at = NOW
        db.session.add(Enrolment(device_id=one.id, channel=channel, enrolled_at=NOW))
    db.session.flush()
    return made


def find(device: Device, kind: FindingKind) -> None:
    db.session.add(Finding(device_id=device.id, kind=kind.value, detail={}, opened_at=NOW))
    device.state.has_findings = True
    db.session.flush()


def test_figures_are_counted_and_name_nobody(app: Flask) -> None:
    ipads = tablets(12, Platform.IPADOS, "apple", "17.6.1") + tablets(8, Platform.IPADOS, "apple", "18.0")
    others = tablets(6, Platform.ANDROID, "headwind", "13") + tablets(1, Platform.LINUX, "native", "Prøve sin maskin")
    tablets(9, Platform.IPADOS, "apple", "16.1", life=DeviceLife.RETIRED)
    for one in ipads[:6]:
        find(one, FindingKind.SILENT)
    find(ipads[0], FindingKind.MISSING)  # the same tablet
    for number, days in enumerate([0, 1, 1, 1, 1, 7, 8]):  # of today and of a day more than a week ago: not counted
        db.session.add(
            CheckIn(
                device_id=others[0].id, received_at=NOW - timedelta(days=days), sequence=number, report_id=str(number)
            )
        )
    for number in range(9):
        db.session.add(
            CheckIn(device_id=ipads[number].id, received_at=NOW - timedelta(days=3), sequence=1, report_id=f"x{number}")
        )
    db.session.flush()
    told = figures.count(now=NOW, timezone=OSLO)
    assert told.flat() == {
        "tablets": 27, "silent": 6, "compliant": 21, "compliant_percent": 77.8, "check_ins_per_day": 2,
        "channel apple": 20, "channel other": 7,
        "system ipados 17": 12, "system ipados 18": 8, "system other": 7,
    }  # fmt: skip
    find(others[0], FindingKind.OS_OUTDATED)  # the only one that is not in order and not silent
    assert figures.count(now=NOW, timezone=OSLO).silent is None
    written = json.dumps(told.flat()).casefold()
    assert not [one for one in every_text() if one.casefold() in written]


def every_text() -> set[str]:
    """Return whatever names a school, class, person or tablet in the database."""
    found: set[str] = set()
    for name in ("school", "school_class", "person"):
        columns = [one for one in Base.metadata.tables[name].columns if type(one.type) is String]
        for column in columns:
            found.update(one for one in db.session.scalars(select(column)) if one)
    for row in db.session.execute(select(Device.uid, Device.serial, Device.asset_tag, Device.model)):
        found.update(one for one in row if one)
    assert len(found) > 50
    return {one for one in found if len(one) > 2}


def test_of_a_few_tablets_nothing_is_told(app: Flask) -> None:
    tablets(figures.SMALL - 1, Platform.IPADOS, "apple", "18.0")
    assert set(figures.count(now=NOW, timezone=OSLO).flat().values()) == {None}


def test_how_one_stands_is_told_without_what_is_in_it(app: Flask) -> None:
    tablets(2, Platform.IPADOS, "apple", "18.0")
    db.session.add(JobLease(name="timetable", holder="a:1", epoch=1, expires_at=NOW - timedelta(hours=1)))
    db.session.flush()
    found = standing.look([], now=NOW, timezone=OSLO)
    assert (found.is_current, found.tablets, found.last_seen_at, found.jobs) == (True, 2, NOW, "fault")
