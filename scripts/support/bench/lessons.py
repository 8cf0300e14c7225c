"""``lessons``: from a teacher's tap until the tablets have it; one class, and a whole municipality at once.

One class: simulated tablets, the protocol's own code, from the form being sent until the tablet has applied. All
classes: lean tablets (:mod:`bench.waiting`) that hold real requests over real sockets, from each form being sent until
the tablet has the signed configuration and the profile; their reports are part of the load.
"""

import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from agent_protocol.messages import Failure
from agent_protocol.simulated import SimulatedDevice, SimulatedFleet, SimulatedTablet
from bench import municipality, processes, school, waiting
from bench.municipality import SETS, BenchClass, Municipality
from bench.processes import Meter
from bench.school import Ground
from bench.teachers import Sent, Teachers
from bench.waiting import Found, Generator
from fleet import clock
from fleet.channels.native import authority
from tests.serving import Server, free_port, serving

ONE_CLASS = 30
CLASSES, QUICK_CLASSES = 200, 10
ROUNDS, QUICK_ROUNDS = 10, 2
_PART = 1_000  # tablets after which memory is looked at for the first time
_WITHIN_S = 120.0  # what does not come by then does not come


class _Watched(SimulatedDevice):
    """A simulated tablet that notes when it applied which profile, on the machine's monotonic clock."""

    def __init__(self, serial: str) -> None:
        super().__init__(serial)
        self.applied_at: dict[str, float] = {}

    def apply(self, digest: str, settings: Mapping[str, Any]) -> Sequence[Failure]:
        """Apply, and note it."""
        found = super().apply(digest, settings)
        self.applied_at[digest] = time.perf_counter()
        return found


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _until(is_so: Callable[[], bool], what: str, *, within_s: float = _WITHIN_S, step_s: float = 0.02) -> None:
    ends_at = time.perf_counter() + within_s
    while not is_so():
        if time.perf_counter() > ends_at:
            raise SystemExit(f"bench: {what} did not come to pass within {within_s:.0f} s")
        time.sleep(step_s)


def _one_class(made: Ground, server: Server, town: Municipality, rounds: int) -> list[float]:
    """Return how long each of a class's tablets took to apply what the teacher started, over some lessons."""
    devices = [_Watched(f"SIM{number:03}") for number in range(ONE_CLASS)]
    fleet = SimulatedFleet(
        server.address, [SimulatedTablet(server.address, one, code=town.ticket) for one in devices], first_within_s=1
    )
    thread = threading.Thread(target=fleet.run, name="tablets")
    thread.start()
    try:
        _until(lambda: municipality.waiting_as_noted(made.app) >= ONE_CLASS, "that all of a class wait", step_s=0.2)
        teachers = Teachers(server.port, town.classes[:1])
        teachers.open_pages()
        return [
            taken for number in range(rounds) for taken in _lesson(town, teachers, fleet, devices, SETS[number % 2])
        ]
    finally:
        fleet.stop()
        thread.join()


def _lesson(
    town: Municipality, teachers: Teachers, fleet: SimulatedFleet, devices: Sequence[_Watched], name: str
) -> list[float]:
    """Hold a lesson; returns each tablet's time."""
    _until(lambda: fleet.waiting == ONE_CLASS, "that all of a class wait again")
    time.sleep(0.2)  # what they sent is there
    digest, base = town.classes[0].expected[name], devices[0].applied
    for one in devices:
        one.applied_at.clear()
    sent = _taken(teachers.start(town.sets[name]))[0]
    _until(lambda: all(digest in one.applied_at for one in devices), "that all of a class apply the lesson")
    _taken([teachers.end(sent.lesson_id or 0)])
    _until(lambda: all(base is not None and base[0] in one.applied_at for one in devices), "that all are back")
    return [one.applied_at[digest] - sent.sent_at for one in devices]


def _taken(sent: list[Sent]) -> list[Sent]:
    for one in sent:
        if one.status != 303:
            raise SystemExit(f"bench: a teacher's form was answered {one.status}")
    return sent


def _percentiles(taken: Sequence[float], name: str) -> dict[str, float]:
    cuts = statistics.quantiles(taken, n=100, method="inclusive")
    return {f"arrival_p{percent}_s_{name}": round(cuts[percent - 1], 3) for percent in (50, 95, 99)}


