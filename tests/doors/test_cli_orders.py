"""``fleet orders``, ``fleet schools networks`` and ``longest-lesson``."""

import json
from datetime import timedelta

import pytest
from flask import Flask

from fleet import clock, orders
from fleet.access import Grant, Principal, Role
from fleet.db import db, transaction
from fleet.devices import queries as devices
from fleet.devices.models import DeviceLife
from fleet.orders import Order, OrderKind, OrderState, Wish
from fleet.schools.queries import ensure_municipality
from tests import factories as make
from tests.doors.fleet_command import run

REASON = ("--reason", "lå igjen på bussen")
ADMIN = Principal("account", "7", (Grant(Role.MUNICIPAL_ADMIN, None),))


@pytest.fixture(autouse=True)
def school(app: Flask) -> None:
    """Make a school with a class, a pupil with a tablet, a tablet of the class, and an iPad elsewhere."""
    with transaction():
        ensure_municipality("Kjenn")
        made, other = make.school("Kjenn skole"), make.school("Naboskolen")
        of, pupil = make.school_class(made, "8B"), make.pupil(made)
        make.membership(pupil, of)
        make.enrolled(made, person=pupil, serial="AB1", asset_tag="LK-1")
        make.enrolled(made, class_id=of.id, serial="AB2")
        make.enrolled(made, serial="AB3")
        make.device(made, serial="NEW", life=DeviceLife.EXPECTED)
        make.enrolled(other, serial="IPAD", channel="apple")


def rows(app: Flask, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run(app, "orders", "list", *words, "--json").output)
    return found


def test_an_order_is_queued_once_listed_and_shown(app: Flask) -> None:
    words = ["orders", "queue", "message", "--device", "lk-1", "--text", "Hei"]
    queued = run(app, *words, "--life", "30")
    (row,) = rows(app, "--device", "AB1")
    assert queued.output == f"AB1: message is queued (order {row['id']})\n"
    assert (row["kind"], row["state"], row["text"], row["url"], row["wished_by"]) == (
        "message", "queued", "Hei", None, "cli",
    )  # fmt: skip
    assert run(app, *words).output == "AB1: message was waiting already\n"
    assert json.loads(run(app, "orders", "show", str(row["id"]), "--json").output) == row
    shown = run(app, "orders", "show", str(row["id"])).output
    assert "text         Hei\n" in shown
    assert "reason       -\n" in shown
    with transaction():
        order = db.session.get_one(Order, row["id"])
        assert order.expires_at - order.queued_at == timedelta(minutes=30)
        order.state, order.detail = OrderState.FAILED, "\x1b[31mrød"
    listed = run(app, "orders", "list").output
    assert "\\x1b[31mrød" in listed
    assert "\x1b" not in listed


def test_a_class_or_a_school_is_ordered_as_far_as_its_tablets_are_in_use(app: Flask) -> None:
    assert run(app, "orders", "queue", "ring", "--class", "8B").output == "ring is queued for 2 tablet(s)\n"
    again = run(app, "orders", "queue", "ring", "--school", "Kjenn skole")
    assert again.output == "ring is queued for 1 tablet(s); 2 had it waiting already\n"
    told = json.loads(
        run(app, "orders", "queue", "restart", "--class", "8B", "--school", "kjenn skole", "--json").output
    )
    assert ([one["serial"] for one in told["orders"]], told["waiting_already"]) == (["AB1", "AB2"], 0)
    with transaction():
        make.school("Tom skole")
    assert run(app, "orders", "queue", "ring", "--school", "Tom skole").output == "no tablet there is in use\n"
    assert {row["serial"] for row in rows(app, "--class", "8B")} == {"AB1", "AB2"}
    assert len(rows(app, "--school", "Kjenn skole")) == 5
    assert len(rows(app, "--school", "Kjenn skole", "--limit", "3")) == 3
    assert rows(app, "--school", "Naboskolen") == []


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["ring"], 2, "--device, --class or --school"),
        (["ring", "--device", "AB1", "--school", "Kjenn skole"], 2, "leave out --school"),
        (["shout", "--device", "AB1"], 2, "shout"),
        (["ring", "--device", "AB9"], 3, "serial or asset tag AB9"),
        (["ring", "--class", "9Z"], 3, "9Z"),
        (["ring", "--device", "NEW"], 1, "not enrolled (expected)"),
        (["ring", "--device", "AB1", "--text", "Hei"], 1, "leave --text out"),
        (["ring", "--device", "AB1", "--life", "0"], 1, "1 to 10080 minutes: --life"),
        (["message", "--device", "AB1"], 1, "1 to 500 printable characters: --text"),
        (["open-url", "--device", "AB1", "--url", "nrk.no"], 1, "such as https://nrk.no/skole"),
        (["open-app", "--device", "AB1", "--app", "kalender"], 1, "an app id such as no.example.app"),
        (["wipe", "--device", "IPAD"], 1, "a reason of 10 to 500 printable characters: --reason"),
        (["wipe", "--school", "Kjenn skole", *REASON], 2, "one tablet at a time: --device SERIAL"),
        (
            ["wipe", "--device", "AB1", *REASON],
            1,
            "the channel native cannot carry wipe; it carries",
        ),
        (["locate", "--device", "IPAD", *REASON], 1, "only a lost one is located: `scripts/fleet devices lost IPAD`"),
    ],
)
def test_a_wish_that_is_not_clear_or_cannot_be_is_refused_with_the_remedy(
    app: Flask, words: list[str], code: int, told: str
) -> None:
    refused = run(app, "orders", "queue", *words)
    assert (refused.exit_code, refused.stdout) == (code, "")
    assert told in refused.stderr
    assert rows(app) == []


