"""Load while servers come and go: tablets that report without rest and a member of staff who reads a page.

Whoever meets an error asks again. What counts is that nobody is left with one, and that nothing acknowledged is lost or
stored twice (:func:`faults`).
"""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from agent_protocol import clock
from agent_protocol.simulated import SimulatedDevice, SimulatedTablet
from agent_protocol.transport import UnreachableError
from tests.agents import Recorder, eventually
from tests.lesson_site import Browser

_PAUSE_S = 0.05


class Load:
    """Tablets and a member of staff.

    Args:
        address: where the servers are reached.
        serials: of the tablets.
        code: a ticket's.
        staff: a browser that is signed in there.
        page: what it reads.
    """

    def __init__(self, address: str, serials: Sequence[str], code: str, *, staff: Browser, page: str) -> None:
        self.failed: Counter[str] = Counter()  # what was asked for again
        self._staff, self._page = staff, page
        self._shown = 0
        self._recorders = {serial: Recorder(address, timeout_s=10) for serial in serials}
        self._tablets = {serial: SimulatedTablet(address, SimulatedDevice(serial), code=code) for serial in serials}
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._live, args=(serial,)) for serial in serials]
        self._threads.append(threading.Thread(target=self._read))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have them at it while the body runs."""
        for one in self._threads:
            one.start()
        try:
            yield
        finally:
            self._stopping.set()
            for one in self._threads:
                one.join(60)

    @property
    def acknowledged(self) -> list[str]:
        """All reports that a server said it had taken."""
        return [one for recorder in self._recorders.values() for one in recorder.acknowledged]

    def goes_on(self, times: int = 3) -> None:
        """Wait until each tablet has had so many more reports acknowledged, and the page was shown so often again.

        Raises:
            AssertionError: somebody is left with an error.
        """
        counts = {serial: len(one.acknowledged) for serial, one in self._recorders.items()}
        shown = self._shown
        eventually(
            lambda: (
                all(len(one.acknowledged) >= counts[serial] + times for serial, one in self._recorders.items())
                and self._shown >= shown + times
            ),
            why=f"somebody gets no answer any more; failed so far: {dict(self.failed)}",
        )

    def _live(self, serial: str) -> None:
        tablet, recorder = self._tablets[serial], self._recorders[serial]
        while not self._stopping.wait(_PAUSE_S):
            if tablet.session.timing.report_at is not None:
                tablet.session.timing.at_once(clock.now())  # restless, so that whatever happens meets many of them
            try:
                tablet.step(recorder, clock.now())
            except UnreachableError:
                self.failed["tablet"] += 1
        recorder.close()

    def _read(self) -> None:
        while not self._stopping.wait(_PAUSE_S):
            try:
                is_shown = self._staff.ask("GET", self._page).status == 200
            except (OSError, http.client.HTTPException):
                is_shown = False
            if is_shown:
                self._shown += 1
            else:
                self.failed["page"] += 1


def faults(url: str, load: Load) -> list[str]:
    """Return what went wrong with what the tablets said, as the database has it; nothing, where all is right."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        stored = Counter(connection.execute(sa.text("SELECT report_id FROM check_in")).scalars())
        enrolled = Counter(connection.execute(sa.text("SELECT device_id FROM enrolment")).scalars())
    engine.dispose()
    lost = set(load.acknowledged) - set(stored)
    return [
        *(f"report {one} was acknowledged and is lost" for one in lost),
        *(f"report {one} is stored {count} times" for one, count in stored.items() if count > 1),
        *(f"tablet {one} is enrolled {count} times" for one, count in enrolled.items() if count > 1),
    ]
