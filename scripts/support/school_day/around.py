"""What a simulated tablet needs of the crowd it is one of."""

from typing import Protocol

from agent_protocol.messages import ConfigAnswer
from school_day.clock import DayClock
from school_day.figures import Tally
from school_day.ledger import Ledger


class Around(Protocol):
    """The crowd, as its tablets see it."""

    clock: DayClock
    tally: Tally
    ledger: Ledger
    port: int

    def school_of(self, class_number: int) -> int:
        """Return a class's school."""

    def is_open(self, class_number: int, instant: float) -> bool:
        """Whether its school is open."""

    def checks(self, answer: ConfigAnswer) -> None:
        """Verify some of the configurations."""
