"""What importing a delivery list would change, as values."""

from dataclasses import dataclass, field
from typing import Any

from fleet.errors import BrakedError


class MovesError(BrakedError):
    """The list would move tablets that are in use: suppliers' lists are often old. Data: ``moves``, ``serials``."""

    code = "braked-moves"


@dataclass(frozen=True, slots=True)
class Difference:
    """What a list says otherwise of a tablet: schools and classes by name, a pupil only as ``set`` or None."""

    serial: str
    column: str
    old: str | None
    new: str | None
    is_move: bool


@dataclass(slots=True)
class DeliveryPlan:
    """What a list changes.

    Args:
        added: rows to add.
        changed: rows to change, with the tablet's id.
        unchanged: how many stay as they are.
        ignored: the list's columns that mean nothing here.
        differences: what the changed ones have otherwise; a move where a tablet in use would stand elsewhere.
    """

    added: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    unchanged: int = 0
    ignored: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    @property
    def moved(self) -> list[str]:
        """The serials of tablets in use that would stand elsewhere."""
        return sorted({one.serial for one in self.differences if one.is_move})

    def counts(self) -> dict[str, int]:
        """Return the numbers."""
        return {"added": len(self.added), "changed": len(self.changed), "unchanged": self.unchanged}
