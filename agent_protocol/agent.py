"""The reference agent: ``python -m agent_protocol`` runs it on a Linux tablet until it is told to stop."""

import argparse
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from agent_protocol import clock
from agent_protocol.client import BusyError
from agent_protocol.errors import Code, UntrustedError
from agent_protocol.linux import LinuxTablet, machine_serial
from agent_protocol.session import RefusedError, Session
from agent_protocol.signing import match_code, thumbprint
from agent_protocol.states import AgentState
from agent_protocol.store import DirectoryStore, write_whole
from agent_protocol.transport import HttpTransport, Transport, UnreachableError, authority_of

_LONGEST_SLEEP_S = 30  # so that a corrected or jumping clock is noticed
_ENROL_RETRY_S = 5
_DISK_RETRY_S = 30
_JUMP_S = 5
_log = logging.getLogger("agent")


# What a person in front of the tablet can do about a refusal.
_HINTS = {
    Code.TICKET_UNKNOWN: "no ticket has this code; look at the sheet again",
    Code.TICKET_EXPIRED: "the ticket's time is over; ask school IT for a new one",
    Code.TICKET_EXHAUSTED: "the ticket has taken in as many tablets as it may; ask school IT for a new one",
    Code.TICKET_REVOKED: "the ticket was revoked; ask school IT for a new one",
    Code.TICKET_FOREIGN: "this tablet belongs to another school than the ticket",
    Code.SERIAL_NOT_LISTED: "school IT does not expect a tablet of this serial; is --serial right?",
    Code.DEVICE_LOST: "this tablet is reported lost; bring it to school IT",
    Code.DEVICE_RETIRED: "this tablet is out of use; ask school IT to take it into use again",
    Code.DEVICE_IN_USE: (
        "a tablet of this serial was heard from a moment ago; if it was wiped, wait a quarter of an hour, or have "
        "school IT revoke its key"
    ),
    Code.REVOKED: "this tablet may not speak any more; enrol it again with a new ticket",
}


def parse_qr(payload: str) -> tuple[str, str]:
    """Return server and ticket code of an enrolment sheet's QR code, ``https://server/enrol#CODE``.

    Raises:
        ValueError: it is not one.
    """
    parts = urlsplit(payload.strip())
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path != "/enrol" or not parts.fragment:
        raise ValueError("not an enrolment code: expected https://SERVER/enrol#CODE")
    return f"{parts.scheme}://{parts.netloc}", parts.fragment


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m agent_protocol", description="The tablet's agent.")
    parser.add_argument("--state", type=Path, required=True, help="directory for key, state and applied profile")
    parser.add_argument("--server", help="the server's address; remembered after the first start")
    parser.add_argument("--code", help="ticket code to enrol with")
    parser.add_argument("--qr", help="what the enrolment sheet's QR code says, in place of --server and --code")
    parser.add_argument("--serial", help="serial on the delivery list, where the machine does not tell it")
    parser.add_argument("--no-wait", action="store_true", help="poll now and then; do not have the server hold polls")
    parser.add_argument("--status", action="store_true", help="say how the tablet stands and its match code, then stop")
    parser.add_argument("--once", action="store_true", help="do what is due once, then stop")
    return parser.parse_args(words)


def _server(store: DirectoryStore, given: str | None) -> str:
    """Return the server's address: the one given, else the one remembered."""
    path = store.folder / "server.txt"
    if given is not None:
        write_whole(path, given.rstrip("/").encode())
        return given.rstrip("/")
    if not path.exists():
        raise ValueError("which server? give --server and --code, or --qr")
    return path.read_text()


def _ticket(given: str | None, remembered: str | None) -> str:
    """Return the code to enrol with: the one given, else that of an enrolment that was cut off."""
    code = given or remembered
    if code is None:
        raise ValueError("not enrolled yet: give --code or --qr")
    return code


