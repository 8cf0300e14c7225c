"""One-off wishes to tablets, with a life. See the modules; what other areas and doors need of them is offered here."""

from fleet.orders.models import Order, OrderClosedError, OrderKind, OrderState
from fleet.orders.queueing import (
    MAX_TEXT,
    expire,
    finish,
    follow_changes,
    forget,
    mark_sent,
    of_device,
    pending,
    queue,
    withdraw,
)

__all__ = [
    "MAX_TEXT", "Order", "OrderClosedError", "OrderKind", "OrderState", "expire", "finish", "follow_changes", "forget",
    "mark_sent", "of_device", "pending", "queue", "withdraw",
]  # fmt: skip
