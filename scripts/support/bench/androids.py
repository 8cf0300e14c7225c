"""``headwind``: many Android tablets that hold a poll, and others that fetch their configuration beside them.

The first time a tablet fetches it, that is noted; so of the configurations fetched here half are written down, as after
something was assigned to a school.
"""

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import uvloop
from sqlalchemy import func, insert, select, update

from bench import doors, load, school, waiting
from bench.processes import Meter
from bench.school import Ground, Tablet
from fleet import clock
from fleet.android import addresses, admin_password, tokens
from fleet.android.models import AgentClient
from fleet.config import Config
from fleet.crypto import token_digest
from fleet.db import db, transaction
from fleet.devices.models import Device, DevicePresence, DeviceState, Enrolment, Platform
from tests.serving import serving

WAITING, QUICK_WAITING = 1_000, 60
PER_S, QUICK_PER_S = 100, 40
_CONNECTIONS, _SECONDS, _QUICK_SECONDS = 32, 20, 3
_PAUSE_S = 5.0  # between polls. Source: hmdm-android, PushLongPollingService
_AT_ONCE = 64
_WITHIN_S = 120.0


def equip(made: Ground, tablets: Sequence[Tablet]) -> list[tuple[str, str]]:
    """Make Android tablets of tablets, each with a token of its own; return their projects and serials."""
    config: Config = made.app.extensions["fleet_config"]
    secret, now = admin_password.secret(config.secrets_dir), clock.now()
    found = []
    with made.app.app_context(), transaction():
        serials = {row.id: row.serial for row in db.session.execute(select(Device.id, Device.serial))}
        rows: list[dict[str, Any]] = []
        for tablet in tablets:
            seed, serial = tokens.new_seed(), serials[tablet.device_id]
            token = tokens.token(secret, seed, 1)
            name = token_digest(f"enrolment {serial}")
            rows.append(
                {
                    "device_id": tablet.device_id, "key_thumbprint": name, "seed": seed, "generation": 1,
                    "token_digest": token_digest(token), "seen_at": now, "number": serial,
                }
            )  # fmt: skip
            found.append((addresses.tablet_project(token), serial))
        db.session.execute(insert(AgentClient), rows)
        db.session.execute(update(Device).values(platform=Platform.ANDROID))
        names = [{"device_id": one["device_id"], "key_thumbprint": one["key_thumbprint"]} for one in rows]
        db.session.execute(update(DeviceState), names)
        numbers = {row.device_id: row.id for row in db.session.execute(select(Enrolment.device_id, Enrolment.id))}
        db.session.execute(
            update(Enrolment),
            [
                {"id": numbers[one["device_id"]], "channel": "headwind", "key_thumbprint": one["key_thumbprint"]}
                for one in rows
            ],
        )
    with made.app.app_context():
        db.engine.dispose()
    return found


def configuration_call(project: str, serial: str) -> bytes:
    """Return a tablet's request for its configuration."""
    headers = {"Host": school.AUTHORITY, "X-CPU-Arch": "arm64-v8a"}
    return load.request("GET", f"/{project}/rest/public/sync/configuration/{serial}", headers)


async def _wait(port: int, project: str, serial: str, turns: asyncio.Semaphore, counts: dict[str, int]) -> None:
    """Poll for ever, as the agent does; an answer with news is followed by fetching the configuration."""
    poll = load.request("GET", f"/{project}/rest/notification/polling/{serial}", {"Host": school.AUTHORITY})
    fetch = load.request("GET", f"/{project}/rest/public/sync/configuration/{serial}", {"Host": school.AUTHORITY})
    async with turns:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(poll)
        counts["waiting"] += 1
        head = await reader.readuntil(b"\r\n\r\n")
        counts["waiting"] -= 1
        body = await reader.readexactly(_length(head))
        counts["other" if not head.startswith(b"HTTP/1.1 200") else "answered"] += 1
        if b"configUpdated" in body:
            writer.write(fetch)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_length(head))
        await asyncio.sleep(_PAUSE_S if counts["calm"] else 0.01)


def _length(head: bytes) -> int:
    return next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))


