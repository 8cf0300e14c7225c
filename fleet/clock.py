"""The only place that reads the machine's clock.

Instants are aware UTC datetimes everywhere; local time appears where people read it and where school hours are
counted, and says so there. Use cases take ``now`` as a parameter; only doors and job runners call :func:`now`.
"""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present instant as an aware UTC datetime."""
    return datetime.now(UTC)
