"""The only place of the agent that reads the machine's clock."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the machine's present instant, aware UTC; the agent corrects it by what the server says."""
    return datetime.now(UTC)
