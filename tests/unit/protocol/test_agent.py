"""The agent on a real machine: state directory, inventory, appliers, command line, real HTTP."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent_protocol import linux
from agent_protocol.agent import Agent, main, parse_qr
from agent_protocol.errors import Code
from agent_protocol.linux import LinuxTablet
from agent_protocol.messages import Order, encode
from agent_protocol.session import Session
from agent_protocol.signing import match_code, thumbprint
from agent_protocol.simulated import SimulatedDevice, SimulatedFleet, SimulatedTablet, restore
from agent_protocol.states import AgentState
from agent_protocol.store import DirectoryStore, Memory, MemoryStore
from agent_protocol.transport import MAX_ANSWER_BYTES, HttpTransport, Response, UnreachableError, authority_of
from profiles.key import NATIVE
from profiles.vocabulary import VOCABULARY
from tests.unit.protocol import small_server
from tests.unit.protocol.served import Served, wait_for
from tests.unit.protocol.small_server import SmallServer

NOW = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)


# -- state directory ------------------------------------------------------------------------------------------------------


def test_a_state_directory_is_owner_only_and_keeps_what_it_is_given(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "agent")
    key = store.key()
    assert store.load() == Memory()
    store.save(Memory(device_id="t1", sequence_limit=7))
    store.put_body("a" * 64, b"{}")
    store.put_body("b" * 64, b"[]")
    store.keep_only({"a" * 64})
    again = DirectoryStore(tmp_path / "agent")
    assert again.key().private_numbers() == key.private_numbers()
    assert again.load() == Memory(device_id="t1", sequence_limit=7)
    assert (again.body("a" * 64), again.body("b" * 64)) == (b"{}", None)
    for path in [tmp_path / "agent", *(tmp_path / "agent").rglob("*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_a_state_directory_that_others_can_read_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(PermissionError, match="chmod 700"):
        DirectoryStore(tmp_path)


def test_a_key_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "agent")
    made = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(tmp_path / "agent" / "key.pem")]
    subprocess.run(made, check=True, capture_output=True)
    with pytest.raises(TypeError, match="P-256"):
        store.key()


# -- the machine ------------------------------------------------------------------------------------------------------------


def test_the_inventory_is_of_the_real_machine(tmp_path: Path) -> None:
    tablet = LinuxTablet(tmp_path, serial="S1")
    found = tablet.inventory()
    disk = os.statvfs(tmp_path)
    assert found.storage_total_bytes == disk.f_frsize * disk.f_blocks
    assert found.os_version
    assert tablet.identity().serial == "S1"
    assert tablet.identity().platform == "linux"


def test_the_battery_is_read_where_there_is_one(tmp_path: Path) -> None:
    assert linux._battery_percent(tmp_path / "none") is None
    for name, kind, capacity in (("AC", "Mains", None), ("BAT0", "Battery", "101"), ("BAT1", "Battery", "5")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "type").write_text(f"{kind}\n")
        if capacity:
            (tmp_path / name / "capacity").write_text(f"{capacity}\n")
    assert linux._battery_percent(tmp_path) == 100
    (tmp_path / "BAT0" / "capacity").write_text("?\n")
    assert linux._battery_percent(tmp_path) == 5


def test_programs_are_named_by_their_desktop_files(tmp_path: Path) -> None:
    (tmp_path / "org.gnome.Calculator.desktop").touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.desktop")).touch()
    found = linux._installed_apps([tmp_path, tmp_path / "none"])
    assert [app.id for app in found] == ["caf?", "org.gnome.Calculator"]
    assert encode(found)


def test_a_machine_that_tells_no_serial_needs_one_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placeholder = tmp_path / "serial"
    placeholder.write_text("To be filled by O.E.M.\n")
    monkeypatch.setattr(linux, "_SERIALS", (tmp_path / "none", placeholder))
    with pytest.raises(ValueError, match="--serial"):
        LinuxTablet(tmp_path)
    placeholder.write_text("ABC123\n")
    assert LinuxTablet(tmp_path).identity().serial == "ABC123"


def test_a_machine_without_a_release_file_tells_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict[str, str]:
        raise OSError

    monkeypatch.setattr("platform.freedesktop_os_release", missing)
    assert linux._os_version() == os.uname().release


def test_a_profile_becomes_one_file_per_area_and_leaves_none_behind(tmp_path: Path) -> None:
    tablet = LinuxTablet(tmp_path, serial="S1")
    failures = tablet.apply(
        "d1", {"apps.blocked": ["a.a"], "apps.required": [], "web.blocked": ["x.no"], "cloud.backup_allowed": False}
    )
    assert [(failure.key, failure.reason) for failure in failures] == [("cloud.backup_allowed", "unsupported")]
    applied = tmp_path / "applied"
    assert json.loads((applied / "apps.json").read_text()) == {"apps.blocked": ["a.a"], "apps.required": []}
    assert json.loads((applied / "profile.json").read_text()) == {"profile": "d1", "areas": ["apps", "web"]}
    own = [key.name for key in VOCABULARY.values() if NATIVE in key.channels]
    assert tablet.apply("d3", dict.fromkeys(own)) == []  # what the vocabulary says this agent enforces, it does
    assert tablet.apply("d2", {"camera.allowed": False}) == []
    assert sorted(path.name for path in applied.glob("*.json")) == ["camera.json", "profile.json"]


@pytest.mark.parametrize(
    ("kind", "payload", "state", "file"),
    [
        ("message", {"text": "Hei"}, "done", "message.txt"),
        ("lock-message", {"text": "Hei"}, "done", "message.txt"),
        ("report-now", {}, "done", None),
        ("open-url", {"url": "https://ndla.no/emne?a=1"}, "done", "open-url.txt"),
        ("open-url", {"url": "file:///etc/passwd"}, "failed", None),
        ("open-url", {"url": "https://x.no/\nhttps://y.no"}, "failed", None),
        ("open-url", {"url": "https://[x"}, "failed", None),
        ("open-url", {}, "failed", None),
        ("open-app", {"app": "org.geogebra.calculator"}, "done", "open-app.txt"),
        ("open-app", {}, "failed", None),
        ("wipe", {}, "refused", None),
    ],
)
def test_orders_are_carried_out_where_the_machine_can(
    tmp_path: Path, kind: str, payload: dict[str, str], state: str, file: str | None
) -> None:
    assert LinuxTablet(tmp_path, serial="S1").obey(Order("o", kind, payload, NOW))[0] == state
    written = {path.name: path.read_text() for path in (tmp_path / "applied").iterdir()}
    assert written == ({file: next(iter(payload.values()))} if file is not None else {})


# -- addresses ----------------------------------------------------------------------------------------------------------------


def test_a_qr_code_says_server_and_ticket() -> None:
    assert parse_qr("https://tablets.example.no/enrol#AAAA-BBBB\n") == ("https://tablets.example.no", "AAAA-BBBB")
    for wrong in ("https://x.no/enrol", "ftp://x.no/enrol#a", "https://x.no/other#a", "tekst", "https:///enrol#a"):
        with pytest.raises(ValueError, match="expected"):
            parse_qr(wrong)


@pytest.mark.parametrize(
    ("server", "authority"),
    [
        ("https://X.no", "x.no"),
        ("https://x.no:443", "x.no"),
        ("http://x.no:8000", "x.no:8000"),
        ("http://[::1]:80", "[::1]"),
    ],
)
def test_the_authority_follows_the_address(server: str, authority: str) -> None:
    assert authority_of(server) == authority


@pytest.mark.parametrize("server", ["x.no", "ftp://x.no", "http://"])
def test_an_address_that_is_none_is_refused(server: str) -> None:
    with pytest.raises(ValueError, match="not a server's address"):
        HttpTransport(server)


# -- over real HTTP -------------------------------------------------------------------------------------------------------------


@pytest.mark.serves
def test_a_kept_connection_that_the_server_closed_is_opened_anew(served: Served) -> None:
    transport = HttpTransport(served.address)
    assert transport.send("GET", "/agent/v1/nonce", {}, None).status == 200
    assert transport._connection.sock is not None
    transport._connection.sock.shutdown(2)
    assert transport.send("GET", "/agent/v1/nonce", {}, None).status == 200
    transport.close()


@pytest.mark.serves
def test_a_server_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(UnreachableError):
        HttpTransport("http://127.0.0.1:9", timeout_s=1).send("GET", "/", {}, None)


@pytest.mark.serves
def test_the_command_enrols_once_and_remembers(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = str(tmp_path / "agent")
    served.small.hold({"camera.allowed": False})
    assert main(["--state", state, "--serial", "S1", "--once"]) == 1
    assert "which server" in capsys.readouterr().err
    assert main(["--state", state, "--serial", "S1", "--server", served.address, "--once"]) == 1
    assert "not enrolled" in capsys.readouterr().err
    assert main(["--state", state, "--serial", "S1", "--code", "BAD", "--once"]) == 1
    assert "ticket-unknown" in capsys.readouterr().err
    assert main(["--state", state, "--serial", "S1", "--qr", f"{served.address}/enrol#GOOD", "--once"]) == 0
    assert main(["--state", state, "--serial", "S1", "--once"]) == 0
    monkeypatch.setattr(linux, "_SERIALS", (tmp_path / "none",))  # a machine that tells none; the agent remembers
    assert main(["--state", state, "--once"]) == 0
    capsys.readouterr()
    assert main(["--state", state, "--status"]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.replace("match code", "match").splitlines())
    key = DirectoryStore(Path(state)).key().public_key()
    assert (told["state"], told["serial"], told["match"]) == ("enrolled", "S1", match_code(thumbprint(key)))
    assert list(served.small.enrolments.values()) == ["S1"]
    assert json.loads((tmp_path / "agent" / "applied" / "camera.json").read_text()) == {"camera.allowed": False}


@pytest.mark.serves
def test_a_real_process_goes_on_after_kill_and_ends_an_assignment_alone(served: Served, tmp_path: Path) -> None:
    served.small.hold({"camera.allowed": False})
    camera = tmp_path / "agent" / "applied" / "camera.json"
    words = [sys.executable, "-m", "agent_protocol", "--state", str(tmp_path / "agent"), "--serial", "S1"]

    def start(*more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*words, *more], stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[3])

    process = start("--server", served.address, "--code", "GOOD")
    wait_for(camera.exists)
    process.kill()
    process.wait()
    end = datetime.now(UTC) + timedelta(seconds=4)
    served.small.hold({"camera.allowed": False}, (end, {"sound.locked": True}))
    process = start()
    wait_for(lambda: served.small.reports and served.small.reports[-1].config_version == served.small.version)
    served.small.away = True
    served.http.server_close()  # nobody listens any more
    wait_for(lambda: not camera.exists() and (camera.parent / "sound.json").exists())
    assert datetime.now(UTC) >= end - timedelta(seconds=0.5)  # Date has whole seconds, the rest is the network's
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert len(served.small.enrolments) == 1


def test_the_status_of_an_agent_that_is_new_needs_no_serial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linux, "_SERIALS", (tmp_path / "none",))
    assert main(["--state", str(tmp_path / "agent"), "--status"]) == 0
    assert capsys.readouterr().out.split() == ["state", "new", "tablet", "-", "profile", "-", "serial", "-"]


@pytest.mark.parametrize("asks", [False, True])
def test_a_tablet_that_waits_for_approval_says_so_and_not_that_it_is_enrolled(
    asks: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    small = SmallServer(datetime.now(UTC))
    small.asks = asks
    Agent(Session(small_server.AUTHORITY, MemoryStore(), SimulatedDevice("S1")), small, "S1").enrol("GOOD")
    assert ("S1 waits for approval as tablet-1" in caplog.text) is asks
    assert ("enrolled S1 as tablet-1" in caplog.text) is not asks


def test_an_agent_waits_for_its_server_to_enrol_and_stops_when_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent_protocol.agent._ENROL_RETRY_S", 0.01)
    small = SmallServer(datetime.now(UTC))
    small.away = True
    session = Session(small_server.AUTHORITY, MemoryStore(), SimulatedDevice("S1"))
    agent = Agent(session, small, "S1")

    def live() -> None:
        agent.enrol("GOOD")
        agent.run()

    thread = threading.Thread(target=live)
    thread.start()
    wait_for(lambda: "server away" in caplog.text)
    small.away = False
    wait_for(lambda: small.reports)
    agent.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert list(small.enrolments.values()) == ["S1"]
    agent.enrol("GOOD")  # told to stop: it does not begin again
    assert small.requests.count("POST /agent/v1/enrolments") == 1


@pytest.mark.serves
def test_a_tablet_whose_key_was_revoked_enrols_anew_with_a_new_key(served: Served, tmp_path: Path) -> None:
    state = tmp_path / "agent"
    served.small.hold({"camera.allowed": False})
    words = ["--state", str(state), "--serial", "S1", "--server", served.address, "--once"]
    assert main([*words, "--code", "GOOD"]) == 0
    first = (state / "key.pem").read_bytes()
    served.small.answer = lambda _method, _path: served.small.problem(Code.REVOKED)
    assert main(words) == 0
    served.small.answer = lambda _method, _path: None
    assert main([*words, "--code", "GOOD"]) == 0
    assert (state / "key.pem").read_bytes() != first
    assert len(served.small.enrolments) == 2
    assert Code.REPLAY not in served.small.refusals
    assert DirectoryStore(state).load().state is AgentState.ENROLLED
    assert (state / "applied" / "camera.json").exists()


@pytest.mark.serves
def test_a_key_that_was_revoked_before_its_answer_came_is_replaced(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--state",
        str(tmp_path / "agent"),
        "--serial",
        "S1",
        "--server",
        served.address,
        "--once",
        "--code",
        "GOOD",
    ]
    refusals: list[str] = []

    def revoked(_method: str, path: str) -> Response | None:
        if not path.endswith("/enrolments") or len(refusals) == 3:
            return None
        refusals.append(path)
        return served.small.problem(Code.REVOKED)

    served.small.answer = revoked
    assert main(words) == 1  # refused, and refused again with the new key: no endless loop
    assert "revoked" in capsys.readouterr().err
    assert main(words) == 0
    assert list(served.small.enrolments.values()) == ["S1"]


@pytest.mark.serves
def test_once_means_once_also_where_the_server_is_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--state", str(tmp_path / "state"), "--serial", "S1", "--server", "http://127.0.0.1:9", "--code", "GOOD"]
    assert main([*words, "--once"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("agent: ")


@pytest.mark.serves
def test_a_refusal_says_what_a_person_can_do(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--state", str(tmp_path / "state"), "--serial", "S1", "--server", served.address, "--code", "BAD"]
    assert main([*words, "--once"]) == 1
    assert "look at the sheet again" in capsys.readouterr().err


@pytest.mark.serves
def test_a_second_agent_on_one_directory_is_refused(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "agent"
    with DirectoryStore(state).held():
        assert main(["--state", str(state), "--serial", "S1", "--server", served.address, "--once"]) == 1
    assert "another agent" in capsys.readouterr().err


class Replies:
    """A socket that answers each connection with given bytes, then closes it."""

    def __init__(self, *replies: bytes) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, args=(replies,))
        self.thread.start()

    def _serve(self, replies: tuple[bytes, ...]) -> None:
        for reply in replies:
            connection, _ = self.socket.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(reply)
        self.socket.close()
        self.thread = threading.current_thread()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.serves
@pytest.mark.parametrize(
    ("replies", "requests"),
    [
        ([b"no http\r\n\r\n"], 1),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (MAX_ANSWER_BYTES + 1)], 1),
        ([b""], 1),
        ([OK, b"no http\r\n\r\n"], 2),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"], 1),
    ],
)
def test_whatever_is_no_answer_is_unreachable(replies: list[bytes], requests: int) -> None:
    server = Replies(*replies)
    with contextlib.closing(HttpTransport(server.address, timeout_s=5)) as transport:
        for _ in range(requests - 1):
            assert transport.send("GET", "/", {}, None).body == b"ok"
        with pytest.raises(UnreachableError):
            transport.send("GET", "/", {}, None)
    server.thread.join(10)


# -- simulated ----------------------------------------------------------------------------------------------------------------


@pytest.mark.serves
def test_a_simulated_fleet_enrols_applies_and_goes_on(served: Served, tmp_path: Path) -> None:
    served.small.hold({"apps.required": ["no.app"], "apps.blocked": ["no.game"]})
    saved = tmp_path / "tablets.json"

    def fleet() -> SimulatedFleet:
        stores = restore(saved)
        device = SimulatedDevice("S1", apps=["no.game"], failing=1.0)
        tablet = SimulatedTablet(served.address, device, code="GOOD", store=stores.get("S1"))
        bad = SimulatedTablet(served.address, SimulatedDevice("S2"), code="BAD")
        return SimulatedFleet(served.address, [tablet, bad], threads=2, first_within_s=0)

    for _ in range(2):
        running = fleet()
        thread = threading.Thread(target=running.run)
        before = len(served.small.reports)
        thread.start()
        wait_for(lambda before=before: len(served.small.reports) > before)
        wait_for(lambda running=running: running.tablets[1].refused is not None)
        running.stop()
        thread.join()
        running.save(saved)
        assert running.tablets[1].refused == "ticket-unknown"
        assert running.steps >= 2
    assert list(served.small.enrolments.values()) == ["S1"]
    assert [failure.reason for failure in served.small.reports[0].failures] == ["rejected", "rejected"]
    assert "no.game" not in {app.id for app in served.small.reports[0].apps}


def test_a_simulated_tablet_lives_by_its_seed() -> None:
    def life(seed: int) -> list[object]:
        device = SimulatedDevice("S1", seed=seed)
        device.apply("d", {"apps.required": ["no.app"]})
        device.obey(Order("o", "message", {"text": "Hei"}, NOW))
        device.obey(Order("o", "ring", {}, NOW))
        device.obey(Order("o", "open-url", {"url": "https://ndla.no"}, NOW))
        device.obey(Order("o", "open-app", {"app": "no.app"}, NOW))
        assert device.opened == ["https://ndla.no", "no.app"]
        return [device.inventory() for _ in range(400)] + list(device.messages)

    assert life(1) == life(1) != life(2)
    assert life(1)[-1] == "Hei"


def test_a_simulated_tablet_waits_where_the_server_is_away() -> None:
    small = SmallServer(NOW)
    small.away = True
    tablet = SimulatedTablet("http://fleet.test", SimulatedDevice("S1"), code="GOOD")
    assert tablet.step(small, NOW) == NOW + timedelta(seconds=5)


def test_a_simulated_tablet_waits_as_long_as_a_busy_server_asks() -> None:
    small = SmallServer(NOW)
    busy = small.problem(Code.BUSY)
    small.answer = lambda _method, _path: Response(503, {"retry-after": "40"}, busy.body)
    tablet = SimulatedTablet("http://fleet.test", SimulatedDevice("S1"), code="GOOD")
    assert tablet.step(small, NOW) == NOW + timedelta(seconds=40)


def test_what_a_simulated_tablet_should_not_raise_ends_the_fleet() -> None:
    device = SimulatedDevice("S1")
    device.identity = None  # type: ignore[assignment, method-assign]
    tablet = SimulatedTablet("http://127.0.0.1:9", SimulatedDevice("S1"), code="GOOD")
    tablet.session._device = device
    with pytest.raises(TypeError):
        SimulatedFleet("http://127.0.0.1:9", [tablet], threads=2, first_within_s=0).run()
