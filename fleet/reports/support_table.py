"""Until when versions of tablets' systems get security updates: a dated table, to be looked over twice a year.

Neither maker publishes an end beforehand. For Android the end is the last monthly bulletin that named the version; for
iPadOS it is when its updates stopped, and as a rule when the version after the next one came.
"""

from dataclasses import dataclass
from datetime import date

from fleet.devices.models import Platform

# Source: https://endoflife.date/ipados and https://endoflife.date/android, which name the makers' own pages:
# https://support.apple.com/100100 and https://source.android.com/docs/security/bulletin
LOOKED_UP_ON = date(2026, 3, 5)

_ENDS: dict[Platform, dict[str, date | None]] = {
    Platform.IPADOS: {
        "12": date(2019, 9, 24),
        "13": date(2020, 9, 16),
        "14": date(2021, 10, 1),
        "15": date(2025, 3, 31),
        "16": date(2025, 3, 31),
        "17": date(2025, 9, 15),
        "18": None,
        "26": None,
    },
    Platform.ANDROID: {
        "7": date(2019, 10, 1),
        "8": date(2021, 1, 10),
        "9": date(2022, 1, 1),
        "10": date(2023, 3, 6),
        "11": date(2024, 2, 5),
        "12": date(2025, 3, 3),
        "13": date(2026, 3, 2),
        "14": None,
        "15": None,
        "16": None,
    },
}


@dataclass(frozen=True, slots=True)
class Support:
    """How a version stands: ``state`` is ``supported``, ``ended`` or ``unknown``; ``ended_on`` where it has."""

    state: str
    ended_on: date | None = None


def of(platform: Platform, version: str | None, *, today: date) -> Support:
    """Return how a version stands on a day; one older than all in the table has ended, a newer one is supported."""
    ends = _ENDS.get(platform)
    major = (version or "").strip().partition(".")[0]
    if ends is None or not (major.isascii() and major.isdecimal()):
        return Support("unknown")
    if major not in ends:
        known = [int(one) for one in ends]
        return Support("ended" if int(major) < min(known) else "supported" if int(major) > max(known) else "unknown")
    end = ends[major]
    return Support("ended", end) if end is not None and end <= today else Support("supported")
