"""Licences of apps with Apple: the token, the client, and rounds against a stand-in of the service, over real HTTP."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Principal
from fleet.apps import licences
from fleet.apps.licence_models import AppLicence
from fleet.apps.licence_rounds import Limits, Part
from fleet.apps.models import App
from fleet.channels.apple import licence_errand
from fleet.channels.apple.licences import AppsAndBooks, LicencesError, Owner, RefusedError
from fleet.channels.apple.steward import Errand, Steward
from fleet.crypto import vault_key
from fleet.db import db, transaction
from fleet.devices import life
from fleet.devices.models import Device, Platform
from fleet.mdm import errands
from fleet.mdm.licence_token import LicenceTokenKeeper
from tests import apps_and_books, factories
from tests.apps_and_books import Asset, Service, token_file
from tests.conftest import NOW
from tests.doors.fleet_command import run

pytestmark = pytest.mark.serves
MAPS, PAINT = 408709785, 361285480
BY = Principal.command_line()
SOON, REGULAR = timedelta(seconds=30), timedelta(minutes=15)


@pytest.fixture
def service() -> Iterator[Service]:
    with apps_and_books.running() as made:
        made.assets = {MAPS: Asset(150), PAINT: Asset(10)}
        yield made


@pytest.fixture
def client(service: Service) -> AppsAndBooks:
    return AppsAndBooks("token", base_url=service.base_url, now=lambda: NOW)


class World:
    """A server's steward with one errand, a clock that is set, and the stand-in."""

    def __init__(self, app: Flask, service: Service, folder: Path) -> None:
        self.app, self.service, self.now = app, service, NOW
        self.keeper = LicenceTokenKeeper(folder, vault_key(folder / "vault.key", may_create=True))
        with transaction():
            brought = token_file(expires_at=NOW + timedelta(days=300))
            self.keeper.take(brought, other_organisation=False, by=BY, now=NOW)

    def errand(self) -> Errand:
        return licence_errand.errand(
            self.app, self.keeper, now=lambda: self.now,
            connect=lambda token: AppsAndBooks(token, base_url=self.service.base_url, now=lambda: self.now),
        )  # fmt: skip

    def round(self, after: timedelta = timedelta(0)) -> bool:
        """Let time pass, and have the errand done if it is due."""
        self.now += after
        return Steward(self.app, [], now=lambda: self.now).do(self.errand())

    def rounds(self, number: int = 3) -> None:
        for _ in range(number):
            self.round(SOON)

    def failure(self) -> str | None:
        found = errands.standing(errands.LICENCES)
        assert found is not None
        return found.failure

    def want(self, device_ids: list[int], *store_ids: int) -> None:
        with transaction():
            for one in device_ids:
                licences.want(one, store_ids, now=self.now)
            errands.hurry(errands.LICENCES, now=self.now)

    def states(self) -> Counter[str]:
        rows = db.session.query(AppLicence).populate_existing()
        return Counter(f"{one.state}: {one.reason}" if one.reason else str(one.state) for one in rows)


@pytest.fixture
def world(app: Flask, service: Service, tmp_path: Path) -> World:
    return World(app, service, tmp_path)


def ipads(number: int) -> list[int]:
    with transaction():
        school = factories.school()
        return [factories.device(school, serial=f"IPAD{one:04}").id for one in range(number)]


# -- the client ---------------------------------------------------------------------------------------------------------


def part(*serials: str, gives_back: bool = False) -> Part:
    return Part({MAPS: "STDQ"}, serials, {(MAPS, one): 1 for one in serials}, gives_back)


def test_the_client_says_what_the_service_says(client: AppsAndBooks, service: Service) -> None:
    assert client.owner() is None
    client.claim(Owner("us", "Fleet"), "https://fleet.example")
    assert client.owner() == Owner("us", "Fleet")
    assert client.limits() == Limits(25, 1_000)
    assert {one.store_id: (one.total, one.available) for one in client.stock()} == {MAPS: (150, 150), PAINT: (10, 10)}
    event_id = client.ask(part("A", "B"))
    assert not client.event(event_id).is_over
    assert client.event(event_id).is_done
    assert client.holders(MAPS) == (frozenset({"A", "B"}), True)
    assert service.tokens == {"token"}


def test_a_long_list_comes_in_pages_and_one_that_changes_meanwhile_is_not_whole(
    client: AppsAndBooks, service: Service
) -> None:
    service.page_size = 3
    service.assets[MAPS].serials = [f"S{number}" for number in range(8)]
    assert client.holders(MAPS) == (frozenset(service.assets[MAPS].serials), True)
    assert [one.asked.get("pageIndex") for one in service.asked("/assignments")] == [None, "1", "2"]
    service.restless = True
    assert client.holders(MAPS)[1] is False


