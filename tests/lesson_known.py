"""What a tablet shall have when, worked out from what was assigned and leased, apart from what the server makes of it."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from fleet.assignments.timeline import Timed
from profiles.digest import canonical, digest_of
from profiles.layering import Level, effective

Shared = dict[frozenset[str], tuple[str, dict[str, Any]]]


class Known:
    """What is known of a tablet's time to come: its base, and the lessons above it.

    Args:
        timed: layers and when they apply.
        shared: effective profiles by the names of their layers, as many tablets have the same.
    """

    def __init__(self, timed: Collection[Timed], shared: Shared) -> None:
        self._timed = tuple(timed)
        self._shared = shared

    def at(self, instant: datetime, *, with_lessons: bool = True) -> tuple[str, dict[str, Any]]:
        """Return digest and settings of what shall be in force then."""
        layers = [
            one.layer
            for one in self._timed
            if one.applies_at(instant) and (with_lessons or one.layer.level is not Level.LESSON)
        ]
        name = frozenset(layer.name for layer in layers)
        if name not in self._shared:
            settings = dict(effective(layers).settings)
            self._shared[name] = digest_of(canonical(settings)), settings
        return self._shared[name]

    def edges(self, since: datetime, until: datetime) -> list[datetime]:
        """Return the moments between two instants at which something begins or ends."""
        moments = {moment for one in self._timed for moment in (one.starts_at, one.ends_at) if moment is not None}
        return sorted(moment for moment in moments if since < moment < until)

    def during(self, since: datetime, until: datetime, *, with_lessons: bool = True) -> dict[str, dict[str, Any]]:
        """Return what shall be in force at some moment between two instants, settings by digest."""
        return dict(self.at(one, with_lessons=with_lessons) for one in [since, *self.edges(since, until), until])