def _everybody(made: Ground, server: Server, town: Municipality, tablets: int) -> dict[str, Any]:
    """Have all classes start at once."""
    name = SETS[0]
    classes = _with(town.classes[1:], tablets)
    pairs = [(tablet, one.expected[name]) for one in classes for tablet in one.tablets][:tablets]
    keys = authority.load(made.data_dir / "secrets", now=clock.now())
    meter, begun = Meter.of(server, made.database_pid), clock.now()
    _say(f"{tablets} tablets sign their requests and begin to wait")
    generator = Generator(pairs, keys.assignment.public_key())
    try:
        memory, earlier = [meter.memory_mib()], municipality.waiting_as_noted(made.app)
        for count in (min(_PART, tablets), tablets):
            wanted = earlier + generator.open(count)
            _until(partial(_are_noted, made, wanted), "that all wait", step_s=0.5)
            memory.append(meter.memory_mib())
        _say(f"{tablets} tablets wait; {len(classes)} teachers open their pages")
        teachers = Teachers(server.port, classes)
        teachers.open_pages()
        time.sleep(1.0)
        before, own, theirs = meter.cpu(), time.process_time(), processes.cpu_s(generator.pid)
        sent = teachers.start(town.sets[name])
        found = generator.collect(_WITHIN_S)
        used = [after - former for after, former in zip(meter.cpu(), before, strict=True)]
        seconds = time.perf_counter() - min(one.sent_at for one in sent)
        generator_cpu_s = time.process_time() - own + found.cpu_s - theirs
    finally:
        generator.stop()
    _require_fresh(begun)
    return {
        **_arrivals(sent, found),
        **_memory(memory, min(_PART, tablets), tablets),
        "server_cpu_s": round(used[0], 2),
        "database_cpu_s": round(used[1], 2),
        "generator_cpu_s": round(generator_cpu_s, 2),
        "generator_late_ms": round(1000 * found.lag_s),
        "seconds_until_all_reported": round(seconds, 2),
    }


def _are_noted(made: Ground, wanted: int) -> bool:
    return municipality.waiting_as_noted(made.app) >= wanted


def _require_fresh(begun: datetime) -> None:
    """What was signed ahead is good for five minutes."""
    if (clock.now() - begun).total_seconds() > 280:
        raise SystemExit("bench: the machine is so slow that what was signed ahead has expired; nothing was measured")


def _with(classes: Sequence[BenchClass], tablets: int) -> list[BenchClass]:
    return list(classes[: -(-tablets // municipality.PUPILS)])


def _arrivals(sent: list[Sent], found: Found) -> dict[str, Any]:
    """Return how long tablets took, from the moment their own teacher's form was sent."""
    wrong = sum(not one.is_right for one in found.arrivals)
    late = sum(one.arrived_at is None for one in found.arrivals)
    unheard = sum(one.reported_at is None for one in found.arrivals)
    if wrong or unheard or found.others:
        raise SystemExit(
            f"bench: {late} tablets got nothing, {wrong} not what they should, {unheard} reports were not taken; "
            f"other answers: {dict(found.others)}; starts: {[one.status for one in sent if one.status != 303]}"
        )
    taken = [
        one.arrived_at - sent[place // municipality.PUPILS].sent_at
        for place, one in enumerate(found.arrivals)
        if one.arrived_at is not None
    ]
    cuts = statistics.quantiles([one.answered_at - one.sent_at for one in sent], n=100, method="inclusive")
    return {
        **_percentiles(taken, str(municipality.PUPILS * CLASSES)),
        "tablets": len(taken),
        "classes": len(sent),
        "refused": found.refused + sum(one.refused for one in sent),
        "refused_without_retry_after": found.refused_without_retry_after + sum(one.unkindly for one in sent),
        "connections_cut": found.cut,
        "bodies_fetched": sum(one.was_fetched for one in found.arrivals),
        "signatures_checked": found.checked,
        "starts_p95_s": round(cuts[94], 3),
    }


def _memory(memory: Sequence[float], part: int, tablets: int) -> dict[str, Any]:
    return {
        "mib_per_1000_waiting": round(1000 * (memory[2] - memory[0]) / tablets, 1),
        "server_mib": {"before": round(memory[0]), str(part): round(memory[1]), str(tablets): round(memory[2])},
    }


def run(*, kind: str, quick: bool) -> dict[str, Any]:
    """Run the bench and return its numbers.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        quick: few classes and rounds, only so that one sees that it runs.
    """
    classes = QUICK_CLASSES if quick else CLASSES
    wanted = classes * municipality.PUPILS
    room = waiting.allow_files(wanted + waiting.OTHER_FILES) - waiting.OTHER_FILES
    tablets = min(wanted, room // municipality.PUPILS * municipality.PUPILS)
    workers = 1 if kind == "sqlite" else os.cpu_count() or 1  # as README.md says
    with school.ground(kind) as made:
        port = free_port()
        town = municipality.fill(made.app, classes=classes, authority=f"127.0.0.1:{port}")
        with serving(made.url, made.data_dir, jobs="off", port=port, FLEET_WORKERS=str(workers)) as server:
            _say(f"one class of {ONE_CLASS} tablets")
            taken = _one_class(made, server, town, QUICK_ROUNDS if quick else ROUNDS)
            found = _everybody(made, server, town, tablets)
    return {
        **_percentiles(taken, str(ONE_CLASS)),
        **found,
        "tablets_wanted": wanted,
        "files_allowed": room + waiting.OTHER_FILES,
        "database": kind,
        "workers": workers,
        "load": f"{ONE_CLASS} simulated tablets, {len(taken) // ONE_CLASS} lessons; then all at once: open, "
        "one generator process, one connection a tablet, signed ahead",
    }
