"""What an order is, and the steps of its life.

Invariant: an order takes only the steps of :data:`STEPS`; whoever moves one holds its tablet's row
(``devices.states.lock``), so that of two who would end it one wins and the other is told.
"""

import enum
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, Document, text_enum
from fleet.devices.models import Device
from fleet.errors import ConflictError

MAX_REASON = 500


class OrderKind(enum.StrEnum):
    """What can be wished."""

    MESSAGE = "message"
    LOCK_MESSAGE = "lock-message"
    RING = "ring"
    RESTART = "restart"
    REPORT_NOW = "report-now"
    OPEN_URL = "open-url"
    OPEN_APP = "open-app"
    SHUT_DOWN = "shut-down"
    UPDATE_SYSTEM = "update-system"
    WIPE = "wipe"
    LOCATE = "locate"
    CLEAR_PASSCODE = "clear-passcode"


class OrderState(enum.StrEnum):
    """Where an order is in its life."""

    ASKED = "asked"  # waits for a second person
    QUEUED = "queued"
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    DECLINED = "declined"


_ENDED_BY_TABLET = frozenset({OrderState.DONE, OrderState.FAILED, OrderState.REFUSED})
_ENDED_HERE = frozenset({OrderState.EXPIRED, OrderState.WITHDRAWN})

# The steps of an order's life. A tablet's word counts although nobody noted that it was sent: who knows its random name
# has got it. One that nobody approved travels to no tablet, so no tablet has a word on it.
STEPS: Mapping[OrderState, frozenset[OrderState]] = MappingProxyType(
    {
        OrderState.ASKED: frozenset({OrderState.QUEUED, OrderState.DECLINED}) | _ENDED_HERE,
        OrderState.QUEUED: frozenset({OrderState.SENT}) | _ENDED_BY_TABLET | _ENDED_HERE,
        OrderState.SENT: _ENDED_BY_TABLET | _ENDED_HERE,
        **{state: frozenset() for state in (*_ENDED_BY_TABLET, *_ENDED_HERE, OrderState.DECLINED)},
    }
)
OPEN = frozenset(state for state, steps in STEPS.items() if steps)
TRAVELLING = OPEN - {OrderState.ASKED}  # in the configuration that tablets fetch


class OrderClosedError(ConflictError):
    """The order's state does not allow the step: mostly it has ended. Data: ``id``, ``state``."""

    code = "order-closed"


class Order(Base):
    """One order; ``uid`` names it on the wire.

    It stands in its tablet's queue since ``queued_at``; where it waits for a second person, it was asked for then.
    ``wished_by`` and ``answered_by`` (who approved or declined it) name people as ``Principal.name`` does. ``within``
    names what it was wished for, such as ``lesson:17``, and does not outlive.
    """

    __tablename__ = "device_order"
    __table_args__ = (Index("ix_device_order_open", "device_id", "state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(32), unique=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"))
    kind: Mapped[OrderKind] = mapped_column(text_enum(OrderKind))
    payload: Mapped[dict[str, Any]]
    reason: Mapped[str | None] = mapped_column(String(MAX_REASON))
    state: Mapped[OrderState] = mapped_column(text_enum(OrderState))
    wished_by: Mapped[str] = mapped_column(String(80))
    answered_by: Mapped[str | None] = mapped_column(String(80))
    within: Mapped[str | None] = mapped_column(String(32))
    queued_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    detail: Mapped[str | None] = mapped_column(String(255))
    result: Mapped[dict[str, Any] | None] = mapped_column(Document)  # see fleet.orders.locations

    device: Mapped[Device] = relationship()

    def step(self, to: OrderState) -> None:
        """Go to a state; the caller holds the tablet's row.

        Raises:
            OrderClosedError: there is no such step from where the order is.
        """
        if to not in STEPS[self.state]:
            raise OrderClosedError(kind="order", id=self.id, state=self.state.value)
        self.state = to
