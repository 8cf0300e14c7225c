"""Polls in memory until they are written: the newest of each tablet, none lost."""

from datetime import timedelta

from fleet.channels.presence import Presence
from fleet.checkins.presence import Poll
from tests.conftest import NOW

SECOND = timedelta(seconds=1)


def poll(at_s: int, *, waits: bool = False) -> Poll:
    at = NOW + at_s * SECOND
    return Poll(1, at, at + 60 * SECOND, waits, "10.20.3.4")


def test_what_was_noted_is_to_be_written_until_it_is_and_the_newest_counts() -> None:
    noted = Presence()
    assert noted.to_write(NOW) == []
    for at_s in (0, 1):
        noted.note(poll(at_s))
    assert noted.to_write(NOW) == noted.to_write(NOW) == [poll(1)]  # the database was away: tried again
    noted.written([poll(1)])
    assert noted.to_write(NOW + 300 * SECOND) == [poll(1)]  # another one than that which was noted


def test_what_is_noted_while_the_one_before_is_written_is_kept_for_later() -> None:
    noted = Presence()
    noted.note(poll(0))
    writing = noted.to_write(NOW)
    noted.note(poll(30))
    noted.written(writing)
    assert noted.to_write(NOW + 31 * SECOND) == []
    assert noted.to_write(NOW + 61 * SECOND) == [poll(30)]
    noted.written(noted.to_write(NOW + 61 * SECOND))
    assert noted.to_write(NOW + 500 * SECOND) == []


def test_a_change_is_written_at_once() -> None:
    noted = Presence()
    noted.note(poll(0))
    noted.written(noted.to_write(NOW))
    noted.note(poll(5, waits=True))
    assert noted.to_write(NOW + 6 * SECOND) == [poll(5, waits=True)]
