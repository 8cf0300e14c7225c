"""The password of the agent's own settings: each tablet its own, shown to few, and never without a line in the audit."""

import re
from pathlib import Path

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.android.admin_password import admin_password, may_be_shown, secret, shown
from fleet.db import transaction
from fleet.devices.models import Device, DeviceLife, Platform
from fleet.errors import ForbiddenError, InvalidError, NotFoundError
from fleet.schools.models import School
from tests import factories as make
from tests.conftest import NOW

CLI = Principal.command_line()
KEY = bytes(range(32))
WHY = "innstillinger må rettes for hånd"


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return make.school()


def tablet(school: School, channel: str = "headwind", life: DeviceLife = DeviceLife.ENROLLED) -> Device:
    with transaction():
        return make.enrolled(school, channel=channel, platform=Platform.ANDROID, life=life, serial="R9TW10ABCDE")


def test_it_is_the_same_each_time_and_another_for_each_tablet_and_each_server() -> None:
    told = admin_password(KEY, "R9TW10ABCDE")
    assert told == "ewyg-sgm8-eyw4"
    assert admin_password(KEY, "R9TW10ABCDE") == told
    others = {admin_password(KEY, f"SN{number}") for number in range(200)} | {admin_password(KEY[::-1], "R9TW10ABCDE")}
    assert len(others | {told}) == 202
    assert all(re.fullmatch("[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){2}", one) for one in others)


def test_the_secret_is_made_once_and_nobody_else_reads_it(tmp_path: Path) -> None:
    made = secret(tmp_path / "secrets")
    assert len(made) == 32
    assert secret(tmp_path / "secrets") == made
    assert (tmp_path / "secrets" / "headwind.key").stat().st_mode & 0o077 == 0


def test_each_time_it_is_shown_the_audit_says_to_whom_and_why(school: School) -> None:
    device = tablet(school)
    with transaction():
        assert shown(device, KEY, reason=f" {WHY} ", by=CLI, now=NOW) == admin_password(KEY, device.serial)
    (line,) = make.audited(action="android.password-shown")
    assert (line.actor_kind, line.subject) == ("cli", f"device:{device.id}")
    assert line.fields == {"serial": device.serial, "reason": WHY}


@pytest.mark.parametrize(
    ("role", "is_own_school", "may"),
    [
        (Role.MUNICIPAL_ADMIN, True, True),
        (Role.SCHOOL_IT, True, True),
        (Role.SCHOOL_IT, False, False),
        (Role.TEACHER, True, False),
    ],
)
def test_who_may_order_privileged_things_at_its_school_may_see_it(
    school: School, role: Role, is_own_school: bool, may: bool
) -> None:
    device = tablet(school)
    with transaction():
        other = make.school("Der")
    of_all = role is Role.MUNICIPAL_ADMIN
    by = Principal("account", "1", (Grant(role, None if of_all else school.id if is_own_school else other.id),))
    with transaction():
        assert may_be_shown(device, by=by) is may
        if may:
            assert shown(device, KEY, reason=WHY, by=by, now=NOW)
            return
    with pytest.raises(ForbiddenError), transaction():
        shown(device, KEY, reason=WHY, by=by, now=NOW)
    assert not make.audited(action="android.password-shown")


@pytest.mark.parametrize("reason", ["", "fordi", " " * 20, "x" * 501, "linje\x00to og tre"])
def test_a_reason_that_says_nothing_shows_nothing(school: School, reason: str) -> None:
    device = tablet(school)
    with pytest.raises(InvalidError) as refused, transaction():
        shown(device, KEY, reason=reason, by=CLI, now=NOW)
    assert refused.value.data["kind"] == "admin password"
    assert not make.audited(action="android.password-shown")


def test_a_lost_tablet_still_has_its_own_and_one_of_another_channel_has_none(school: School) -> None:
    lost = tablet(school, life=DeviceLife.LOST)
    with transaction():
        make.enrolments_end(lost)
        assert shown(lost, KEY, reason=WHY, by=CLI, now=NOW)
        native, new = make.enrolled(school, platform=Platform.ANDROID), make.device(school, platform=Platform.ANDROID)
    for device in (native, new):
        assert not may_be_shown(device, by=CLI)
        with pytest.raises(NotFoundError), transaction():
            shown(device, KEY, reason=WHY, by=CLI, now=NOW)
