"""Reports on their way into the domain, whatever channel they came by; counted once they are stored."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from fleet import metrics
from fleet.checkins import receive as checkins
from fleet.checkins.receive import Answer, Report
from fleet.db import after_commit
from fleet.errors import FleetError

_TAKEN = "taken"


def receive(channel: str, reports: Sequence[Report], *, now: datetime) -> list[Answer | FleetError]:
    """Store a batch of reports; returns an answer or a refusal for each, in order.

    Args:
        channel: by which they came.
        reports: the batch.
        now: the instant.
    """
    outcomes = checkins.receive(reports, now=now)
    after_commit(partial(_count, channel, outcomes))
    return outcomes


def _count(channel: str, outcomes: Sequence[Answer | FleetError]) -> None:
    for outcome, number in Counter(one.code if isinstance(one, FleetError) else _TAKEN for one in outcomes).items():
        metrics.CHECKINS.add(number, channel, outcome)
