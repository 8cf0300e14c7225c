"""Killed at any moment: between any two steps on the disk, and for real, by signal, at random times.

Whatever happens, the tablet is taken in once, uses no sequence twice, obeys no order twice, and ends in the profile that
it should have.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from agent_protocol.errors import Code
from agent_protocol.linux import LinuxTablet
from agent_protocol.messages import Order, OrderState
from agent_protocol.session import Session
from agent_protocol.states import AgentState
from agent_protocol.store import DirectoryStore
from tests.unit.protocol.served import Served, wait_for
from tests.unit.protocol.small_server import AUTHORITY, SmallServer

NOW = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)
SLICES = 8


class KilledError(BaseException):
    """The process was killed: nothing may catch it."""


class HalfWriter:
    """A file that writes in two halves, with a step before the second."""

    def __init__(self, file: Any, step: Callable[[Callable[[], Any]], Any]) -> None:
        self.file = file
        self.step = step

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_given: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> None:
        half = len(content) // 2
        self.file.write(content[:half])
        self.file.flush()
        self.step(lambda: self.file.write(content[half:]))

    def flush(self) -> None:
        self.file.flush()

    def fileno(self) -> int:
        return int(self.file.fileno())


class Disk:
    """Counts every step on the disk under a folder, and kills before the chosen one, which is after the one before it.

    A write that is killed has written half.
    """

    def __init__(self, folder: Path, *, at: int) -> None:
        self._folder, self._at = str(folder), at
        self.steps = 0

    def _step(self, act: Callable[[], Any]) -> Any:
        self.steps += 1
        if self.steps == self._at:
            raise KilledError
        return act()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Stand between the agent and the disk."""
        real = (os.open, os.fdopen, os.fsync)

        def ours(path: object) -> bool:
            return str(path).startswith(self._folder)

        def opened(path: Any, *given: Any, **named: Any) -> int:
            def act() -> int:
                return real[0](path, *given, **named)

            return int(self._step(act)) if ours(path) else act()

        def method(original: Any) -> Any:
            def counted(path: Path, *given: Any, **named: Any) -> Any:
                def act() -> Any:
                    return original(path, *given, **named)

                return self._step(act) if ours(path) else act()

            return counted

        def synced(handle: Any) -> None:
            self._step(lambda: real[2](handle))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "open", opened)
            patch.setattr(os, "fdopen", lambda handle, *given: HalfWriter(real[1](handle, *given), self._step))
            patch.setattr(os, "fsync", synced)
            for name in ("replace", "unlink", "mkdir"):
                patch.setattr(Path, name, method(getattr(Path, name)))
            yield


class Tablet(LinuxTablet):
    """The real appliers, and a count of the orders carried out."""

    obeyed: list[str]

    def obey(self, order: Order) -> tuple[OrderState, str]:
        self.obeyed.append(order.id)
        return super().obey(order)


class Life:
    """A tablet's first minutes: taken in, a profile, an order, another profile, a lesson that ends with the server away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.server = SmallServer(NOW)
        self.server.hold({"camera.allowed": False})
        self.obeyed: list[str] = []
        self.session: Session | None = None

    def start(self) -> Session:
        store = DirectoryStore(self.folder)
        tablet = Tablet(self.folder, serial="S1")
        tablet.obeyed = self.obeyed
        return Session(AUTHORITY, store, tablet, dice=random.Random(1))  # noqa: S311 (repeatable)

    def act(self) -> None:
        """Do what is due; a killed agent is started again."""
        self.session = self.session or self.start()
        if self.session.memory.state is AgentState.NEW:
            self.session.enrol(self.server, self.now, "GOOD")
        self.session.step(self.server, self.now)

    def events(self) -> Iterator[None]:
        yield
        self.server.orders = [Order("o1", "message", {"text": "Hei"}, NOW + timedelta(hours=1))]
        self.server.version += 1
        yield
        end = NOW + timedelta(minutes=25)
        self.server.hold({"sound.locked": True, "apps.blocked": ["a.a"]}, (end, {"web.blocked": ["x.no"]}))
        yield
        self.server.away = True
        self.now = self.server.now = end
        yield
        self.server.away = False

    def run(self, disk: Disk) -> None:
        with disk.watched():
            for _event in self.events():
                for _ in range(3):
                    self.now += timedelta(seconds=60)
                    self.server.now = self.now
                    try:
                        self.act()
                    except KilledError:
                        self.session = None
        for _ in range(16):  # the server is back, and nobody kills any more
            self.now += timedelta(seconds=60)
            self.server.now = self.now
            self.act()

    def check(self) -> None:
        assert list(self.server.enrolments.values()) == ["S1"]
        assert Code.REPLAY not in self.server.refusals  # no sequence was used twice
        assert self.obeyed in ([], ["o1"])
        result = self.server.results["o1"]
        assert result.state == "done" or (result.state, result.detail) == ("failed", "cut off")
        last = self.server.schedule[-1].profile
        assert self.server.reports[-1].applied.profile == last
        assert self.server.reports[-1].config_version == self.server.version
        applied = self.folder / "applied"
        assert sorted(path.name for path in applied.glob("*.json")) == ["profile.json", "web.json"]
        assert DirectoryStore(self.folder).load().applied == last
        assert {path.stem for path in (self.folder / "profiles").glob("*.json")} >= {last}
        assert all(not path.stat().st_mode & 0o077 for path in self.folder.rglob("*"))


def steps_of_a_life(folder: Path) -> int:
    disk = Disk(folder, at=0)
    life = Life(folder)
    life.run(disk)
    life.check()
    return disk.steps


@pytest.mark.parametrize("slice_", range(SLICES))
def test_killed_at_every_step_on_the_disk(tmp_path: Path, slice_: int) -> None:
    steps = steps_of_a_life(tmp_path / "whole")
    assert steps > 100
    for number in range(1 + slice_, steps + 1, SLICES):
        life = Life(tmp_path / str(number))
        life.run(Disk(life.folder, at=number))
        try:
            life.check()
        except AssertionError as error:
            error.add_note(f"killed before step {number} of {steps}")
            raise


@pytest.mark.serves
def test_killed_for_real_at_random_times(served: Served, tmp_path: Path) -> None:
    dice = random.Random(4711)  # noqa: S311 (repeatable)
    state = tmp_path / "agent"
    small = served.small
    words = [sys.executable, "-m", "agent_protocol", "--state", str(state), "--serial", "S1"]
    words += ["--server", served.address, "--code", "GOOD"]

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(words, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[3])

    for number in range(30):
        small.hold({"lock_screen.message": f"runde {number}", "camera.allowed": False})
        small.orders = [Order(f"o{number}", "message", {"text": str(number)}, datetime.now(UTC) + timedelta(hours=1))]
        process = start()
        if number == 0:
            wait_for(lambda: small.enrolments)
        time.sleep(dice.uniform(0.05, 0.9))
        process.kill()
        process.wait()
    acknowledged = list(small.reports)
    process = start()
    wait_for(lambda: small.reports and small.reports[-1].config_version == small.version)
    wait_for(lambda: "o29" in small.results)
    process.terminate()
    assert process.wait(10) == 0
    assert small.reports[: len(acknowledged)] == acknowledged
    assert list(small.enrolments.values()) == ["S1"]
    assert Code.REPLAY not in small.refusals
    assert small.reports[-1].applied.profile == small.schedule[0].profile
    assert "runde 29" in (state / "applied" / "lock_screen.json").read_text()
