"""What tablets know they told and did, held against what the server's database says. Pure.

A report that was acknowledged has to be stored once. One whose answer never came may be stored once or not at all. What
is stored and was never sent is as wrong as what is lost. An order that a tablet carried out and whose result was taken
has to be done in the database; none may be carried out twice, nor one wish travel as two orders to one tablet.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """What the tablets of a driver, or of all, have done.

    Args:
        acknowledged: ids of reports whose answer came.
        unsure: ids of reports that were sent and never answered.
        sent: how many requests with reports were sent, the same again included.
        obeyed: how often each order was carried out.
        closed: orders whose result the server took.
        wishes: how often each tablet was told each text.
    """

    acknowledged: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    sent: int = 0
    obeyed: Counter[str] = field(default_factory=Counter)
    closed: set[str] = field(default_factory=set)
    wishes: Counter[tuple[int, str]] = field(default_factory=Counter)

    def take_in(self, other: "Ledger") -> None:
        """Add another driver's."""
        self.acknowledged |= other.acknowledged
        self.unsure |= other.unsure
        self.sent += other.sent
        self.obeyed += other.obeyed
        self.closed |= other.closed
        self.wishes += other.wishes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it. ``lost`` and ``doubled`` are the bars; the rest says how much there was to lose."""

    reports_acknowledged: int
    reports_unsure: int
    reports_unsure_stored: int
    reports_repeated: int
    reports_lost: int
    reports_doubled: int
    reports_unknown: int
    orders_wished: int
    orders_done: int
    orders_lost: int
    orders_doubled: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing is lost, doubled or made up."""
        wrong = (self.reports_lost, self.reports_doubled, self.reports_unknown, self.orders_lost, self.orders_doubled)
        return not any(wrong)


def judge(ledger: Ledger, stored: Iterable[tuple[str, int]], orders: Mapping[str, str]) -> Verdict:
    """Hold the ledger against the database.

    Args:
        ledger: all tablets'.
        stored: ids of stored reports, and how often each is there.
        orders: orders' states by name.
    """
    counts = dict(stored)
    known = ledger.acknowledged | ledger.unsure
    done = {name for name, state in orders.items() if state == "done"}
    return Verdict(
        reports_acknowledged=len(ledger.acknowledged),
        reports_unsure=len(ledger.unsure),
        reports_unsure_stored=len(ledger.unsure & counts.keys()),
        reports_repeated=ledger.sent - len(known),
        reports_lost=len(ledger.acknowledged - counts.keys()),
        reports_doubled=sum(count > 1 for count in counts.values()),
        reports_unknown=len(counts.keys() - known),
        orders_wished=len(orders),
        orders_done=len(done),
        orders_lost=len(ledger.closed - done) + len(done - ledger.obeyed.keys()),
        orders_doubled=sum(count > 1 for count in (*ledger.obeyed.values(), *ledger.wishes.values())),
    )
