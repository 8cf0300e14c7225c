"""Tablets that report without a pause, and a ledger of what servers acknowledged, to hold against what was stored.

A report that was not acknowledged, for whatever reason, is sent again under a new number until it is, as a real tablet
does. So whatever a server said it had can be looked for afterwards, and nothing may be there twice.
"""

import contextlib
import itertools
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from bench.school import Tablet

_PATIENCE_S = 15.0  # for an answer; then it is asked elsewhere
_REST_S = 0.2  # after what was not acknowledged


@dataclass(frozen=True, slots=True)
class Entry:
    """A report that was acknowledged: its name, and when on the machine's monotonic clock."""

    report_id: str
    at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of acknowledged reports.

    Args:
        acknowledged: how many there are.
        lost: those that are not stored.
        doubled: stored more than once.
    """

    acknowledged: int
    lost: int
    doubled: int


@dataclass
class Ledger:
    """What was acknowledged, in order, and how often something else came back, by what it was."""

    entries: list[Entry] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def until(self, at: float) -> list[Entry]:
        """Return what was acknowledged before an instant of the monotonic clock."""
        return [one for one in self.entries if one.at < at]

    def gap_s(self, since: float) -> float:
        """Return the longest time without an acknowledgement from an instant on."""
        times = [since, *(one.at for one in self.entries if one.at > since)]
        return max((after - before for before, after in itertools.pairwise(times)), default=float("inf"))


def judge(entries: Iterable[Entry], stored: Mapping[str, int]) -> Verdict:
    """Hold acknowledged reports against how often each is stored."""
    told = [one.report_id for one in entries]
    return Verdict(len(told), sum(one not in stored for one in told), sum(times > 1 for times in stored.values()))


def stored(conninfo: str) -> Counter[str]:
    """Return how often PostgreSQL has each report."""
    with psycopg.connect(conninfo) as connection:
        return Counter(str(one) for (one,) in connection.execute(QUERY).fetchall())


QUERY = "SELECT report_id FROM check_in"


class _Connection:
    """A kept connection to one server at a time; moves on to the next where one does not answer."""

    def __init__(self, ports: Sequence[int], first: int) -> None:
        self._ports, self._next = ports, first
        self._socket: socket.socket | None = None

    def send(self, request: bytes) -> str:
        """Send a request; returns the status, or the kind of error."""
        try:
            if self._socket is None:
                port = self._ports[self._next % len(self._ports)]
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
            self._socket.sendall(request)
            return self._answer(self._socket)
        except OSError as error:
            self.close()
            self._next += 1
            return type(error).__name__

    @staticmethod
    def _answer(connection: socket.socket) -> str:
        received = b""
        while b"\r\n\r\n" not in received:
            received += _more(connection)
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while len(body) < sum(lengths):
            body += _more(connection)
        return head[9:12].decode()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(65_536)
    if not received:
        raise ConnectionResetError
    return received


@contextlib.contextmanager
def reporting(
    ports: Sequence[int], tablets: Sequence[Tablet], *, per_s: float, connections: int = 8
) -> Iterator[Ledger]:
    """Have tablets report while the body runs, in turn; gives the ledger that grows meanwhile.

    Args:
        ports: of the servers on loopback.
        tablets: who reports.
        per_s: how many reports a second at most, of all tablets.
        connections: over how many.
    """
    ledger, ending = Ledger(), threading.Event()
    # Entries are appended by several threads; a list's append is one step.
    threads = [
        threading.Thread(
            target=_report, args=(_Connection(ports, place), tablets[place::connections], connections / per_s),
            kwargs={"ledger": ledger, "ending": ending}, daemon=True,
        )
        for place in range(connections)
    ]  # fmt: skip
    for one in threads:
        one.start()
    try:
        yield ledger
    finally:
        ending.set()
        for one in threads:
            one.join()


def _report(
    connection: _Connection, tablets: Sequence[Tablet], every_s: float, *, ledger: Ledger, ending: threading.Event
) -> None:
    turn = 0
    while not ending.is_set():
        begun, tablet = time.monotonic(), tablets[turn % len(tablets)]
        request = tablet.report()
        body = request.partition(b"\r\n\r\n")[2]
        report_id = str(json.loads(body)["report_id"])
        while (answer := connection.send(request)) != "200" and not ending.is_set():
            ledger.others[answer] += 1
            ending.wait(_REST_S)
            request = tablet.post("/agent/v1/reports", body, **{"Idempotency-Key": report_id})  # under a new number
        if answer == "200":
            ledger.entries.append(Entry(report_id, time.monotonic()))
        turn += 1
        ending.wait(max(0.0, begun + every_s - time.monotonic()))
    connection.close()


def wait_for(ledger: Ledger, more: int, *, within_s: float = 600) -> None:
    """Wait until so many more are acknowledged.

    Raises:
        SystemExit: they were not in time.
    """
    wanted, deadline = len(ledger.entries) + more, time.monotonic() + within_s
    while len(ledger.entries) < wanted:
        if time.monotonic() > deadline:
            raise SystemExit(f"no {more} reports were acknowledged within {within_s:.0f} s: {dict(ledger.others)}")
        time.sleep(0.05)
