"""Proxies that do harm, by plan.

:class:`HttpProxy` stands between tablets and the server, :class:`CommitProxy` between the server and its PostgreSQL. Both listen and lead on over TCP or Unix sockets, a thread for each connection. What befalls a request a *plan* decides,
which may be changed while the proxy runs; :class:`Seeded` is one whose n-th decision follows from seed and n alone.
"""

import contextlib
import enum
import itertools
import random
import re
import socket
import threading
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Address = tuple[str, int] | Path
_CHUNK = 65_536
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb'keyid="([^"]+)"')
# psycopg's commit, a simple query. Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"


class Harm(enum.StrEnum):
    """What may befall a request."""

    CUT_BEFORE = "cut-before"  # it never arrives; the caller is hung up on
    CUT_AFTER = "cut-after"  # it arrives and is answered, but the caller is hung up on without the answer
    TRUNCATE = "truncate"  # half of the answer comes back
    DELAY = "delay"  # it waits before it is sent on
    TWICE = "twice"  # it arrives twice, one after the other; the caller gets the second answer
    LATE = "late"  # the caller is hung up on; it arrives after the same caller's next one


Plan = Callable[[bytes], Harm | None]


@dataclass
class Seeded:
    """Harm for a share of the requests: whether the n-th suffers, and what, follows from seed and n.

    Args:
        seed: another one, another run.
        shares: how much of all requests suffers what, 0 to 1.
        of: which requests count; those that do not suffer nothing.
    """

    seed: int
    shares: Mapping[Harm, float]
    of: Callable[[bytes], bool] = lambda _request: True
    _numbers: Iterator[int] = field(default_factory=itertools.count, init=False, repr=False)

    def __call__(self, request: bytes) -> Harm | None:
        """Decide about the next request."""
        if not self.of(request):
            return None
        roll = random.Random(f"{self.seed}/{next(self._numbers)}").random()  # noqa: S311 (harm that can be repeated)
        for harm, share in self.shares.items():
            roll -= share
            if roll < 0:
                return harm
        return None


def no_harm(_request: bytes) -> None:
    """Be the plan of a sound network."""


class _Proxy(ABC):
    """Listens, and serves each caller in a thread.

    Args:
        target: what is behind it.
        listen: where it listens: a Unix socket's path, or any free port of loopback.

    Attributes:
        plan: decides what befalls a request.
        done: how often what was done.
        where: where it listens.
    """

    def __init__(self, target: Address, *, listen: Path | None = None) -> None:
        self.plan: Plan = no_harm
        self.done: Counter[Harm] = Counter()
        self._target = target
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_INET if listen is None else socket.AF_UNIX)
        self._listener.bind(("127.0.0.1", 0) if listen is None else str(listen))
        self._listener.listen(256)
        self.where: Address = self._listener.getsockname() if listen is None else listen
        self._thread = threading.Thread(target=self._accept, name="fault proxy", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up on everybody and listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut_all()

    def cut_all(self) -> None:
        """Hang up on everybody now."""
        with self._lock:
            for one in self._open:
                _hang_up(one)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._whole, args=(caller,), name="fault proxy", daemon=True).start()

    def _whole(self, caller: socket.socket) -> None:
        """Serve a caller; whatever breaks on either side is a connection that ends."""
        with self._kept(caller), contextlib.suppress(OSError):
            self._serve(caller)

    @abstractmethod
    def _serve(self, caller: socket.socket) -> None:
        """Serve a caller until it or the target hangs up."""

    @contextlib.contextmanager
    def _kept(self, one: socket.socket) -> Iterator[None]:
        """Know a connection while it is used, so that it can be cut; it is closed afterwards."""
        with self._lock:
            self._open.add(one)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(one)
            one.close()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        one = socket.socket(socket.AF_UNIX if isinstance(self._target, Path) else socket.AF_INET)
        with self._kept(one):
            one.connect(str(self._target) if isinstance(self._target, Path) else self._target)
            yield one

    def _decide(self, request: bytes) -> Harm | None:
        harm = self.plan(request)
        if harm is not None:
            with self._lock:
                self.done[harm] += 1
        return harm


