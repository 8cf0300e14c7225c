"""A nation in small: three municipalities behind one front door, one moved under load, one upgraded, all counted.

``scripts/nation`` runs the same with more of them.
"""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent_protocol import clock
from agent_protocol.client import BusyError
from agent_protocol.simulated import SimulatedDevice, SimulatedTablet
from agent_protocol.transport import UnreachableError
from fleet.copying import opened
from fleet.municipalities import registry
from fleet.municipalities.figures import SMALL
from tests import postgres
from tests.agents import Recorder, eventually
from tests.front_door import FrontDoor
from tests.nation import SERVICE, Nation
from tests.serving import free_port
from tests.small_school import SCHOOL, write_delivery_list, write_roster

pytestmark = pytest.mark.serves

CELLS, TABLETS = int(os.environ.get("NATION_CELLS", "3")), int(os.environ.get("NATION_TABLETS", "5"))
PAUSE_S = 0.3  # between two steps of a tablet
SECRET = "Ola sitt nettbrett"  # what a tablet may say of itself


@dataclass
class Town:
    """A municipality and its tablets, which report without rest while they are on."""

    name: str
    address: str
    code: str
    serials: list[str]
    recorders: list[Recorder] = field(default_factory=list)

    @property
    def acknowledged(self) -> list[str]:
        """All reports that were acknowledged so far."""
        return [one for recorder in self.recorders for one in list(recorder.acknowledged)]

    def live(self, serial: str, recorder: Recorder, stopping: threading.Event) -> None:
        """Let a tablet live until it is to stop."""
        version = SECRET if serial.endswith("0") else "18.4"
        tablet = SimulatedTablet(self.address, SimulatedDevice(serial, os_version=version), code=self.code)
        while not stopping.wait(PAUSE_S):
            if tablet.session.timing.report_at is not None:
                tablet.session.timing.at_once(clock.now())
            with suppress(UnreachableError, BusyError):  # asked to come back: it does
                tablet.step(recorder, clock.now())
        recorder.close()


@contextmanager
def on(towns: list[Town]) -> Iterator[None]:
    """Have the tablets of these municipalities on."""
    stopping, threads = threading.Event(), []
    for town in towns:
        town.recorders = [Recorder(town.address, timeout_s=60) for _ in town.serials]
        pairs = zip(town.serials, town.recorders, strict=True)
        threads += [threading.Thread(target=town.live, args=(*pair, stopping)) for pair in pairs]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        stopping.set()
        for one in threads:
            one.join(90)


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    with opened(url) as engine, engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def has_reported(town: Town, times: int) -> bool:
    """Whether more reports than that were acknowledged."""
    return len(town.acknowledged) > times


def town(nation: Nation, number: int, kind: str, port: int, tablets: int) -> Town:
    """Create a municipality with a school; its servers are started."""
    name, folder = f"kommune-{number:02}", nation.root.parent / f"files-{number}"
    folder.mkdir()
    address = f"http://127.0.0.{number + 2}:{port}"
    nation.run("create", name, "--database", nation.shaped(kind, f"k{number}"), "--address", address,
               "--bind", f"127.0.0.1:{free_port()}")  # fmt: skip
    cell = nation.cell(name)
    registry.save(cell.changed(FLEET_POLL_S="1", FLEET_REPORT_S="1"))
    serials = [f"TOWN{number:02}TAB{index:02}0" for index in range(tablets)]
    write_roster(folder / "roster.zip")
    write_delivery_list(folder / "levering.csv", serials)
    nation.fleet(name, "roster", "import", folder / "roster.zip")
    nation.fleet(name, "devices", "import", folder / "levering.csv")
    told = nation.fleet(name, "tickets", "create", "--school", SCHOOL, "--class", "8B", "--max", str(tablets), "--json")
    return Town(name, address, json.loads(told.stdout)["code"], serials)


