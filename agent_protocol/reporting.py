"""What a tablet tells about itself, and whether that is news."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from agent_protocol.device import AGENT_VERSION, Inventory
from agent_protocol.messages import Applied, Failure, Report, encode
from agent_protocol.store import Memory


@dataclass(frozen=True, slots=True)
class Pending:
    """A report that waits for its answer: sent again byte for byte until one comes.

    Args:
        report_id: names the report.
        body: the encoded report.
        news: what of it counts as news, to be compared with the next one's.
    """

    report_id: str
    body: bytes
    news: bytes


def compose(
    memory: Memory, found: Inventory, *, at: datetime, config_version: int | None, flags: Collection[str]
) -> Pending:
    """Return the report of what the tablet is ``at`` an instant (by the server's clock)."""
    report = Report(
        report_id=str(uuid.uuid4()),  # not from the session's dice: a repeated run must not repeat an id
        reported_at=at.astimezone(UTC),
        config_version=config_version,
        applied=Applied(memory.applied, memory.applied_since),
        failures=[Failure(key, reason) for key, reason in memory.failures],
        os_version=found.os_version,
        model=found.model,
        agent_version=AGENT_VERSION,
        battery_percent=found.battery_percent,
        storage_total_bytes=found.storage_total_bytes,
        storage_free_bytes=found.storage_free_bytes,
        apps=list(found.apps),
        clock_offset_s=round(max(-(2**31), min(2**31 - 1, memory.clock_offset_s))),
        attributes=dict(found.attributes),
        flags=sorted(flags),
    )
    # Battery and storage change all the time: they ride along, they are no reason to report.
    news = [report.applied, report.failures, report.os_version, report.model, report.apps, report.flags]
    return Pending(report.report_id, encode(report), encode(news))