def _hang_up(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


class HttpProxy(_Proxy):
    """Harms requests of HTTP/1.1 whose bodies tell their length, as the tablets' do, and the server's answers to them.

    Args:
        target: the server.
        delay_s: how long a delayed request waits.
    """

    def __init__(self, target: Address, *, delay_s: float = 0.5) -> None:
        super().__init__(target)
        self._delay_s = delay_s
        self._ending = threading.Event()
        self._late: dict[bytes, list[bytes]] = defaultdict(list)

    def close(self) -> None:
        """Hang up on everybody and listen no more; what was kept back is forgotten."""
        self._ending.set()
        super().close()

    @property
    def kept_back(self) -> int:
        """How many requests wait for their caller's next one."""
        with self._lock:
            return sum(len(requests) for requests in self._late.values())

    def _serve(self, caller: socket.socket) -> None:
        while (request := _message(caller)) is not None:
            harm = self._decide(request)
            if harm is Harm.CUT_BEFORE:
                return
            who = _caller(request)
            if harm is Harm.LATE:
                with self._lock:
                    self._late[who].append(request)
                return
            if harm is Harm.DELAY:
                self._ending.wait(self._delay_s)
            answer = self._ask(request)
            if harm is Harm.TWICE:
                answer = self._ask(request)
            for late in self._taken(who):
                self._ask(late)
            if harm is Harm.CUT_AFTER:
                return
            if harm is Harm.TRUNCATE:
                caller.sendall(answer[: len(answer) // 2])
                return
            caller.sendall(answer)

    def _taken(self, who: bytes) -> list[bytes]:
        with self._lock:
            return self._late.pop(who, [])

    def _ask(self, request: bytes) -> bytes:
        """Send a request over a connection of its own and return the whole answer.

        Raises:
            OSError: none came.
        """
        with self._connected() as server:
            server.sendall(request)
            answer = _message(server)
        if answer is None:
            raise ConnectionResetError
        return answer


def _caller(request: bytes) -> bytes:
    """Return whose request it is: the key it was signed with, else nobody's in particular."""
    found = _KEY.search(request)
    return found[1] if found is not None else b""


def _message(one: socket.socket) -> bytes | None:
    """Read a request or answer, whole; None where the connection ends before."""
    content = b""
    while _HEAD_END not in content:
        more = one.recv(_CHUNK)
        if not more:
            return None
        content += more
    head, _, body = content.partition(_HEAD_END)
    length = _LENGTH.search(head)
    missing = (int(length[1]) if length is not None and not _is_bare(head) else 0) - len(body)
    while missing > 0:
        more = one.recv(_CHUNK)
        if not more:
            return None
        content, missing = content + more, missing - len(more)
    return content


def _is_bare(head: bytes) -> bool:
    """Whether an answer has no body, whatever it says. Source: RFC 9110 section 6.4.1."""
    return head.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304"))


class CommitProxy(_Proxy):
    """Cuts connections to PostgreSQL at a COMMIT: before it arrives, or once it is done and before anybody hears of it.

    The plan is asked about each COMMIT; :attr:`Harm.CUT_BEFORE` and :attr:`Harm.CUT_AFTER` are all it may say.
    """

    def _serve(self, caller: socket.socket) -> None:
        with self._connected() as server:
            cutting = threading.Event()
            back = threading.Thread(target=self._lead_back, args=(server, caller, cutting), daemon=True)
            back.start()
            try:
                while (piece := caller.recv(_CHUNK)) and not cutting.is_set():
                    harm = self._decide(piece) if piece.endswith(COMMIT) else None
                    if harm is Harm.CUT_BEFORE:
                        break
                    if harm is Harm.CUT_AFTER:
                        cutting.set()
                    server.sendall(piece)
            finally:
                if not cutting.is_set():
                    _hang_up(server)
                back.join()

    @staticmethod
    def _lead_back(server: socket.socket, caller: socket.socket, cutting: threading.Event) -> None:
        """Lead answers back, until the one to a COMMIT that nobody shall hear of."""
        with contextlib.suppress(OSError):
            while (piece := server.recv(_CHUNK)) and not cutting.is_set():
                caller.sendall(piece)
        _hang_up(caller)
        _hang_up(server)