@pytest.mark.parametrize(
    ("status", "number", "headers", "reason", "after_s"),
    [
        (200, 9622, {}, "token-refused", None),
        (401, 9621, {}, "token-expired", None),
        (401, 9625, {}, "token-revoked", None),
        (403, 9637, {}, "not-allowed", None),
        (429, 9646, {}, "busy", None),
        (429, 9646, {"Retry-After": "120"}, "busy", 120),
        (503, 9729, {"Retry-After": "3600"}, "busy", 3600),
        (500, 9603, {"Retry-After": "soon"}, "busy", None),
    ],
)
def test_what_goes_wrong_has_a_reason_and_a_wait(
    client: AppsAndBooks,
    service: Service,
    status: int,
    number: int,
    headers: dict[str, str],
    reason: str,
    after_s: int | None,
) -> None:
    service.answers = [(status, apps_and_books.error(number), headers)]
    with pytest.raises(LicencesError) as raised:
        client.stock()
    assert (raised.value.reason, raised.value.after) == (reason, timedelta(seconds=after_s) if after_s else None)


def test_what_can_never_be_is_refused_and_what_is_no_answer_is_not_believed(
    client: AppsAndBooks, service: Service
) -> None:
    service.assets[MAPS].is_for_devices = False
    with pytest.raises(RefusedError) as refused:
        client.ask(part("A"))
    assert (refused.value.reason, refused.value.number) == ("not-for-devices", 9707)
    service.answers = [(200, {"assets": "many"}, {})]
    with pytest.raises(LicencesError, match="answer"):
        client.stock()
    service.mute = 1
    service.assets[MAPS].is_for_devices = True
    with pytest.raises(LicencesError, match="unreachable") as lost:
        client.ask(part("A"))
    assert lost.value.may_have_heard
    nobody = AppsAndBooks("token", base_url="http://127.0.0.1:9", now=lambda: NOW)
    with pytest.raises(LicencesError, match="unreachable") as away:
        nobody.ask(part("A"))
    assert not away.value.may_have_heard


def test_absurd_words_of_the_service_are_passed_over_or_no_answer(client: AppsAndBooks, service: Service) -> None:
    sound: dict[str, object] = service.counts(MAPS)
    odd: list[dict[str, object]] = [
        {"adamId": "x"},
        {"adamId": "9" * 40},
        {"totalCount": 2**40},
        {"pricingParam": "x" * 99},
        {"adamId": "1\0"},
    ]
    service.answers = [(200, {"assets": [*({**sound, **one} for one in odd), sound]}, {})]
    assert [one.store_id for one in client.stock()] == [MAPS]
    service.answers = [(200, {"assignments": [{"serialNumber": "A\0"}, {"serialNumber": "B"}]}, {})]
    assert client.holders(MAPS)[0] == {"B"}
    for event_id in ("", "x" * 65, "a\0"):
        service.answers = [(200, {"eventId": event_id}, {})]
        with pytest.raises(LicencesError, match="answer") as raised:
            client.ask(part("A"))
        assert raised.value.may_have_heard
    service.max_assets = 0
    with pytest.raises(LicencesError, match="answer"):
        client.limits()


# -- rounds -------------------------------------------------------------------------------------------------------------


def test_of_two_hundred_ipads_as_many_get_an_app_as_licences_were_bought(world: World) -> None:
    tablets = ipads(200)
    world.service.max_serials = 100
    world.want(tablets, MAPS)
    assert world.round()
    assert world.states() == {"wanted": 150, "failed: none-left": 50}
    world.rounds()
    assert world.states() == {"assigned": 150, "failed: none-left": 50}
    assert [len(one.told["serialNumbers"]) for one in world.service.asked("/assets/associate")] == [100, 50]
    assert licences.assigned(tablets[0]) == {MAPS}
    assert licences.reasons(tablets[199]) == {MAPS: "none-left"}
    assert not world.round(timedelta(minutes=1)), "the next is due in a quarter of an hour"


def test_what_retired_ipads_give_back_the_waiting_get(world: World) -> None:
    tablets = ipads(200)
    world.want(tablets, MAPS)
    world.rounds()
    with transaction():
        for one in tablets[:7]:
            life.step(db.session.get_one(Device, one), "retire", by=BY, now=world.now)
    world.round(REGULAR)
    world.rounds()
    world.round(REGULAR)
    world.rounds()
    assert world.states() == {"assigned": 150, "failed: none-left": 43}
    assert "IPAD0000" not in world.service.assets[MAPS].serials
    assert "IPAD0150" in world.service.assets[MAPS].serials


def test_an_outage_is_told_and_what_waits_is_asked_for_afterwards(world: World) -> None:
    world.want(ipads(3), MAPS)
    world.service.answers = [(503, {}, {"Retry-After": "600"})]
    world.round()
    assert world.failure() == "busy"
    assert not world.round(timedelta(minutes=9)), "it asked to be left alone for ten minutes"
    world.round(timedelta(minutes=2))
    world.rounds()
    assert (world.failure(), world.states()) == (None, {"assigned": 3})


