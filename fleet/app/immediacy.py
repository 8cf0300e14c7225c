"""What lets tablets hear of a change at once, put together: rings from this process and others, and who is present.

A ring may be lost: to a connection that broke, or from another process of the embedded database, which has no way to
call. So somebody looks, several times a second there and every few seconds here, which of the tablets that wait do so
in vain; one statement for all, none where nobody waits.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from flask import Flask
from sqlalchemy import make_url

from fleet import clock, outbox
from fleet.app.repeating import Repeating
from fleet.channels.presence import Presence
from fleet.channels.wake import Waiting
from fleet.checkins import polls
from fleet.checkins import presence as present
from fleet.config import Config
from fleet.db import reading, transaction
from fleet.schools.networks import Ranges

_LOOK_SQLITE_S, _LOOK_POSTGRESQL_S = 0.3, 3.0
_RUNG_AT_ONCE = 200  # of those found by looking: a roster import that changes all tablets shall not wake all at once
_WRITE_S = 2.0
_RANGES_FRESH_FOR = timedelta(seconds=30)


def start(app: Flask, channels: Sequence[Waiting], presence: Presence) -> Callable[[], None]:
    """Begin to ring the tablets that wait, and to write down who is present; returns what stops it.

    Args:
        app: the application.
        channels: who waits on each channel.
        presence: where polls are noted.
    """
    config: Config = app.extensions["fleet_config"]
    every_s = _LOOK_SQLITE_S if config.is_sqlite else _LOOK_POSTGRESQL_S
    parts: list[Repeating | outbox.Listener] = [
        *(Repeating(app, partial(_look, one), every_s=every_s, name="looking") for one in channels),
        Repeating(app, _Writing(presence, config), every_s=_WRITE_S, name="presence"),
    ]
    if not config.is_sqlite:
        parts.append(outbox.Listener(make_url(config.session_database_url)))
    rings = [outbox.add_ring(one.ring) for one in channels]
    for part in parts:
        part.start()

    def stop() -> None:
        for take_back in rings:
            take_back()
        for part in parts:
            part.stop()

    return stop


def _look(waiting: Waiting) -> None:
    held = waiting.held()
    if held:
        with reading():
            found = polls.moved_on(held, at_most=_RUNG_AT_ONCE)
        waiting.ring(found)


class _Writing:
    """Writes down who is present, with the schools' networks as they were read a moment ago."""

    def __init__(self, presence: Presence, config: Config) -> None:
        self._presence = presence
        self._timezone = config.timezone
        self._ranges: dict[int, Ranges] = {}
        self._read_at: datetime | None = None

    def __call__(self) -> None:
        now = clock.now()
        noted = self._presence.to_write(now)
        if not noted:
            return
        if self._read_at is None or abs(now - self._read_at) > _RANGES_FRESH_FOR:
            with reading():
                self._ranges = present.ranges()
            self._read_at = now
        with transaction():
            present.note(noted, ranges_of=self._ranges, timezone=self._timezone, now=now)
        self._presence.written(noted)
