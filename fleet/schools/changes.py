"""What a decision has changed, so that it can be taken back: pure.

Put back is only what still is as the decision left it; what somebody has decided since is left alone, and counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Change(Generic[Key, Value]):
    """What stood before a decision and what stands after it; where a key is missing, nothing stood or stands."""

    before: Mapping[Key, Value]
    after: Mapping[Key, Value]

    def back(self, standing: Mapping[Key, Value]) -> tuple[dict[Key, Value | None], int]:
        """Return what to put back (None: nothing), and how many others do not stand as the decision left them.

        Args:
            standing: what stands now. What stands as it did before is there already, and neither is told nor counted.
        """
        going: dict[Key, Value | None] = {}
        left = 0
        for key in {**self.before, **self.after}:
            before, after, now = self.before.get(key), self.after.get(key), standing.get(key)
            if now == before:
                continue
            if now == after:
                going[key] = before
            else:
                left += 1
        return going, left
