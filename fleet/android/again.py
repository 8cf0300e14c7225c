"""A tablet that has been here before comes in again by the word in its address: no ticket is asked for.

Whether that word proves anything is decided by who asks (:mod:`fleet.android.enrolling`,
:mod:`fleet.android.displacing`).
"""

from datetime import datetime

from fleet.android.addresses import CHANNEL
from fleet.android.models import AgentClient
from fleet.crypto import random_token, token_digest
from fleet.devices import enrolment
from fleet.devices.enrolment import EnrolmentRequest, Refused
from fleet.devices.models import Device, Platform


def name() -> str:
    """Return what names an enrolment where there is no key: nothing that anybody else could know."""
    return token_digest(random_token())


def come_in(client: AgentClient, device: Device, *, now: datetime) -> bool:
    """Take a tablet in that a delivery list has; returns whether it may come.

    What it was last given is forgotten, so that it is told anew. The caller has the turn and holds the client, and
    commits in both cases.
    """
    request = EnrolmentRequest(
        code="", by_listing=True, serial=device.serial, platform=Platform.ANDROID, model=device.model or "",
        channel=CHANNEL, key_thumbprint=name(), public_key=b"",
    )  # fmt: skip
    if isinstance(enrolment.enrol(request, now=now), Refused):
        return False
    client.key_thumbprint = request.key_thumbprint
    client.served_version = client.served_profile = client.served_digest = None
    return True
