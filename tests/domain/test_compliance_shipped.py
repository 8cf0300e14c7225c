"""Each rule that comes with the server opens and closes its finding, by what tablets report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.checkins import receive
from fleet.checkins.receive import Report
from fleet.compliance import review, shipped
from fleet.compliance.models import OF_SILENCE, Finding, FindingKind
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceLife, Platform
from tests import factories
from tests.conftest import NOW

LONG_AGO = NOW - timedelta(days=2)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Case:
    """A rule: what a tablet tells when it finds something, and when it does not."""

    kind: FindingKind
    bad: Mapping[str, Any]
    good: Mapping[str, Any]
    wanted: Mapping[str, Any] = field(default_factory=dict)
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    platform: Platform = Platform.IPADOS
    after: timedelta = timedelta(0)  # until its grace is over


def flags(**told: bool) -> dict[str, Any]:
    return {"facts": {"flags": told}}


def attributes(**told: str) -> dict[str, Any]:
    return {"facts": {"attributes": told, "flags": []}}


EXPIRES_SOON, EXPIRES_LATE = ((NOW + days * DAY).isoformat() for days in (10, 200))
CASES = [
    Case(FindingKind.SETTINGS_FAILED, {"failures": [{"key": "camera.allowed", "reason": "rejected"}]}, {},
         detail={"settings": ["camera.allowed"], "count": 1}),
    Case(FindingKind.OS_OUTDATED, {"facts": {"os_version": "18.3"}}, {"facts": {"os_version": "18.4.1"}},
         {"os.minimum_version": "18.4"}, detail={"found": "18.3", "expected": "18.4"}),
    Case(FindingKind.APP_MISSING, {"facts": {"apps": []}}, {"facts": {"apps": [{"id": "no.b", "version": "1"}]}},
         {"apps.required": ["no.b"]}, "no.b"),
    Case(FindingKind.APP_BLOCKED, {"facts": {"apps": [{"id": "no.x", "version": "1"}]}}, {"facts": {"apps": []}},
         {"apps.blocked": ["no.x"]}, "no.x"),
    Case(FindingKind.PASSCODE_MISSING, flags(passcode_present=False), flags(passcode_present=True),
         {"passcode.required": True}, after=DAY),
    Case(FindingKind.NOT_ENCRYPTED, flags(encrypted=False), flags(encrypted=True)),
    Case(FindingKind.NOT_ENCRYPTED, attributes(encrypted="false"), attributes(encrypted="true"),
         platform=Platform.LINUX),
    Case(FindingKind.NOT_SUPERVISED, flags(supervised=False), flags(supervised=True)),
    Case(FindingKind.NOT_SUPERVISED, flags(device_owner=False), flags(device_owner=True), platform=Platform.ANDROID),
    Case(FindingKind.TAMPERED, attributes(rooted="true"), attributes(rooted="false"), platform=Platform.LINUX),
    Case(FindingKind.TAMPERED, attributes(bootloader_unlocked="yes"), attributes(), platform=Platform.ANDROID),
    Case(FindingKind.STORAGE_LOW, {"storage_free_bytes": 6 * 2**30}, {"storage_free_bytes": 8 * 2**30},
         detail={"free_bytes": 6 * 2**30, "free_percent": 9, "keep_free_percent": 10}),
    Case(FindingKind.BATTERY_WORN, attributes(battery_health_percent="74"), attributes(battery_health_percent="91"),
         platform=Platform.LINUX, detail={"health_percent": 74}),
    Case(FindingKind.BATTERY_WORN, flags(battery_service=True), flags(battery_service=False),
         detail={"health_percent": None}),
    Case(FindingKind.CLOCK_WRONG, {"clock_offset_s": -500}, {"clock_offset_s": 20}, detail={"offset_s": -500}),
    Case(FindingKind.CERTIFICATE_ENDING, {"facts": {"certificate_expires_at": EXPIRES_SOON}},
         {"facts": {"certificate_expires_at": EXPIRES_LATE}}, detail={"expires_at": EXPIRES_SOON}),
]  # fmt: skip


def check_in(device: Device, sequence: int, told: Mapping[str, Any], now: datetime) -> None:
    facts = {"os_version": "18.4", "storage_total_bytes": 64 * 2**30, "apps": [], **told.get("facts", {})}
    report: dict[str, Any] = {"storage_free_bytes": 32 * 2**30, **told, "facts": facts}
    one = Report(
        device_id=device.id, key="k", sequence=sequence, report_id=f"r{sequence}", body_digest=f"b{sequence}",
        **{"applied": device.state.desired_digest, **report},
    )  # fmt: skip
    with transaction():
        (answer,) = receive.receive([one], now=now)
        assert isinstance(answer, receive.Answer)


def found() -> list[tuple[str, str, dict[str, Any]]]:
    query = select(Finding).where(Finding.closed_at.is_(None)).order_by(Finding.kind)
    return [(one.kind, one.subject, one.detail) for one in db.session.scalars(query)]


def tablet(wanted: Mapping[str, Any], platform: Platform = Platform.IPADOS) -> Device:
    with transaction():
        made = factories.device(factories.school(), platform=platform)
        factories.enrolment(made, at=LONG_AGO, key="k")
        made.state.desired_digest = factories.shall_have(made, at=LONG_AGO, **wanted) if wanted else None
    return made


@pytest.mark.parametrize("case", CASES, ids=[f"{one.kind}-{one.platform}" for one in CASES])
def test_a_rule_opens_and_closes_by_reports(app: Flask, case: Case) -> None:
    device = tablet(case.wanted, case.platform)
    begun = NOW - timedelta(minutes=shipped.APPS_GRACE_MIN) - DAY
    check_in(device, 1, case.good, begun)
    check_in(device, 2, case.bad, NOW - case.after)
    if case.after:
        assert found() == []
        with transaction():
            assert review.review_due(now=NOW - timedelta(seconds=1)).tablets == 0
            assert review.review_due(now=NOW).opened == 1
    assert found() == [(case.kind, case.subject, case.detail)]
    assert db.session.scalars(select(Finding)).one().severity is shipped.SHIPPED[case.kind].severity
    check_in(device, 3, case.good, NOW)
    assert found() == []


def test_a_profile_is_missing_after_some_reports_and_there_with_the_next(app: Flask) -> None:
    device = tablet({"camera.allowed": False})
    for sequence in range(1, shipped.PROFILE_POLLS + 1):
        assert found() == []
        check_in(device, sequence, {"applied": None}, NOW)
    assert found() == [(FindingKind.PROFILE_MISSING, "", {})]
    check_in(device, 9, {}, NOW)
    assert found() == []


def test_a_tablet_delivered_and_not_enrolled_is_found_after_weeks_and_no_more_once_it_enrols(app: Flask) -> None:
    with transaction():
        device = factories.device(factories.school(), life=DeviceLife.EXPECTED, listed_at=NOW)
        review.review([device.id], now=NOW)
    due = NOW + shipped.DELIVERED_DAYS * DAY
    assert device.state.review_at == due
    with transaction():
        assert review.review_due(now=due).opened == 1
    assert found() == [(FindingKind.NOT_ENROLLED, "", {"since": NOW.isoformat()})]
    with transaction():
        device.life = DeviceLife.ENROLLED
        factories.enrolment(device, at=due, key="k")
        review.review([device.id], now=due)
    assert found() == []


def test_each_shipped_rule_is_tried_here() -> None:
    tried = {one.kind for one in CASES} | {FindingKind.PROFILE_MISSING, FindingKind.NOT_ENROLLED}
    assert tried == shipped.SHIPPED.keys()
    assert set(FindingKind) - tried == OF_SILENCE


def test_what_nobody_tells_opens_nothing(app: Flask) -> None:
    wanted = {"passcode.required": True, "os.minimum_version": "99"}
    device = tablet(wanted)
    with transaction():
        factories.told(
            device, at=NOW, applied=device.state.desired_digest, storage_free_bytes=None, clock_offset_s=None
        )
        device.state.facts = {}
        review.review([device.id], now=NOW + 90 * DAY)
    assert found() == []


def test_a_certificate_is_looked_at_again_when_its_time_comes(app: Flask) -> None:
    device = tablet({})
    ends = NOW + 20 * DAY
    check_in(device, 1, {"facts": {"certificate_expires_at": ends.isoformat()}}, NOW - timedelta(hours=1))
    now = NOW
    while found() == []:
        assert device.state.review_at is not None
        now = max(now, device.state.review_at)
        with transaction():
            review.review_due(now=now)
    assert timedelta(0) <= now - (ends - shipped.CERTIFICATE_DAYS * DAY) < DAY
    assert found()[0][0] == FindingKind.CERTIFICATE_ENDING


@pytest.mark.parametrize(
    "told",
    [
        "2026-10-20T10:00:00-23:59",
        "2026-10-20T10:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_no_instant_that_a_tablet_tells_stops_a_review(app: Flask, told: str) -> None:
    device = tablet({})
    check_in(device, 1, {"facts": {"certificate_expires_at": told}}, NOW - timedelta(hours=1))
    with transaction():
        review.review([device.id], now=NOW)
        review.review([device.id], now=NOW + DAY)
    assert found() == []