def test_a_token_that_apple_refuses_is_told(world: World) -> None:
    world.want(ipads(1), MAPS)
    world.service.token_fault = (200, 9622)
    world.round()
    assert (world.failure(), world.states()) == ("token-refused", {"wanted": 1})


def test_too_many_requests_in_the_middle_lose_nothing(world: World) -> None:
    world.want(ipads(4), MAPS, PAINT)
    world.service.max_assets = 1
    world.round()  # claims
    world.want([], MAPS)
    real = world.service.answer
    turned_away = iter([False, True])

    def sometimes(request: apps_and_books.Request) -> tuple[int, dict[str, object]]:
        if request.path == "/status" and next(turned_away, False):
            return 429, apps_and_books.error(9646)
        return real(request)

    world.service.answer = sometimes  # type: ignore[method-assign]
    world.round(SOON)
    assert world.failure() == "busy"
    world.round(timedelta(minutes=1))
    world.rounds()
    assert world.states() == {"assigned": 8}


def test_an_answer_that_is_lost_is_looked_up_and_nobody_gets_two(world: World) -> None:
    world.want(ipads(5), MAPS)
    world.service.mute, world.service.looks = 1, 0
    world.round()
    assert (world.failure(), world.states()) == ("unreachable", {"wanted": 5})
    world.round(timedelta(minutes=1))
    assert world.states() == {"assigned": 5}
    assert len(world.service.asked("/assets/associate")) == 1


def test_what_a_killed_server_asked_for_and_apple_has_not_done_yet_is_asked_for_again(world: World) -> None:
    world.want(ipads(5), MAPS)
    world.service.mute = 1
    world.round()
    world.round(timedelta(minutes=1))
    world.service.catch_up()
    world.rounds()
    assert world.states() == {"assigned": 5}
    assert len(world.service.assets[MAPS].serials) == 5


def test_an_event_that_never_ends_is_looked_up_in_the_end(world: World) -> None:
    world.service.looks = 10_000
    world.want(ipads(2), MAPS)
    world.rounds(12)
    assert world.states() == {"wanted": 2}
    assert not world.round(SOON), "Apple is not asked every half minute for ever"
    world.service.assets[MAPS].serials.append("IPAD0001")
    world.service.looks = 0
    world.round(timedelta(hours=12))
    world.round(REGULAR)
    assert world.states() == {"assigned": 2}


@pytest.mark.parametrize("names", [True, False])
def test_an_event_that_failed_in_part_is_settled_by_who_has_a_licence(world: World, names: bool) -> None:
    service = world.service
    service.names_failures, service.unknown = names, {"IPAD0000"}
    world.want(ipads(4), PAINT)
    world.round()
    service.assets[PAINT].total = 2  # bought back while it was at it
    world.rounds()
    assert world.states() == {"assigned": 2, "failed: refused": 1, "failed: none-left": 1}


def test_one_app_that_tablets_may_not_have_keeps_no_other_back(world: World) -> None:
    world.want(ipads(2), MAPS, PAINT)
    real = world.service.counts
    world.service.counts = lambda number: {**real(number), "deviceAssignable": True}  # type: ignore[method-assign]
    world.service.assets[PAINT].is_for_devices = False
    world.rounds(4)
    assert world.states() == {"assigned": 2, "failed: not-for-devices": 2}


def test_an_app_that_was_never_bought_is_not_asked_for(world: World) -> None:
    world.want(ipads(2), 99)
    world.round()
    assert world.states() == {"failed: not-bought": 2}
    assert world.service.asked("/assets/associate") == []
    world.service.assets[99] = Asset(5)
    world.round(REGULAR)
    world.rounds()
    assert world.states() == {"assigned": 2}


def test_once_a_day_what_stands_here_is_what_apple_has(world: World) -> None:
    tablets = ipads(4)
    world.want(tablets[:2], MAPS)
    world.rounds(4)
    world.service.assets[MAPS].serials = ["IPAD0001", "IPAD0003", "STRANGER"]
    world.round(timedelta(days=1, minutes=1))
    assert licences.assigned(tablets[1]) == licences.assigned(tablets[3]) == {MAPS}
    assert world.states() == {"assigned": 2, "wanted": 1}
    world.round(REGULAR)
    world.rounds()
    assert world.states() == {"assigned": 3}
    with transaction():
        licences.release(tablets[3], now=world.now)
    world.round(REGULAR)
    world.rounds()
    assert sorted(world.service.assets[MAPS].serials) == ["IPAD0000", "IPAD0001", "STRANGER"]