def _child(port: int, who: Sequence[tuple[str, str]], pipe: Connection) -> None:
    async def work() -> None:
        counts = {"waiting": 0, "answered": 0, "other": 0, "calm": 0}
        turns = asyncio.Semaphore(_AT_ONCE)
        tasks = [asyncio.create_task(_wait(port, project, serial, turns, counts)) for project, serial in who]
        while not await asyncio.to_thread(pipe.poll, 0.2):
            # Each has news at first. Until it has had them nobody is calm, and none may pause for as long as the server
            # keeps a connection that asks nothing.
            has_news = counts["answered"] >= len(who)
            counts["calm"] = counts["calm"] or int(has_news and counts["waiting"] == len(who))
            pipe.send(dict(counts))
        pipe.recv()
        for one in tasks:
            one.cancel()
        broken = [one for one in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(one, Exception)]
        pipe.send({**counts, "broken": len(broken)})

    uvloop.run(work())


class _Waiters:
    """Tablets that wait, in a process of their own."""

    def __init__(self, port: int, who: Sequence[tuple[str, str]]) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_child, args=(port, who, theirs))
        self._process.start()

    def counts(self) -> dict[str, int]:
        """Return how they stand just now."""
        found: dict[str, int] = self._pipe.recv()
        while self._pipe.poll():
            found = self._pipe.recv()
        return found

    def stop(self) -> dict[str, int]:
        """Hang up; return how they stood."""
        self._pipe.send("stop")
        found: dict[str, int] = {}
        while "broken" not in found:
            found = self._pipe.recv()
        self._process.join(30)
        return found


def _noted(made: Ground) -> int:
    with made.app.app_context(), transaction():
        query = select(func.count()).select_from(DevicePresence).where(DevicePresence.waits)
        return db.session.scalar(query) or 0


def run(*, kind: str, quick: bool) -> dict[str, Any]:
    """Run the bench and return its numbers.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        quick: few tablets, only so that one sees that it runs.
    """
    count = QUICK_WAITING if quick else WAITING
    per_s, seconds = (QUICK_PER_S, _QUICK_SECONDS) if quick else (PER_S, _SECONDS)
    waiting.allow_files(count + waiting.OTHER_FILES)
    with school.ground(kind, FLEET_PUBLIC_URL=f"https://{school.AUTHORITY}") as made:
        fetching = per_s * seconds // 2
        who = equip(made, school.enrol(made.app, count + fetching))
        resting, busy = who[:count], who[count:]
        calls = [configuration_call(project, serial) for project, serial in busy]
        with serving(made.url, made.data_dir, jobs="off", FLEET_PUBLIC_URL=f"https://{school.AUTHORITY}") as server:
            meter = Meter.of(server, made.database_pid)
            doors.require(load.send(server.port, [calls[:8]]), 200)
            memory = meter.memory_mib()
            waiters = _Waiters(server.port, resting)
            try:
                ends_at = time.perf_counter() + _WITHIN_S
                while waiters.counts()["waiting"] < count or _noted(made) < count:
                    if time.perf_counter() > ends_at:
                        raise SystemExit("bench: not all came to wait")
                    time.sleep(0.3)
                held = meter.memory_mib()
                print(f"bench: {count} tablets wait; {per_s} configurations a second", file=sys.stderr, flush=True)
                before = meter.cpu()
                queues = [(calls[place::_CONNECTIONS]) * 2 for place in range(_CONNECTIONS)]
                paced = load.send(server.port, queues, per_s=per_s)
                used = [after - former for after, former in zip(meter.cpu(), before, strict=True)]
            finally:
                last = waiters.counts()
                found = waiters.stop()
            doors.require(paced, 200)
    if found["broken"] or found["other"]:
        raise SystemExit(f"bench: those who wait met {found}")
    return {
        "p50_ms": round(paced.percentile_ms(50), 1),
        "p99_ms": round(paced.percentile_ms(99), 1),
        "mib_per_1000_waiting": round(1000 * (held - memory) / count, 1),
        "server_cpu_us_per_config": round(1e6 * used[0] / paced.count),
        "database_cpu_us_per_config": round(1e6 * used[1] / paced.count),
        "configs": paced.count,
        "waiting": count,
        "pausing_at_the_end": count - last["waiting"],
        "polls_answered": found["answered"],
        "server_mib": {"before": round(memory), "waiting": round(held)},
        "database": kind,
        "load": f"open at {per_s} a second over {_CONNECTIONS} connections; {count} held polls in another process",
    }
