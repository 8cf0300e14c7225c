"""The simulated Android agent behaves as the real one: against a tiny server that answers what it is told to."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from agent_protocol.transport import Response
from tests import headwind_wire
from tests.headwind_agent import AFTER_4XX_S, AFTER_ANSWER_S, AFTER_NETWORK_ERROR_S, HeadwindAgent, NotTakenInError
from tests.headwind_system import CHROME, LAUNCHER, Package
from tests.headwind_wire import SECRET, GarbledError

BASE, READER = "https://fleet.test", "no.example.reader"
URL = f"{BASE}/hw-files/files/{READER}-1.apk"
QR = {
    "android.app.extra.PROVISIONING_LEAVE_ALL_SYSTEM_APPS_ENABLED": True,
    "android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE": {
        "com.hmdm.BASE_URL": BASE, "com.hmdm.SERVER_PROJECT": "hw-e1", "com.hmdm.DEVICE_ID_USE": "serial",
    },
}  # fmt: skip
ALL_LOGS = {"packageId": LAUNCHER, "logLevel": 5, "filter": ""}


def config(**changes: Any) -> dict[str, Any]:
    return {
        "pushOptions": "polling", "password": "0" * 32, "appPermissions": "denylocation", "restrictions": "no_add_user",
        "applications": [], "files": [], "applicationSettings": [], "actions": [],
    } | changes  # fmt: skip


def app(**changes: Any) -> dict[str, Any]:
    return {"name": "Leseren", "pkg": READER, "version": "1.0", "url": URL, "showIcon": True} | changes


def setting(package: str, name: str, value: str) -> dict[str, Any]:
    return {"packageId": package, "name": name, "value": value, "type": 1, "lastUpdate": 0}


def answer(data: Any = None, *, status: int = 200, body: bytes | None = None) -> Response:
    told = {"status": "OK", "message": None, "data": data}
    whole = json.dumps(told, separators=(",", ":")).encode() if body is None else body
    signed = SECRET + "".join(json.dumps(data, separators=(",", ":")).split())
    signature = hashlib.sha1(signed.encode(), usedforsecurity=False).hexdigest().upper()
    return Response(status, {"x-response-signature": signature, "x-ip-address": "192.0.2.7"}, whole)


def refusal(message: str) -> Response:
    return Response(200, {}, json.dumps({"status": "ERROR", "message": message, "data": None}).encode())


class Scripted:
    """A server that answers as it is told, the same again where nothing more is; an error stands for no network."""

    def __init__(self) -> None:
        self.config: Any = config()
        self.polls: deque[Any] = deque()
        self.rules: list[dict[str, Any]] = []
        self.files: dict[str, Any] = {"/hw-files/": answer(body=b"PK file")}
        self.confirms = 200
        self.on_file: Callable[[], None] = lambda: None
        self.seen: list[tuple[str, str, Mapping[str, str], Any]] = []

    def __call__(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        self.seen.append((method, target, headers, json.loads(body) if body else None))
        found = self._find(target)
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, Response) else answer(found)

    def _find(self, target: str) -> Any:
        if "/configuration/" in target:
            return self.config.popleft() if isinstance(self.config, deque) else self.config
        if "/polling/" in target:
            return self.polls.popleft() if self.polls else []
        if "/log/rules/" in target:
            return self.rules
        if "/devicereset/" in target:
            return answer(status=self.confirms)
        if "/rest/" not in target:
            self.on_file()
        return next((told for start, told in self.files.items() if target.startswith(start)), answer())

    def messages(self) -> list[str]:
        """Return what of its log the agent has sent."""
        return [one["message"] for _, target, _, body in self.seen if "/log/list/" in target for one in body]

    def last_report(self) -> dict[str, Any]:
        """Return the last report."""
        return dict(next(body for _, target, _, body in reversed(self.seen) if target.endswith("/sync/info")))


@pytest.fixture
def server() -> Scripted:
    return Scripted()


@pytest.fixture
def agent(server: Scripted) -> HeadwindAgent:
    """Return an agent that has come in, and whose server has forgotten what it asked meanwhile."""
    made = HeadwindAgent(server, "R52W1")
    made.enrol(QR)
    server.seen.clear()
    return made


def of(kind: str, server: Scripted) -> list[str]:
    return [target for _, target, _, _ in server.seen if kind in target]


# -- set-up ----------------------------------------------------------------------------------------------------------


def test_it_comes_in_with_a_post_and_asks_with_a_get_from_then_on(server: Scripted) -> None:
    agent = HeadwindAgent(server, "R52W1")
    agent.set_up(QR)
    assert [(method, target) for method, target, _, _ in server.seen] == [
        ("POST", "/hw-e1/rest/public/sync/configuration/R52W1"),
        ("GET", "/hw-e1/rest/plugins/devicelog/log/rules/R52W1"),
    ]
    _, _, headers, body = server.seen[0]
    assert headers["X-CPU-Arch"] == "arm64-v8a"
    assert headers["X-Request-Signature"] == hashlib.sha1(b"changeme-C3z9vi54R52W1").hexdigest().upper()  # noqa: S324
    assert body == {"customer": None, "configuration": None, "groups": [], "groupSet": []}
    assert (agent.polls, agent.restrictions, agent.completed) == (False, set(), [])
    agent.open_launcher()
    assert server.seen[2][:2] == ("GET", "/hw-e1/rest/public/sync/configuration/R52W1")
    assert (agent.polls, agent.restrictions, len(agent.completed)) == (True, {"no_add_user"}, 1)


def test_the_set_up_leaves_it_to_the_launcher_to_move_and_the_update_begins_anew_there(server: Scripted) -> None:
    server.config = config(newServerUrl=f"{BASE}/hw-t1", restrictions="")
    agent = HeadwindAgent(server, "R52W1")
    agent.set_up(QR)
    assert agent.project == "hw-e1"
    server.seen.clear()
    agent.open_launcher()
    assert [target.split("/")[1] for target in of("configuration", server)] == ["hw-e1", "hw-t1", "hw-t1"]
    assert agent.project == "hw-t1"
    assert all(target.startswith("/hw-t1/") for target in of("/sync/info", server))


def test_it_stays_where_it_is_when_the_new_address_answers_badly(server: Scripted) -> None:
    server.config = deque([config(), config(newServerUrl=f"{BASE}/hw-t1"), answer(status=404)])
    agent = HeadwindAgent(server, "R52W1")
    agent.enrol(QR)
    assert agent.project == "hw-e1"
    assert len(agent.completed) == 1


def test_an_answer_that_got_lost_or_cannot_be_read_makes_it_ask_again_at_once(server: Scripted) -> None:
    for first in (OSError("reset"), answer(body=b"<html>")):
        server.config = deque([first, config(), config()])
        server.seen.clear()
        HeadwindAgent(server, "R52W1").enrol(QR)
        assert [method for method, target, _, _ in server.seen if "configuration" in target] == ["POST", "POST", "GET"]


def test_its_first_start_ends_in_a_dialog_when_it_is_refused_or_finds_nobody(server: Scripted) -> None:
    pauses: list[float] = []
    agent = HeadwindAgent(server, "R52W1", retries=2, pause=pauses.append)
    server.config = refusal("error.ticket")
    with pytest.raises(NotTakenInError) as refused:
        agent.enrol(QR)
    assert (refused.value.status, refused.value.message) == (200, "error.ticket")
    assert pauses == [15, 15]
    server.config = OSError("no route")
    with pytest.raises(OSError, match="no route"):
        agent.enrol(QR)
    assert agent.config is None


# -- an update -------------------------------------------------------------------------------------------------------


def test_an_update_lifts_the_restrictions_and_sets_them_at_its_end(agent: HeadwindAgent, server: Scripted) -> None:
    during: list[set[str]] = []
    server.config = config(applications=[app()])
    server.on_file = lambda: during.append(set(agent.restrictions))
    agent.update()
    assert during == [set()]
    assert agent.restrictions == {"no_add_user"}
    assert agent.found(READER) == Package("1.0")


def test_without_a_network_it_keeps_what_it_has_and_its_restrictions(agent: HeadwindAgent, server: Scripted) -> None:
    for nothing in (OSError("down"), answer(status=404), answer(status=500), answer(body=b"<html>")):
        server.config = nothing
        agent.update()
        assert agent.restrictions == {"no_add_user"}
        assert not agent.is_stranded
    assert len(agent.completed) == 5
    server.config = refusal("error.unknown")
    agent.update()
    assert agent.restrictions == {"no_add_user"}


def test_only_the_word_that_it_is_unknown_leaves_it_without_restrictions(
    agent: HeadwindAgent, server: Scripted
) -> None:
    server.config = refusal("error.notfound.device")
    agent.update()
    assert (agent.is_stranded, agent.restrictions) == (True, set())
    server.config = config()
    agent.update()
    assert (agent.is_stranded, agent.restrictions) == (False, {"no_add_user"})


def test_a_word_where_a_number_should_be_refuses_the_whole_configuration(
    agent: HeadwindAgent, server: Scripted
) -> None:
    agent.is_strict = False
    for bad in ({"timeout": "long"}, {"restrictions": ["no_add_user"]}, {"applications": None}):
        server.config = config(**bad, lock=True, lockMessage="hei")
        agent.update()
        assert (agent.notice, agent.restrictions) == (None, {"no_add_user"})
    server.config = config(timeout="100", unheard_of=1)
    agent.update()
    assert agent.config is not None
    assert agent.config["timeout"] == 100
    with pytest.raises(GarbledError):
        headwind_wire.configuration({"timeout": []})


def test_one_that_checks_signatures_takes_only_what_is_signed_to_the_last_brace(server: Scripted) -> None:
    agent = HeadwindAgent(server, "R52W1", checks_signatures=True)
    agent.enrol(QR)
    good = answer(config(lock=True, lockMessage="Pause"))
    agent.is_strict = False
    for bad in (
        Response(200, good.headers, good.body + b"\n"), Response(200, {}, good.body),
        Response(200, good.headers, json.dumps(dict(sorted(json.loads(good.body).items()))).encode()),
    ):  # fmt: skip
        server.config = bad
        agent.update()
        assert agent.notice is None
    server.config = good
    agent.update()
    assert agent.notice == "Pause"


def test_a_download_that_fails_behind_another_app_stops_the_update_without_restrictions(
    agent: HeadwindAgent, server: Scripted
) -> None:
    agent.in_front = False
    locks = setting(LAUNCHER, "locked_packages", CHROME)
    server.config = config(applications=[app()], applicationSettings=[locks])
    server.files["/hw-files/"] = answer(status=404)
    agent.update()
    assert (agent.stopped_by, agent.restrictions, agent.hidden) == ([READER], set(), set())
    assert len(agent.completed) == 1
    agent.in_front = True  # its user is asked, and goes on without
    agent.update()
    assert (agent.restrictions, agent.hidden) == ({"no_add_user"}, {CHROME})
    server.files["/hw-files/"] = answer(body=b"PK")
    agent.update()
    assert agent.found(READER) is not None


def test_what_was_installed_in_vain_is_not_fetched_again_and_stops_every_later_update(
    agent: HeadwindAgent, server: Scripted
) -> None:
    agent.in_front = False
    agent.uninstallable[READER] = "INCOMPATIBLE"
    server.config, server.rules = config(applications=[app()]), [ALL_LOGS]
    agent.update()
    assert f"{READER} Install failed: INCOMPATIBLE" in server.messages()
    assert len(agent.completed) == 2
    agent.update()
    assert (agent.stopped_by, agent.restrictions) == ([READER], set())
    assert len(of("/hw-files/", server)) == 1
    agent.uninstallable.clear()
    server.polls.append([{"messageType": "clearDownloadHistory", "payload": None}])
    agent.poll()
    agent.update()
    assert agent.found(READER) is not None
    server.config = config(applications=[app(version="2.0", url=URL.replace("-1", "-2"))])
    agent.update()
    assert agent.found(READER) == Package("2.0")


def test_an_update_in_which_it_installs_itself_ends_there_and_begins_anew(
    agent: HeadwindAgent, server: Scripted
) -> None:
    own = app(pkg=LAUNCHER, version="6.37", code=16370)
    server.config = config(applications=[own, app()])
    agent.update()
    assert agent.found(LAUNCHER) == Package("6.37", 16370)
    assert [target.rpartition("/")[2] for target in of("/hw-files/", server)] == [f"{READER}-1.apk"] * 2
    assert len(of("/configuration/", server)) == 2
    assert (agent.restrictions, len(agent.completed)) == ({"no_add_user"}, 2)


def test_what_cannot_be_given_to_the_installer_stops_the_update_at_once(agent: HeadwindAgent, server: Scripted) -> None:
    agent.in_front = False
    agent.unpackable[READER] = "no space"
    server.config, server.rules = config(applications=[app()]), [ALL_LOGS]
    agent.update()
    assert f"Failed to install app {READER}: no space" in server.messages()
    assert (agent.stopped_by, agent.restrictions) == ([READER], set())
    agent.update()
    assert f"Skip download due to previous install failure: {READER}" in server.messages()
    assert agent.stopped_by == [READER, READER]


@pytest.mark.parametrize(
    ("listed", "there", "comes"),
    [
        ({"version": "1.0"}, Package("1.0-beta"), False),
        ({"version": "1.0", "code": 12}, Package("1.0", 11), True),
        ({"version": "9.0", "code": 11}, Package("1.0", 11), False),
        ({"version": "1.10"}, Package("1.9"), True),
        ({"version": "1.9"}, Package("1.10"), False),
        ({"version": "0"}, Package("1.0"), False),
        ({"version": "2.0", "skipVersion": True}, Package("1.0"), False),
        ({"version": "2.0", "url": None}, Package("1.0"), False),
        ({"version": "2.0", "type": "web", "url": BASE}, Package("1.0"), False),
    ],
)
def test_it_fetches_an_app_only_where_what_is_there_is_older_as_it_compares(
    agent: HeadwindAgent, server: Scripted, listed: dict[str, Any], there: Package, *, comes: bool
) -> None:
    agent.packages[READER] = there
    server.config = config(applications=[app(**listed)])
    agent.update()
    assert bool(of("/hw-files/", server)) is comes


def test_apps_are_taken_away_and_made_older_only_where_the_installed_one_is_listed_to_go(
    agent: HeadwindAgent, server: Scripted
) -> None:
    agent.packages[READER] = Package("2.0")
    server.config = config(applications=[app(), app(version="3.0", remove=True, url=None)])
    agent.update()
    assert agent.found(READER) == Package("2.0")
    server.config = config(applications=[app(), app(version="2.0", remove=True, url=None)])
    agent.update()
    assert agent.found(READER) == Package("1.0")
    server.config = config(applications=[app(version="0", remove=True, url=None)])
    agent.update()
    assert READER not in agent.packages


def test_a_hidden_app_is_not_installed_for_the_agent_so_it_is_installed_anew(
    agent: HeadwindAgent, server: Scripted
) -> None:
    agent.packages[READER] = Package("1.0")
    server.config = config(
        applications=[app(url=None)], applicationSettings=[setting(LAUNCHER, "locked_packages", READER)]
    )
    agent.update()
    assert agent.hidden == {READER}
    assert server.last_report()["applications"] == []
    assert agent.icons == []
    unlocks = setting(LAUNCHER, "unlocked_packages", READER)
    server.config = config(applications=[app()], applicationSettings=[unlocks])
    agent.update()
    assert len(of("/hw-files/", server)) == 1  # it was there, and hidden until the end of the update
    assert agent.hidden == set()
    assert agent.icons == [READER]


def test_managed_configuration_is_there_before_all_else_and_stays_until_it_is_given_anew(
    agent: HeadwindAgent, server: Scripted
) -> None:
    agent.in_front = False
    policy = {"URLBlocklist": ["*"], "URLAllowlist": ["nb.no"]}
    server.config = config(
        applicationSettings=[setting(CHROME, "managedConfig", json.dumps(policy))], applications=[app()]
    )
    server.files["/hw-files/"] = OSError("cut off")
    agent.update()
    assert agent.web_policy == policy
    assert agent.stopped_by == [READER]
    server.config = config()
    agent.update()
    assert agent.web_policy == policy
    server.config = config(applicationSettings=[setting(CHROME, "managedConfig", "{}")])
    agent.update()
    assert agent.web_policy == {}


def test_files_come_when_they_are_newer_and_go_when_they_are_told_to(agent: HeadwindAgent, server: Scripted) -> None:
    file = {"path": "/Download/plan.pdf", "url": f"{BASE}/plan.pdf", "lastUpdate": 5}
    server.files["/plan.pdf"] = answer(body=b"one")
    for told in (file, file, file | {"lastUpdate": 6}):
        server.config = config(files=[told])
        agent.update()
    assert len(of("/plan.pdf", server)) == 2
    assert server.last_report()["files"] == [file | {"lastUpdate": 6}]
    server.config = config(files=[file | {"remove": True}])
    agent.update()
    assert agent.files == {}


def test_apps_wait_for_their_hours_and_all_else_does_not(agent: HeadwindAgent, server: Scripted) -> None:
    server.config = config(applications=[app()], appUpdateFrom="22:00", appUpdateTo="05:00", lock=True, lockMessage="x")
    agent.now = lambda: datetime(2026, 9, 14, 12, 0, tzinfo=UTC)
    agent.update()
    assert (agent.found(READER), agent.notice) == (None, "x")
    agent.now = lambda: datetime(2026, 9, 14, 23, 0, tzinfo=UTC)
    agent.update()
    assert agent.found(READER) is not None


# -- what happens once -----------------------------------------------------------------------------------------------


def test_it_restarts_and_is_erased_only_after_its_word_was_taken(agent: HeadwindAgent, server: Scripted) -> None:
    server.config, server.confirms = config(reboot=True, factoryReset=True), 500
    agent.update()
    assert (agent.reboots, agent.wipes, len(agent.completed)) == (0, 0, 2)
    server.confirms = 200
    server.config = deque([config(reboot=True), config()])
    agent.update()
    assert agent.reboots == 1
    assert of("devicereset", server)[-1] == "/hw-e1/rest/plugins/devicereset/public/reboot/R52W1"
    server.config = config(factoryReset=True)
    agent.packages[READER] = Package("1.0")
    agent.update()
    assert (agent.wipes, agent.is_erased, agent.config) == (1, True, None)
    assert READER not in agent.packages
    assert server.seen[-1][3]["factoryReset"] is True


def test_a_restart_whose_flag_stays_up_goes_on_and_on(agent: HeadwindAgent, server: Scripted) -> None:
    server.config = config(reboot=True)
    with pytest.raises(AssertionError, match="restarts again"):
        agent.update()


def test_a_password_is_set_first_and_confirmed_after(agent: HeadwindAgent, server: Scripted) -> None:
    server.config, server.confirms = config(passwordReset="4711"), 500
    agent.update()
    assert agent.password == "4711"
    assert of("/password/", server) == ["/hw-e1/rest/plugins/devicereset/public/password/R52W1"]


def test_it_takes_another_number_and_calls_itself_that(agent: HeadwindAgent, server: Scripted) -> None:
    server.config = config(newNumber="R52W2")
    agent.update()
    server.config = config()
    agent.poll()
    assert server.seen[-1][1].endswith("/polling/R52W2")
    old = headwind_wire.polling_signature("hw-e1", "R52W1")
    assert server.seen[-1][2]["X-Request-Signature"] == old  # a loop that runs keeps its signature


# -- what it tells ---------------------------------------------------------------------------------------------------


def test_it_reports_after_an_update_only_while_it_is_in_front(agent: HeadwindAgent, server: Scripted) -> None:
    server.config = config(applications=[{"name": "fleet:1", "pkg": LAUNCHER, "version": "0"}])
    agent.in_front = False
    agent.update()
    assert of("/sync/info", server) == []
    agent.in_front = True
    agent.update()
    told = server.last_report()
    assert told["applications"] == [{"name": "fleet:1", "pkg": LAUNCHER, "version": "6.36"}]
    assert (told["deviceId"], told["serial"], told["mdmMode"], told["imei"]) == (
        "R52W1",
        "R52W1",
        True,
        "356938035643809",
    )
    assert told["permissions"] == [1, 1, 0, 0]


def test_its_log_goes_at_once_where_a_rule_asks_for_it_and_later_what_could_not_go(
    agent: HeadwindAgent, server: Scripted
) -> None:
    server.rules = [{"packageId": LAUNCHER, "logLevel": 5, "filter": "UPDATE flow"}]
    agent.update()
    agent.update()
    assert server.messages() == ["Update flow completed"] * 2
    server.rules = []
    agent.update()
    assert len(server.messages()) == 2
    server.rules = [{"packageId": LAUNCHER, "logLevel": 1, "filter": ""}]
    agent.update()
    assert len(server.messages()) == 2  # it is not an error
    server.rules, server.files["/hw-e1/rest/plugins/devicelog/log/list"] = [ALL_LOGS], answer(status=500)
    agent.update()
    assert agent.unsent
    del server.files["/hw-e1/rest/plugins/devicelog/log/list"]
    assert agent.send_log()
    assert agent.unsent == []
    assert all(len(body) <= 10 for _, target, _, body in server.seen if "/log/list/" in target)


# -- pushes ----------------------------------------------------------------------------------------------------------


def test_it_waits_for_pushes_and_how_long_it_pauses_depends_on_the_answer(
    agent: HeadwindAgent, server: Scripted
) -> None:
    server.polls.extend(
        [
            [],
            answer(status=503),
            answer(status=429),
            OSError("down"),
            [],
            OSError("down"),
            OSError("down"),
            [{"messageType": "configUpdated", "payload": None}] * 2,
        ]
    )
    pauses = [agent.poll() for _ in range(6)]
    assert pauses == [
        AFTER_ANSWER_S,
        AFTER_ANSWER_S,
        AFTER_4XX_S,
        AFTER_ANSWER_S,
        AFTER_NETWORK_ERROR_S,
        AFTER_ANSWER_S,
    ]
    assert len(of("/configuration/", server)) == 1
    signed = "changeme-C3z9vi54hw-e1/rest/notification/polling/R52W1"
    headers = next(headers for _, target, headers, _ in server.seen if "/polling/" in target)
    assert headers["X-Request-Signature"] == hashlib.sha1(signed.encode()).hexdigest().upper()  # noqa: S324


def test_a_download_is_signed_by_what_stands_after_files(agent: HeadwindAgent, server: Scripted) -> None:
    agent.download(URL)
    wanted = hashlib.sha1(f"changeme-C3z9vi54{READER}-1.apk".encode()).hexdigest().upper()  # noqa: S324
    assert server.seen[-1][2]["X-Request-Signature"] == wanted
    agent.download(f"{BASE}/hw-images/1")
    assert "X-Request-Signature" not in server.seen[-1][2]