class Agent:
    """Runs a session by the clock until :meth:`stop`.

    Args:
        session: the tablet's session.
        transport: the connection to its server.
        serial: only for the log.
        waits: whether to let the server hold polls until there is something new.
        now: the machine's clock, which a person may set.
        uptime_s: a clock that nobody can set, to notice that.
    """

    def __init__(
        self,
        session: Session,
        transport: Transport,
        serial: str,
        *,
        waits: bool = True,
        now: Callable[[], datetime] = clock.now,
        uptime_s: Callable[[], float] = clock.uptime_s,
    ) -> None:
        self._session = session
        session.waits = waits
        self._transport = transport
        self._serial = serial
        self._stopping = threading.Event()
        self._read_now, self._uptime_s = now, uptime_s
        self._seen = (now(), uptime_s())

    def _now(self) -> datetime:
        """Return the time, after telling the session where the clock was set since the last look."""
        now, uptime = self._read_now(), self._uptime_s()
        jumped = (now - self._seen[0]).total_seconds() - (uptime - self._seen[1])
        self._seen = (now, uptime)
        if abs(jumped) > _JUMP_S:
            _log.warning("the clock was set by %+.0f s", jumped)
            self._session.clock_jumped(jumped)
        return now

    def stop(self) -> None:
        """Have :meth:`run` return soon."""
        self._stopping.set()

    def enrol(self, code: str, *, once: bool = False) -> None:
        """Enrol, trying again while the server cannot be reached, unless it shall be ``once``.

        Raises:
            RefusedError: the server refuses.
            UnreachableError: no answer came, the only time it was tried.
        """
        while not self._stopping.is_set():
            try:
                self._session.enrol(self._transport, self._now(), code)
            except UnreachableError as error:
                if once:
                    raise
                _log.warning("server away, trying again: %s", error)
                self._stopping.wait(error.seconds if isinstance(error, BusyError) else _ENROL_RETRY_S)
            else:
                is_asked_about = self._session.awaits_approval
                told = "%s waits for approval as %s" if is_asked_about else "enrolled %s as %s"
                _log.info(told, self._serial, self._session.memory.device_id)
                _log.info("match code %s: school IT may ask for it", self._session.match_code)
                return

    def step(self) -> None:
        """Do what is due once, wait for news where nothing is, and say what changed."""
        memory = self._session.memory
        before = (memory.applied, memory.state, self._session.config and self._session.config.version)
        try:
            self._session.step(self._transport, self._now())
            self._wait()
        except OSError as error:  # a full disk, most likely: the profile in force stays, and it is tried again
            _log.error("cannot keep what is new: %s", error)
            self._stopping.wait(_DISK_RETRY_S)
        after = (memory.applied, memory.state, self._session.config and self._session.config.version)
        if after != before:
            _log.info("profile %s, configuration %s, %s", (after[0] or "none")[:12], after[2], after[1].value)

    def _wait(self) -> None:
        wait = self._session.waiting(self._now())
        if wait is None:
            return
        try:
            response = self._transport.send(wait.method, wait.target, wait.headers, None, within_s=wait.within_s)
        except UnreachableError:
            self._session.unanswered(self._now())
        else:
            self._session.answered(self._transport, response, self._now())

    def run(self) -> None:
        """Step whenever something is due, until told to stop."""
        while not self._stopping.is_set():
            self.step()
            now = self._now()
            pause = (self._session.next_step_at(now) - now).total_seconds()
            self._stopping.wait(min(max(pause, 0.05), _LONGEST_SLEEP_S))


def _run(store: DirectoryStore, given: argparse.Namespace, *, may_start_over: bool = True) -> None:
    server, code = parse_qr(given.qr) if given.qr else (given.server, given.code)
    server = _server(store, server)
    tablet = LinuxTablet(store.folder, serial=given.serial or store.load().serial)
    if code is not None and store.load().state is AgentState.REFUSED:
        store.start_over()  # a key that was refused is never taken in again
    session = Session(authority_of(server), store, tablet)
    with contextlib.closing(HttpTransport(server)) as transport:
        agent = Agent(session, transport, tablet.identity().serial, waits=not (given.no_wait or given.once))

        def stop(*_given: object) -> None:
            agent.stop()
            transport.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        try:
            if session.memory.state is AgentState.NEW:
                agent.enrol(_ticket(code, session.memory.ticket), once=given.once)
        except RefusedError as refusal:
            if refusal.code != Code.REVOKED or code is None or not may_start_over:
                raise
        else:
            agent.step() if given.once else agent.run()
            return
    store.start_over()  # taken in and taken back before the answer came
    _run(store, given, may_start_over=False)


def _status(store: DirectoryStore, given: argparse.Namespace) -> None:
    """Write how the tablet stands, whether or not its agent runs."""
    memory = store.load()
    lines = {"state": memory.state.value, "tablet": memory.device_id, "profile": memory.applied}
    if memory.state is not AgentState.NEW or memory.ticket is not None:
        lines["match code"] = match_code(thumbprint(store.key().public_key()))
    lines["serial"] = memory.serial or given.serial or machine_serial()
    for name, value in lines.items():
        print(f"{name:10} {value or '-'}")  # noqa: T201 (what was asked for)


def _say(text: str) -> None:
    print(f"agent: {text}", file=sys.stderr)  # noqa: T201 (the one line a person at a terminal needs)


def main(words: Sequence[str] | None = None) -> int:
    """Run the agent; returns the exit code: 0 stopped, 1 refused or not possible."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    given = _arguments(sys.argv[1:] if words is None else words)
    try:
        store = DirectoryStore(given.state)
        if given.status:
            _status(store, given)
            return 0
        with store.held():
            _run(store, given)
    except RefusedError as refusal:
        hint = _HINTS.get(Code(refusal.code)) if refusal.code in set(Code) else None
        _say(f"{refusal}; {hint}" if hint is not None else str(refusal))
        return 1
    except (UnreachableError, UntrustedError, ValueError, TypeError, OSError, msgspec.MsgspecError) as error:
        _say(str(error))
        return 1
    return 0
