"""From assignments in time to a schedule of effective profiles: pure.

Invariant: the segments follow each other without gaps from before all time to after it, neighbours differ, and at
every instant the segment's profile is the layering of what applies at that instant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from profiles import digest, layering
from profiles.layering import Layer


@dataclass(frozen=True, slots=True)
class Timed:
    """A layer and when it applies: from ``starts_at`` (included) until ``ends_at`` (not included); None is open."""

    layer: Layer
    starts_at: datetime | None
    ends_at: datetime | None

    def applies_at(self, instant: datetime) -> bool:
        """Whether the layer applies at ``instant``."""
        begun = self.starts_at is None or self.starts_at <= instant
        return begun and (self.ends_at is None or instant < self.ends_at)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time with one effective profile: its digest and its canonical body."""

    starts_at: datetime | None
    ends_at: datetime | None
    digest: str
    body: bytes


def body_of(layers: Sequence[Layer]) -> bytes:
    """Return the canonical body of the effective profile of ``layers``."""
    return digest.canonical(dict(layering.effective(layers).settings))


def segments(timed: Sequence[Timed], *, now: datetime) -> list[Segment]:
    """Return the schedule from ``now`` on; what is over is left out."""
    standing = [one for one in timed if one.ends_at is None or one.ends_at > now]
    moments = {moment for one in standing for moment in (one.starts_at, one.ends_at)} - {None}
    edges = sorted(moment for moment in moments if moment is not None and moment > now)
    found: list[Segment] = []
    for begin, end in zip([None, *edges], [*edges, None], strict=True):
        at = begin if begin is not None else now
        body = body_of([one.layer for one in standing if one.applies_at(at)])
        name = digest.digest_of(body)
        if found and found[-1].digest == name:
            found[-1] = Segment(found[-1].starts_at, end, name, body)
        else:
            found.append(Segment(begin, end, name, body))
    return found


def entries(found: Sequence[Segment]) -> list[dict[str, Any]]:
    """Return segments in the stored form of a schedule."""
    return [
        {
            "from": _text(one.starts_at),
            "until": _text(one.ends_at),
            "profile": one.digest,
            "length": len(one.body),
        }
        for one in found
    ]


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment is not None else None