def test_gentle_orders_open_addresses_and_apps(app: Flask) -> None:
    run(app, "orders", "queue", "open-url", "--device", "AB1", "--url", "https://nrk.no/skole")
    run(app, "orders", "queue", "open-app", "--device", "AB1", "--app", "no.example.app")
    assert [(row["url"], row["app"]) for row in rows(app)] == [
        (None, "no.example.app"), ("https://nrk.no/skole", None),
    ]  # fmt: skip


def test_an_order_is_taken_back(app: Flask) -> None:
    run(app, "orders", "queue", "ring", "--device", "AB1")
    (row,) = rows(app, "--open")
    number = str(row["id"])
    assert run(app, "orders", "withdraw", number).output == f"order {number} is withdrawn: ring of AB1\n"
    assert rows(app, "--open") == []
    assert [row["state"] for row in rows(app, "--state", "withdrawn")] == ["withdrawn"]
    again = run(app, "orders", "withdraw", number)
    assert (again.exit_code, again.stderr) == (1, f"fleet: order {number} has ended already (withdrawn)\n")
    assert run(app, "orders", "withdraw", "0").exit_code == 3
    assert run(app, "orders", "show", "0").exit_code == 3
    assert run(app, "orders", "list", "--open", "--state", "done").exit_code == 2
    assert run(app, "orders", "list", "--device", "AB1", "--class", "8B").exit_code == 2


def test_what_the_command_line_asks_for_another_person_approves(app: Flask) -> None:
    queued = run(app, "orders", "queue", "wipe", "--device", "IPAD", *REASON)
    (row,) = rows(app, "--state", "asked")
    number = str(row["id"])
    assert queued.output == (
        f"IPAD: wipe is asked for (order {number}); another person approves it on the page Orders\n"
    )
    refused = run(app, "orders", "approve", number)
    assert (refused.exit_code, "counts as one person" in refused.stderr) == (1, True)
    assert run(app, "orders", "decline", number).output == f"order {number} is declined: wipe of IPAD\n"


def test_the_command_line_approves_what_an_account_asked_for(app: Flask) -> None:
    with transaction():
        device = devices.find_device("IPAD", by=ADMIN)
        wish = Wish(OrderKind.WIPE, reason=REASON[1])
        number = orders.queue([device], wish, by=ADMIN, now=clock.now())[0].id
    assert run(app, "orders", "approve", number).output == f"order {number} is approved and queued: wipe of IPAD\n"
    again = run(app, "orders", "approve", number)
    assert (again.exit_code, "does not wait for another person's yes" in again.stderr) == (1, True)


def test_the_second_person_is_switched_off_and_on(app: Flask) -> None:
    assert run(app, "orders", "second-person").output == "wipe and locate need a second person's yes\n"
    assert run(app, "orders", "second-person", "off").output == "wipe and locate do not need a second person's yes\n"
    assert json.loads(run(app, "orders", "second-person", "show", "--json").output) == {"second_person": False}
    assert "is queued" in run(app, "orders", "queue", "wipe", "--device", "IPAD", *REASON).output
    assert json.loads(run(app, "orders", "second-person", "on", "--json").output) == {"second_person": True}
    lines = json.loads(run(app, "audit", "list", "--json").output)
    assert [line["action"] for line in lines] == [
        "orders.second-person-on", "orders.queued", "orders.second-person-off",
    ]  # fmt: skip


