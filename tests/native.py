"""What tests of the native channel look at: rows behind a tablet, and what it is told."""

from typing import Any

from sqlalchemy import func, select

from agent_protocol import envelopes
from agent_protocol.messages import BASE_PATH, ConfigDocument, Envelope, decode
from fleet import clock, orders
from fleet.access import Principal
from fleet.checkins.models import CheckIn
from fleet.db import db
from fleet.devices.models import Device, DeviceState
from fleet.orders import OrderKind, Wish
from tests.gate import Tablet

BY = Principal.command_line()
CONFIG, REPORTS = f"{BASE_PATH}/config", f"{BASE_PATH}/reports"


def device_of(tablet: Tablet) -> Device:
    """Return the tablet's row; inside a unit of work."""
    return db.session.scalars(select(Device).where(Device.uid == tablet.uid)).one()


def state_of(tablet: Tablet) -> dict[str, Any]:
    """Return the columns of the tablet's state."""
    with tablet.door.database():
        state = device_of(tablet).state
        return {column.key: getattr(state, column.key) for column in DeviceState.__table__.columns}


def stored(tablet: Tablet) -> int:
    """Return how many check-ins are stored."""
    with tablet.door.database():
        return db.session.scalar(select(func.count()).select_from(CheckIn)) or 0


def order_for(tablet: Tablet) -> str:
    """Queue an order for the tablet; returns its id on the wire."""
    with tablet.door.database():
        return orders.queue([device_of(tablet)], Wish(OrderKind.RING), by=BY, now=clock.now())[0].uid


def config_of(tablet: Tablet) -> ConfigDocument:
    """Fetch the tablet's configuration."""
    answer = tablet.get(CONFIG)
    assert answer.status == 200
    return decode(ConfigDocument, envelopes.payload_of(decode(Envelope, answer.body)))