@pytest.fixture
def nation(
    tmp_path: Path, postgres_server: postgres.Server, sqlite_template: Path, postgres_template: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Nation]:  # fmt: skip
    made = Nation(tmp_path / "cells", postgres_server, (sqlite_template, postgres_template), SERVICE)
    monkeypatch.setenv("NATION", str(made.root))
    try:
        yield made
    finally:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(partial(made.keep, "stop"), [one.name for one in registry.cells(made.root)]))
        made.drop()


def test_a_nation_in_small(nation: Nation, tmp_path: Path) -> None:
    port = free_port()
    towns = [
        town(nation, number, "postgresql" if number == 1 else "sqlite", port, 2 if number == 2 else TABLETS)
        for number in range(CELLS)
    ]
    moved, old = towns[0], nation.cell(towns[0].name).database
    with FrontDoor(port) as door:
        door.read(nation.run("front-door", "nginx").stdout)
        for one in towns:
            nation.keep("start", one.name)
        with on(towns):
            for one in towns:
                eventually(partial(has_reported, one, 2 * len(one.serials)), within_s=300, why=one.name)
            before = len(moved.acknowledged)
            target = nation.new("postgresql", "moved")
            begun = time.monotonic()
            nation.run("move", moved.name, "--to", target, "--patience", "300")
            took, away = time.monotonic() - begun, [at - begun for at in door.turned_away if at > begun]
            eventually(partial(has_reported, moved, before + len(moved.serials)), within_s=300)
            canary = towns[1].name
            registry.run_by(nation.cell(canary), tmp_path / "old")  # an older program, at another place
            nation.run("upgrade", "--wave", canary, "--patience", "300")
        assert away, "the move was not under load"
        stands = {one["name"]: one for one in nation.told("status")}
        assert all(one["ready"] and one["schema"] == "current" for one in stands.values())
        assert [one["tablets"] for one in stands.values()] == [len(one.serials) for one in towns]
    for one in towns:
        stored = Counter(row[0] for row in ask(nation.cell(one.name).database, "SELECT report_id FROM check_in"))
        assert set(one.acknowledged) <= set(stored)
        assert max(stored.values()) == 1
        enrolled = ask(nation.cell(one.name).database, "SELECT count(*) FROM enrolment")
        assert enrolled == [(len(one.serials),)]  # none enrolled again
    assert nation.cell(moved.name).database.startswith("postgresql")
    assert 0 < ask(old, "SELECT count(*) FROM check_in")[0][0] < len(stored_ids(nation, moved))  # type: ignore[operator]
    require_right_figures(nation, towns)
    print(f"moved in {took:.1f} s, of which tablets were asked to come back for {away[-1] - away[0]:.1f} s")  # noqa: T201
    print(nation.run("figures").stdout)  # noqa: T201


def stored_ids(nation: Nation, one: Town) -> set[object]:
    return {row[0] for row in ask(nation.cell(one.name).database, "SELECT report_id FROM check_in")}


def require_right_figures(nation: Nation, towns: list[Town]) -> None:
    """See that figures are right, and that no name of any database is in them, however they are written."""
    figures = nation.told("figures")
    large = {one.name: len(one.serials) for one in towns if len(one.serials) >= SMALL}
    assert {name: one["tablets"] for name, one in figures["municipalities"].items() if one["tablets"]} == large
    assert (figures["all"]["tablets"], figures["all"]["channel native"]) == (sum(large.values()),) * 2
    assert figures["all"]["system linux"] == sum(large.values())  # what they said of their system was no version
    assert figures["missing"] == []
    written = "\n".join(nation.run("figures", *how).stdout for how in ([], ["--csv"], ["--json"])).casefold()
    names = {SECRET}
    for one in towns:
        url = nation.cell(one.name).database
        names |= {str(row[0]) for row in ask(url, "SELECT serial FROM device UNION SELECT name FROM school")}
        names |= {str(row[0]) for row in ask(url, "SELECT family_name FROM person UNION SELECT username FROM person")}
        names |= {str(row[0]) for row in ask(url, "SELECT title FROM school_class UNION SELECT given_name FROM person")}
    assert len(names) > 10
    assert [one for one in names - {"None"} if one.casefold() in written] == []
