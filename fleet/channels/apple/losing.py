"""A tablet that is reported lost is closed until it is found: Apple's lost mode, which it also needs to be located.

Invariant: what the iPad is in is compared with what the tablet's life says, so that neither a command that got lost nor
one too many leaves a found tablet closed or a lost one open.

Source: device.lostmode.enable.yaml, device.lostmode.disable.yaml
"""

from datetime import datetime

from fleet.channels.apple import requests
from fleet.channels.apple.inventory import Known
from fleet.devices.models import DeviceLife
from fleet.mdm import commands
from fleet.mdm.commands import Wanted
from fleet.mdm.models import Client, CommandState


def want(client: Client, organisation: str, *, now: datetime) -> None:
    """Queue what closes or opens a client, where it is not as it shall be."""
    device = client.device
    is_lost, is_closed = device.life is DeviceLife.LOST, bool(Known.read(client.told).information.is_lost)
    waiting = (CommandState.QUEUED, CommandState.HELD)  # of one that was sent the answer is still to come
    commands.drop(client.device_id, requests.OPEN if is_lost else requests.CLOSE, states=waiting, now=now)
    if is_lost and not is_closed:
        text = device.lost_message or f"Dette nettbrettet tilhører {organisation}. Lever det på nærmeste skole."
        told = {"message": text, "phone_number": device.lost_phone, "footnote": organisation}
        commands.ensure(client.device_id, Wanted(requests.CLOSE, told, priority=commands.URGENT), now=now)
    elif is_closed and not is_lost:
        commands.ensure(client.device_id, Wanted(requests.OPEN, priority=commands.URGENT), now=now)
