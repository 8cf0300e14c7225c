"""Who asked, and when: noted in memory by the tablets' doors, written for many tablets at once by somebody else.

Invariants: noting costs no statement and never waits for the database; of a tablet the newest poll counts; what could
not be written stays. Addresses are kept here, in memory, and go nowhere but to the rule that says whether one belongs
to the tablet's school.
"""

import threading
from collections.abc import Iterable
from datetime import datetime

from fleet.checkins.presence import Poll, is_worth_writing


class Presence:
    """The polls that are not written yet, and the last one written of each tablet: as many as there are tablets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[int, Poll] = {}
        self._written: dict[int, Poll] = {}

    def note(self, poll: Poll) -> None:
        """Note a poll; from any thread."""
        with self._lock:
            self._noted[poll.device_id] = poll

    def to_write(self, now: datetime) -> list[Poll]:
        """Return the polls that are worth a row now; they stay noted until :meth:`written`."""
        with self._lock:
            noted = list(self._noted.values())
        return [poll for poll in noted if is_worth_writing(poll, self._written.get(poll.device_id), now)]

    def written(self, polls: Iterable[Poll]) -> None:
        """Note that these are written."""
        with self._lock:
            for poll in polls:
                self._written[poll.device_id] = poll
                if self._noted.get(poll.device_id) is poll:
                    del self._noted[poll.device_id]
