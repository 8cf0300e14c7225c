"""One-off wishes to tablets, with a life. See the modules; what other areas and doors need of them is offered here."""

from fleet.orders.kinds import DEFAULT_LIFE, GENTLE, IN_LESSONS, MAX_TEXT, PRIVILEGED, Wish, carries
from fleet.orders.models import OPEN, Order, OrderClosedError, OrderKind, OrderState
from fleet.orders.queries import Filter, count, listed
from fleet.orders.queueing import (
    NotCarriedError,
    SamePersonError,
    approve,
    decline,
    find,
    queue,
    recall,
    withdraw,
)
from fleet.orders.travelling import expire, finish, follow_changes, forget, mark_sent, pending

__all__ = [
    "DEFAULT_LIFE", "GENTLE", "IN_LESSONS", "MAX_TEXT", "OPEN", "PRIVILEGED", "Filter", "NotCarriedError", "Order",
    "OrderClosedError", "OrderKind", "OrderState", "SamePersonError", "Wish", "approve", "carries", "count", "decline",
    "expire", "find", "finish", "follow_changes", "forget", "listed", "mark_sent", "pending", "queue", "recall",
    "withdraw",
]  # fmt: skip
