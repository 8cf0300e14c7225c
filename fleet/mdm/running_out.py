"""What the maker gives for a year: how many days are left, and when people are told to renew it."""

from datetime import datetime, timedelta

WARNING_DAYS = (60, 30, 14, 7)  # before it runs out; the portal renews within minutes, but people have holidays


def days_left(expires_at: datetime, now: datetime) -> int:
    """Return how many whole days it can still be used; negative once it has run out."""
    return (expires_at - now) // timedelta(days=1)


def warning_step(expires_at: datetime, now: datetime) -> int | None:
    """Return the narrowest of :data:`WARNING_DAYS` that has begun, 0 once it has run out, None before them all."""
    if now >= expires_at:
        return 0
    return min((step for step in WARNING_DAYS if days_left(expires_at, now) < step), default=None)
