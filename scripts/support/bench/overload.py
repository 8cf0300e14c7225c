"""``overload``: twice as many requests as can be answered, at each door of tablets.

First what goes through is measured (closed, each connection asks again when it was answered), then twice that, or what
``--rate`` says, arrives by a clock. Whoever is not answered shall be told when to come again, soon, and nobody shall
wait in vain; and who is answered shall be nearly as many as before.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench import androids, arrivals, doors, ipads, load, school
from bench.school import Ground, Tablet
from tests.serving import Server, serving

DOORS = ("checkin", "poll", "apple-poll", "headwind")
_PUBLIC = f"https://{school.AUTHORITY}"
_SECONDS, _QUICK_SECONDS = 10.0, 1.5
_CLOSED = 256  # connections, so that batches are full: fewer leave the server with time to spare
_QUICK_GIVE_UP_S = 120.0  # however slow the machine is that only proves that it runs
_MOST_OPEN = 8_000  # connections: fewer than a server's process takes, and as many as there are tablets
_MOST = 60_000  # requests that are made ahead
_OVERTAKEN = 409  # by the tablet's own next one, on another connection: verified and looked up like any other


@dataclass(frozen=True, slots=True)
class _Load:
    """Requests of many tablets: ``again`` gives each tablet's next one; ``status`` is what they are answered."""

    again: Callable[[], list[bytes]]
    status: int


def _native(name: str) -> Callable[[Ground, Sequence[Tablet]], _Load]:
    def make(_made: Ground, tablets: Sequence[Tablet]) -> _Load:
        if name == "checkin":
            return _Load(lambda: [one.report() for one in tablets], 200)
        return _Load(lambda: [one.poll('"none"') for one in tablets], 200)

    return make


def _apple(made: Ground, tablets: Sequence[Tablet]) -> _Load:
    calls = ipads.equip(made, tablets)
    return _Load(lambda: calls, 200)


def _headwind(made: Ground, tablets: Sequence[Tablet]) -> _Load:
    calls = [androids.configuration_call(*who) for who in androids.equip(made, tablets)]
    return _Load(lambda: calls, 200)


_KINDS: dict[str, Callable[[Ground, Sequence[Tablet]], _Load]] = {
    "checkin": _native("checkin"), "poll": _native("poll"), "apple-poll": _apple, "headwind": _headwind,
}  # fmt: skip


@contextmanager
def _served(made: Ground) -> Iterator[Server]:
    with serving(made.url, made.data_dir, jobs="off", FLEET_PUBLIC_URL=_PUBLIC) as server:
        yield server


def _queues(requests: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [one for place in range(_CLOSED) if (one := requests[place::_CLOSED])]


def run(*, kind: str, quick: bool, door: str = "checkin", rate: float | None = None) -> dict[str, Any]:
    """Overload a door and return its numbers.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        quick: few tablets, only so that one sees that it runs.
        door: one of :data:`DOORS`.
        rate: how many arrive in a second; twice as many as go through where None.
    """
    seconds, count = (_QUICK_SECONDS, 256) if quick else (_SECONDS, 8_000)
    with school.ground(kind, FLEET_PUBLIC_URL=_PUBLIC) as made:
        made_load = _KINDS[door](made, school.enrol(made.app, count))
        with _served(made) as server:
            doors.require(load.send(server.port, _queues(made_load.again())), made_load.status)  # all are known
            closed = load.send(server.port, _queues(made_load.again()))
            doors.require(closed, made_load.status)
            per_s = rate if rate is not None else 2 * closed.per_s
            wanted = min(_MOST, round(per_s * seconds))
            requests: list[bytes] = []
            while len(requests) < wanted:
                requests += made_load.again()
            seen = arrivals.offer(
                server.port,
                requests[:wanted],
                per_s=per_s,
                wanted={made_load.status, _OVERTAKEN},
                most_open=_MOST_OPEN,
                give_up_s=_QUICK_GIVE_UP_S if quick else arrivals.GIVE_UP_S,
            )
            after = load.send(server.port, _queues(made_load.again()))
            doors.require(after, made_load.status)
    told = seen.told()
    best = max(closed.per_s, after.per_s)
    return {
        "door": door,
        "best_per_s": round(best, 1),
        **told,
        "done_share": round(told["done_per_s"] / min(best, told["offered_per_s"]), 3),
        "database": kind,
        "tablets": count,
        "load": f"open, {wanted} requests by a clock from 2 processes; best closed with {_CLOSED} connections",
    }
