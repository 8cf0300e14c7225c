"""How refusals are worded: from an error's data, with the command that helps as one types it."""

from collections.abc import Callable, Mapping
from typing import Any

COMMAND = "scripts/fleet"  # as one types it
Data = Mapping[str, Any]
Words = Callable[[Data], str]


def see(words: str) -> str:
    """Return a command as it is typed."""
    return f"`{COMMAND} {words}`"


def always(told: str) -> Words:
    """Return words that are the same whatever the data."""
    return lambda _data: told