def test_a_schools_networks_are_told_shown_and_forgotten(app: Flask) -> None:
    networks = ["schools", "networks", "kjenn skole"]
    assert run(app, *networks).output.startswith("Kjenn skole: nobody has told its networks")
    told = run(app, *networks, "--set", "10.20.3.4/16, 192.0.2.0/24", "--set", "2001:db8::/48")
    assert told.output == "10.20.0.0/16\n192.0.2.0/24\n2001:db8::/48\n"
    wide = run(app, *networks, "--set", "10.21.0.0/16", "--set", "0.0.0.0/0")
    assert wide.exit_code == 1
    assert (
        wide.stderr
        == "fleet: 0.0.0.0/0 cannot be a school's network: give a school's own range: /8 or narrower for IPv4\n"
    )
    assert run(app, *networks, "--set", ",").exit_code == 1
    assert json.loads(run(app, *networks, "--json").output) == {
        "school": "Kjenn skole", "networks": ["10.20.0.0/16", "192.0.2.0/24", "2001:db8::/48"],
    }  # fmt: skip
    assert run(app, *networks, "--none", "--set", "10.20.0.0/16").exit_code == 2
    assert json.loads(run(app, *networks, "--none", "--json").output)["networks"] is None
    assert run(app, "schools", "networks", "Ukjent").exit_code == 3


def test_a_schools_longest_lesson_is_told_and_shown(app: Flask) -> None:
    words = ["schools", "longest-lesson", "Kjenn skole"]
    assert run(app, *words).output == "Kjenn skole: a lesson lasts at most 120 minutes\n"
    assert run(app, *words, "90").output == "Kjenn skole: a lesson lasts at most 90 minutes\n"
    refused = run(app, *words, "5")
    assert (refused.exit_code, refused.stderr) == (
        1, "fleet: the longest lesson of a school is 15 to 480 minutes, not 5\n",
    )  # fmt: skip
    assert json.loads(run(app, *words, "--json").output) == {"school": "Kjenn skole", "longest_lesson_min": 90}


def test_an_ipad_is_turned_off_updated_and_wiped_so_that_it_comes_back(app: Flask) -> None:
    deadline = (clock.now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    update = ["orders", "queue", "update-system", "--device", "IPAD", "--version", "18.1", "--deadline"]
    assert "is queued" in run(app, *update, deadline).output
    assert "is queued" in run(app, "orders", "queue", "shut-down", "--device", "IPAD").output
    assert "is asked for" in run(app, "orders", "queue", "wipe", "--device", "IPAD", "--come-back", *REASON).output
    wipe, _shut_down, updating = rows(app, "--device", "IPAD")
    assert (wipe["come_back"], updating["version"], updating["deadline"]) == (True, "18.1", deadline)
    for words, told in (
        ([*update, "2020-01-01T08:00"], "a time to come, at most 30 days ahead: --deadline"),
        ([*update, "i morgen"], "a local date and time such as 2026-12-01T08:00: --deadline"),
        (["orders", "queue", "restart", "--device", "IPAD", "--come-back"], "restart has no come-back: leave"),
        (["orders", "queue", "shut-down", "--device", "AB1"], "cannot carry shut-down"),
    ):
        refused = run(app, *words)
        assert told in refused.output


def test_a_lost_ipad_shows_a_text_and_tells_where_it_is(app: Flask) -> None:
    run(app, "orders", "second-person", "off")
    assert "a telephone number" in run(app, "devices", "lost", "IPAD", "--phone", "ring").output
    lost = run(app, "devices", "lost", "IPAD", "--message", "Tilhører skolen", "--phone", "22 33 44 55")
    assert lost.output == "IPAD is reported lost\n"
    run(app, "orders", "queue", "ring", "--device", "IPAD")
    run(app, "orders", "queue", "locate", "--device", "IPAD", *REASON)
    locate = rows(app, "--device", "IPAD")[0]["id"]
    nothing = run(app, "orders", "show", str(locate), "--location")
    assert "has no position" in nothing.output
    with app.app_context(), transaction():
        order = db.session.get_one(Order, locate)
        assert order.device.lost_message == "Tilhører skolen"
        told = {"latitude": 59.91, "longitude": 10.75, "at": clock.now().isoformat()}
        orders.finish(
            order.uid, device_id=order.device_id, state=OrderState.DONE, detail="", result=told, now=clock.now()
        )
    assert "latitude" not in run(app, "orders", "show", str(locate)).output
    assert "59.91" in run(app, "orders", "show", str(locate), "--location").output
    with app.app_context():
        assert len(make.audited(action="orders.location-seen")) == 1
    assert run(app, "devices", "found", "IPAD").output == "IPAD is found: it is in use again\n"
    run(app, "devices", "lost", "AB1")
    assert "enrols with a ticket" in run(app, "devices", "found", "AB1").output
