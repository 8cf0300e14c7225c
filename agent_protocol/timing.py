"""When an agent speaks next. Values only: whoever uses it says what time it is.

Invariants: what a server asks for is taken within bounds, so that no answer silences a tablet for longer than a day and
a half; who was asked to wait says nothing before that; a clock that is set back by more than that makes things due at
once instead of silencing the tablet.
"""

import random
from datetime import datetime, timedelta

SHORTEST_S, LONGEST_S = 1, 86_400
DEFAULT_POLL_S = 60
RARELY_S = 6 * 3600
FIRST_RETRY_S = 5
LONGEST_RETRY_S = 900
SHORTEST_WAIT_S, LONGEST_WAIT_S = 2, 50  # of waiting requests: below, waiting is not worth it; above, proxies cut them
_BELIEVABLE = timedelta(seconds=1.5 * LONGEST_S)


def bounded(seconds: float) -> float:
    """Return a wait that a server asked for, within bounds."""
    return min(max(seconds, SHORTEST_S), LONGEST_S)


def seconds_in(text: str, default: int) -> int:
    """Return the seconds that a header says, ``default`` where it says none."""
    told = text.strip()
    return int(bounded(int(told))) if told.isascii() and told.isdecimal() and len(told) < 10 else default


class Timing:
    """When a session polls, reports, and is allowed to say anything at all; None is at once.

    Args:
        dice: for jitter.
    """

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._failed_in_a_row = 0
        self.patience_s = LONGEST_WAIT_S
        self.poll_at: datetime | None = None
        self.report_at: datetime | None = None
        self._quiet_until: datetime | None = None

    def may_speak(self, now: datetime) -> bool:
        """Whether no wait that was asked for is still running."""
        return _is_due(self._quiet_until, now)

    def poll_is_due(self, now: datetime) -> bool:
        """Whether it is time to poll."""
        return _is_due(self.poll_at, now)

    def report_is_due(self, now: datetime) -> bool:
        """Whether it is time to report even though nothing changed."""
        return _is_due(self.report_at, now)

    def poll_in(self, seconds: float, now: datetime) -> None:
        """Poll that much later."""
        self.poll_at = now + timedelta(seconds=bounded(seconds))

    def report_in(self, seconds: float, now: datetime) -> None:
        """Report that much later."""
        self.report_at = now + timedelta(seconds=bounded(seconds))

    def at_once(self, now: datetime) -> None:
        """Poll and report now, whatever was asked for before."""
        self.poll_at = self.report_at = now
        self._quiet_until = None

    def went_well(self) -> None:
        """Forget the failures so far."""
        self._failed_in_a_row = 0

    def wait(self, seconds: float, now: datetime) -> None:
        """Say nothing for ``seconds`` and up to half as much again, so that tablets do not come all at once."""
        moment = now + timedelta(seconds=bounded(seconds) * (1 + self._dice.random() / 2))
        self._quiet_until = moment
        self.poll_at = max(self.poll_at or moment, moment)
        self.report_at = max(self.report_at or moment, moment)

    def wait_for_server(self, now: datetime) -> None:
        """Wait because no answer came: longer each time in a row."""
        self._failed_in_a_row += 1
        self.wait(min(FIRST_RETRY_S * 2 ** min(self._failed_in_a_row, 10), LONGEST_RETRY_S), now)

    def waited(self, *, is_answered: bool) -> None:
        """Learn how long the network lets a waiting request be: halve after one that was cut, then feel the way up."""
        wanted = self.patience_s + 1 if is_answered else self.patience_s // 2
        self.patience_s = min(max(wanted, SHORTEST_WAIT_S), LONGEST_WAIT_S)

    def shift(self, jump: timedelta) -> None:
        """Follow a clock that was set by ``jump``."""
        self.poll_at = self.poll_at and self.poll_at + jump
        self.report_at = self.report_at and self.report_at + jump
        self._quiet_until = self._quiet_until and self._quiet_until + jump

    def next_poll_at(self, now: datetime) -> datetime:
        """Return when to poll next."""
        return self._after_quiet(self.poll_at or now)

    def next_report_at(self, now: datetime) -> datetime:
        """Return when to report next, changed or not."""
        return self._after_quiet(self.report_at or now)

    def _after_quiet(self, moment: datetime) -> datetime:
        return max(moment, self._quiet_until or moment)


def _is_due(moment: datetime | None, now: datetime) -> bool:
    return moment is None or now >= moment or moment - now > _BELIEVABLE
