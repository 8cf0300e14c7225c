"""Enrolled iPads that lie, garble and flood: what they say stays their own trouble."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.channels.apple import door as apple_door
from fleet.db import db
from fleet.mdm.models import Client
from tests.gate import Door
from tests.ipad_gate import ipad_door, ticket_code
from tests.ipads import Ipad

_CHECK_IN, _COMMANDS = "application/x-apple-aspen-mdm-checkin", "application/x-apple-aspen-mdm"


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with ipad_door(fresh_url, tmp_path) as made:
        yield made


@pytest.fixture
def code(gate: Door) -> str:
    return ticket_code(gate)


@pytest.fixture
def tablet(gate: Door, code: str) -> Ipad:
    made = Ipad(gate.send, "PAD1")
    made.enrol(code)
    made.wake()
    return made


def report(tablet: Ipad, items: dict[str, Any]) -> int:
    data = json.dumps({"StatusItems": items, "FullReport": False}).encode()
    return tablet.put({"MessageType": "DeclarativeManagement", "Endpoint": "status", "Data": data}, _CHECK_IN).status


def told_bytes(gate: Door) -> int:
    with gate.database():
        return len(json.dumps(db.session.query(Client).one().told))


def test_what_is_kept_of_reports_does_not_grow_without_end(gate: Door, tablet: Ipad) -> None:
    sizes = []
    for number in range(14):
        declared = [
            {"identifier": f"{number}-{place}", "server-token": "x", "valid": "valid", "active": True}
            for place in range(200)
        ]
        apps = [{"identifier": f"no.example.a{number}x{place}", "state": "managed"} for place in range(1000)]
        items = {"management": {"declarations": {"configurations": declared}}, "mdm": {"app": apps}}
        assert report(tablet, items) == 200
        sizes.append(told_bytes(gate))
    assert sizes[-1] < sizes[-4] * 1.1
    tablet.report(is_full=False)
    assert tablet.wake() is not None


def test_one_that_floods_is_put_off_and_others_are_not(
    gate: Door, code: str, tablet: Ipad, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Ipad(gate.send, "PAD2")
    other.enrol(code)
    message = {"Status": "Acknowledged", "CommandUUID": "none of ours"}
    found = [tablet.put(message, _COMMANDS).status for _ in range(apple_door.SAID_AT_ONCE + 3)]
    assert (found[0], found[-1]) == (200, 503)
    assert report(tablet, {}) == 503
    assert report(other, {}) == 200
    assert other.put(message, _COMMANDS).status == 200
