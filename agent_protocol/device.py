"""What an agent needs from the tablet it runs on: who it is, what it has, and hands to change it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent_protocol.messages import App, Failure, Order, OrderState

AGENT_VERSION = "1.1"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a tablet is, as it says itself."""

    serial: str
    platform: str
    model: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a tablet has just now. Storage in bytes; None where the tablet cannot tell."""

    os_version: str
    model: str
    battery_percent: int | None = None
    storage_total_bytes: int | None = None
    storage_free_bytes: int | None = None
    apps: Sequence[App] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)


class Device(Protocol):
    """The tablet under the agent."""

    def identity(self) -> Identity:
        """Return who the tablet is."""

    def inventory(self) -> Inventory:
        """Return what the tablet has just now."""

    def apply(self, digest: str, settings: Mapping[str, Any]) -> Sequence[Failure]:
        """Put an effective profile into force, whole; may be called again with the same one after a crash.

        Args:
            digest: the profile's name.
            settings: its settings by key.

        Returns:
            The settings that could not be put into force.
        """

    def obey(self, order: Order) -> tuple[OrderState, str]:
        """Carry out an order and return how it ended."""
