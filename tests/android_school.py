"""Android tablets in a school, behind a gate in the test's own process or a real server: how they come, what they get."""

from collections.abc import Mapping
from typing import Any

from fleet.android import addresses
from tests.gate import Door
from tests.headwind_agent import HeadwindAgent, Send

URL = "https://fleet.test"  # where the tablets think that the server is; a gate here has no other
GATE = {"FLEET_PUBLIC_URL": URL}


def extras(code: str, url: str = URL) -> Mapping[str, str]:
    """Return what the agent is told by a QR code."""
    project = addresses.enrolment_project(code)
    return {"com.hmdm.BASE_URL": url, "com.hmdm.SERVER_PROJECT": project, "com.hmdm.DEVICE_ID_USE": "serial"}


def come(gate: Door, code: str, serial: str = "DROID1", **looks: Any) -> HeadwindAgent:
    """Return a tablet that has come in."""
    return come_by(gate.send, code, serial, **looks)


def come_by(send: Send, code: str, serial: str = "DROID1", **looks: Any) -> HeadwindAgent:
    """Return a tablet that has come in by what calls its server."""
    made = HeadwindAgent(send, serial, **looks)
    made.enrol(extras(code))
    return made
