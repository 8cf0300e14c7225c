"""What must be so after a fault, without anybody having done anything about it.

Every report that was acknowledged is stored, and none twice, and a tablet's state is what the last one said; every order
that was taken in was obeyed once, and is done; the open findings are those that each tablet's last report implies; the
server is ready, and its jobs run.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.sql import Executable

from fleet import job_runs
from fleet.checkins.models import CheckIn
from fleet.compliance.models import Finding, FindingKind
from fleet.compliance.shipped import CLOCK_WRONG_S
from fleet.db import db, reading, transaction
from fleet.devices.models import Device, DeviceState
from fleet.job_runs import JobOutcome, JobRun
from fleet.orders import OrderState
from fleet.orders.models import OPEN, Order
from tests.fault_proxy import no_harm
from tests.faults.world import BY, FaultError, World

_A_JOB = "expired-orders"


def all_is_well(world: World) -> None:
    """Have the tablets come to rest, and hold what they know against what is stored.

    Raises:
        FaultError: something is not as it must be.
    """
    world.net.plan = no_harm
    world.wait("the server is ready", world.is_ready)
    before = {tablet.serial: len(tablet.ledger.acknowledged) for tablet in world.tablets}
    world.wait(
        "reports of every tablet are acknowledged again",
        lambda: all(len(tablet.ledger.acknowledged) > before[tablet.serial] + 1 for tablet in world.tablets),
    )
    world.wait("nothing is kept back", lambda: not world.net.kept_back)
    world.wait("every order has ended", lambda: _orders_have_ended(world))
    for tablet in world.tablets:
        tablet.rest()
    try:
        wrong = [*_wrong_reports(world), *_wrong_orders(world), *_wrong_findings(world)]
    finally:
        for tablet in world.tablets:
            tablet.go_on()
    unasked = sum(tablet.ledger.unasked for tablet in world.tablets)
    if unasked:
        wrong.append(f"{unasked} refusals did not say when to come back")
    if wrong:
        raise FaultError("\n".join(wrong[:20]))


def jobs_run(world: World) -> None:
    """Ask for a job, and wait until it is done.

    Raises:
        FaultError: it is not.
    """
    with world.app.app_context(), transaction():
        run_id = job_runs.ask(_A_JOB, by=BY, now=world.now())

    def is_done() -> bool:
        with world.app.app_context(), reading():
            return db.session.scalar(select(JobRun.outcome).where(JobRun.id == run_id)) is JobOutcome.DONE

    world.wait(f"{_A_JOB} was run", is_done)


def _rows(world: World, query: Executable) -> list[tuple[Any, ...]]:
    with world.app.app_context(), reading():
        return [tuple(row) for row in db.session.execute(query)]


def _orders_have_ended(world: World) -> bool:
    still_open = _rows(world, select(Order.id).where(Order.state.in_(OPEN)).limit(1))
    return not still_open and all(tablet.is_settled for tablet in world.tablets)


def _wrong_reports(world: World) -> Iterator[str]:
    state = (DeviceState.last_report_id, DeviceState.applied_digest)
    last = {serial: tuple(told) for serial, *told in _rows(world, select(Device.serial, *state).join(Device.state))}
    stored: dict[str, Counter[str]] = {tablet.serial: Counter() for tablet in world.tablets}
    query = select(Device.serial, CheckIn.report_id).join_from(CheckIn, Device, CheckIn.device_id == Device.id)
    for serial, report_id in _rows(world, query):
        stored[serial][report_id] += 1
    for tablet in world.tablets:
        serial, told, found = tablet.serial, tablet.ledger, stored[tablet.serial]
        yield from (f"{serial}: report {one} is lost" for one in set(told.acknowledged) - set(found))
        yield from (f"{serial}: report {one} is stored {times} times" for one, times in found.items() if times > 1)
        yield from (f"{serial}: report {one} was never sent" for one in set(found) - set(told.sent))
        if last[serial] != (told.acknowledged[-1], told.last["applied"]["profile"]):
            yield f"{serial}: its state is not what its last report said"


def _wrong_orders(world: World) -> Iterator[str]:
    stored: dict[str, set[str]] = {tablet.serial: set() for tablet in world.tablets}
    for serial, uid, state in _rows(world, select(Device.serial, Order.uid, Order.state).join_from(Order, Device)):
        stored[serial].add(uid)
        if state is not OrderState.DONE:
            yield f"{serial}: order {uid} ended as {state}"
    for tablet in world.tablets:
        serial, obeyed = tablet.serial, tablet.ledger.obeyed
        yield from (f"{serial}: order {one} is lost" for one in world.queued.get(serial, set()) - stored[serial])
        yield from (f"{serial}: order {one} was not obeyed" for one in stored[serial] - set(obeyed))
        yield from (f"{serial}: order {one} was obeyed {times} times" for one, times in obeyed.items() if times > 1)


def _wrong_findings(world: World) -> Iterator[str]:
    kinds = (FindingKind.NOT_ENCRYPTED.value, FindingKind.CLOCK_WRONG.value)
    query = select(Device.serial, Finding.kind).join_from(Finding, Device, Finding.device_id == Device.id)
    found = set(_rows(world, query.where(Finding.closed_at.is_(None), Finding.kind.in_(kinds))))
    implied = set()
    for tablet in world.tablets:
        told = tablet.ledger.last
        if told["attributes"]["encrypted"] == "false":
            implied.add((tablet.serial, FindingKind.NOT_ENCRYPTED.value))
        if abs(told["clock_offset_s"]) > CLOCK_WRONG_S:
            implied.add((tablet.serial, FindingKind.CLOCK_WRONG.value))
    yield from (f"{serial}: {kind} is not found" for serial, kind in implied - found)
    yield from (f"{serial}: {kind} is found and is not so" for serial, kind in found - implied)