def test_licences_that_another_service_manages_are_left_alone_until_they_are_claimed(world: World) -> None:
    world.service.mdm = {"id": "other", "name": "Another MDM", "metadata": "1"}
    world.want(ipads(1), MAPS)
    world.round()
    assert world.failure() == "other-service Another MDM"
    assert world.service.asked("/assets/associate") == []
    with transaction():
        world.keeper.claim(by=BY, now=world.now)
        errands.hurry(errands.LICENCES, now=world.now)
    world.round()
    world.rounds()
    assert world.states() == {"assigned": 1}
    assert world.service.mdm["id"] == world.keeper.our_id
    world.service.mdm = {"id": "other", "name": "Another MDM", "metadata": "1"}
    world.round(REGULAR)
    assert world.failure() == "other-service Another MDM", "what was claimed once is not claimed for ever"


def test_without_a_token_nothing_is_asked_and_with_one_that_has_run_out_it_is_said(
    app: Flask, service: Service, tmp_path: Path
) -> None:
    world = World(app, service, tmp_path)
    world.now = NOW + timedelta(days=301)
    world.round()
    assert world.failure() == "token-expired"
    (tmp_path / "licence-token.sealed").unlink()
    world.round(timedelta(days=1))
    assert (world.failure(), service.requests) == (None, [])


# -- the command line ---------------------------------------------------------------------------------------------------


def bring(app: Flask, folder: Path, content: bytes, *options: str) -> tuple[int, str]:
    file = folder / "school.vpptoken"
    file.write_bytes(content)
    result = run(app, "apple", "licences-token", str(file), *options)
    return result.exit_code, result.output


@pytest.fixture
def _no_token(app: Flask) -> Iterator[None]:
    path = app.extensions["fleet_config"].secrets_dir / "licence-token.sealed"
    path.unlink(missing_ok=True)
    yield
    path.unlink(missing_ok=True)


@pytest.mark.usefixtures("_no_token")
def test_a_token_is_brought_and_renewed_and_another_organisations_only_on_purpose(app: Flask, tmp_path: Path) -> None:
    now = clock.now()
    assert "no token" in run(app, "apple", "status").output
    assert run(app, "apple", "licences-claim", "--yes").exit_code == 3
    assert bring(app, tmp_path, token_file(expires_at=now + timedelta(days=300, minutes=1)))[0] == 0
    entry = factories.audited(1)[0]
    assert (entry.action, set(entry.fields)) == ("mdm.licence-token-set", {"ends_at"})
    told = json.loads(run(app, "apple", "status", "--json").output)["licences"]
    assert (told["organisation"], told["days_left"]) == ("Prøvekommune", 300)
    assert bring(app, tmp_path, token_file(expires_at=now + timedelta(days=400)))[0] == 0
    other = token_file(expires_at=now + timedelta(days=400), organisation="Nabokommune")
    code, output = bring(app, tmp_path, other)
    assert (code, "is of Nabokommune" in output) == (1, True), output
    assert bring(app, tmp_path, other, "--yes")[0] == 0
    assert run(app, "apple", "licences-claim").exit_code == 2
    assert run(app, "apple", "licences-claim", "--yes").exit_code == 0


@pytest.mark.usefixtures("_no_token")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (token_file(expires_at=datetime(2020, 1, 1, tzinfo=UTC)), "has run out"),
        (token_file(expires_at=datetime(2099, 1, 1)), "no token"),  # noqa: DTZ001 (an instant without a zone is none)
        (token_file(expires_at=datetime(2099, 1, 1, tzinfo=UTC), but={"token": 7}), "no token"),
        (b"e30=", "no token"),
        (b"\xff\xfe", "no token"),
        (b"", "no token"),
    ],
)
def test_what_is_no_token_that_counts_is_refused(app: Flask, tmp_path: Path, content: bytes, words: str) -> None:
    code, output = bring(app, tmp_path, content)
    assert (code, words in output) == (1, True), output


def test_the_licences_of_each_app_are_listed(world: World) -> None:
    with transaction():
        db.session.add(
            App(
                app_id="no.example.maps", platform=Platform.IPADOS, name="Kart", store_id=MAPS, is_licensed=True,
                created_at=NOW, changed_at=NOW,
            )
        )  # fmt: skip
    world.want(ipads(3), MAPS, PAINT)
    world.service.assets[MAPS].total = 2
    world.round()
    rows = {row["store_id"]: row for row in json.loads(run(world.app, "apple", "licences", "--json").output)}
    assert (rows[MAPS]["app"], rows[MAPS]["bought"], rows[MAPS]["waiting"], rows[MAPS]["lacking"]) == ("Kart", 2, 2, 1)
    assert (rows[PAINT]["app"], rows[PAINT]["waiting"]) == (None, 3)
    assert "Kart" in run(world.app, "apple", "licences").output
