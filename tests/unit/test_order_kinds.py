"""What kinds of orders need, as pure values: content, permission, channel; and the steps of an order's life."""

import itertools
from typing import Any

import pytest

from agent_protocol.messages import GENTLE_ORDERS
from fleet.access import PERMISSIONS, Permission, Role
from fleet.devices.models import DeviceLife
from fleet.errors import InvalidError
from fleet.orders import Order, OrderClosedError, OrderKind, OrderState, Wish, kinds
from fleet.orders.models import OPEN, STEPS, TRAVELLING

REASON = "mistet på tur"
SOUND: dict[OrderKind, dict[str, Any]] = {
    OrderKind.MESSAGE: {"text": "Hei\nalle"},
    OrderKind.LOCK_MESSAGE: {"text": "x" * 500},
    OrderKind.RING: {},
    OrderKind.RESTART: {},
    OrderKind.REPORT_NOW: {},
    OrderKind.OPEN_URL: {"url": "https://nrk.no/skole?q=a%20b#c"},
    OrderKind.OPEN_APP: {"app": "no.example.app"},
    OrderKind.SHUT_DOWN: {},
    OrderKind.UPDATE_SYSTEM: {"version": "18.1", "deadline": "2026-12-01T08:00"},
    OrderKind.WIPE: {"reason": REASON},
    OrderKind.LOCATE: {"reason": REASON},
    OrderKind.CLEAR_PASSCODE: {"reason": REASON},
}


@pytest.mark.parametrize("kind", list(OrderKind))
def test_what_a_kind_needs_travels_but_not_its_reason(kind: OrderKind) -> None:
    told = SOUND[kind]
    assert Wish(kind, **told).payload() == {name: value for name, value in told.items() if name != "reason"}


FIELDS = ("text", "url", "app", "version", "deadline", "reason")


@pytest.mark.parametrize(("kind", "field"), list(itertools.product(OrderKind, FIELDS)))
def test_a_field_that_a_kind_needs_may_not_be_missing_and_one_that_it_has_not_may_not_be_there(
    kind: OrderKind, field: str
) -> None:
    told = dict(SOUND[kind])
    if field in told:
        del told[field]
    else:
        told[field] = "https://nrk.no"
    with pytest.raises(InvalidError) as refusal:
        Wish(kind, **told).payload()
    assert (refusal.value.data["order_kind"], refusal.value.data["field"]) == (kind.value, field)
    assert (refusal.value.data["expected"] is None) == (field not in SOUND[kind])


def is_refused(wish: Wish) -> bool:
    try:
        wish.payload()
    except InvalidError:
        return True
    return False


@pytest.mark.parametrize("text", ["", "x" * 501, "a\x1b[31m", "a\0", "a\u202eb"])
def test_a_text_that_is_empty_too_long_or_not_printable_is_refused(text: str) -> None:
    assert is_refused(Wish(OrderKind.MESSAGE, text))


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.5:8080/", "HTTPS://nrk.no", "https://xn--blbr-roah.no/", "https://[2001:db8::1]/x", "https://nrk.no./",
        "https://nrk.no/" + "x" * 1985, "https://nrk.no/a@b", "https://nrk.no?next=https://b.no",
    ],
)  # fmt: skip
def test_web_addresses_are_taken(url: str) -> None:
    assert Wish(OrderKind.OPEN_URL, url=url).payload() == {"url": url}


@pytest.mark.parametrize(
    "url",
    [
        "", "nrk.no", "//nrk.no", "https:nrk.no", "https://", "https:///skole", "ftp://nrk.no", "javascript:alert(1)",
        "file:///etc/passwd", "https://user@nrk.no", "https://user:word@nrk.no", "https://nrk.no@evil.no",
        "https://nrk.no\\@evil.no", "https://nrk .no", "https://nrk.no/ø", "https://nrk.no/\n", " https://nrk.no",
        "https://nrk.no:99999", "https://nrk.no:x", "https://nrk.no:0", "https://[nrk.no]", "https://[2001:db8::1",
        "https://-nrk.no", "https://nrk..no", "https://%6erk.no", "https://:80/", "https://nrk.no/" + "x" * 1986,
    ],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    assert is_refused(Wish(OrderKind.OPEN_URL, url=url))


@pytest.mark.parametrize("app", ["", "app", "no.example.app ", "no.example/app", "no." + "x" * 153])
def test_what_is_no_app_id_is_refused(app: str) -> None:
    assert is_refused(Wish(OrderKind.OPEN_APP, app=app))


@pytest.mark.parametrize("reason", ["", "x" * 9, " " * 20, "x" * 501, "mistet på\x1b[2Jtur"])
def test_a_reason_too_short_too_long_or_not_printable_is_refused(reason: str) -> None:
    assert is_refused(Wish(OrderKind.WIPE, reason=reason))


def test_a_reason_of_either_length_is_taken() -> None:
    assert not is_refused(Wish(OrderKind.WIPE, reason="x" * 10))
    assert not is_refused(Wish(OrderKind.WIPE, reason="x" * 500))


@pytest.mark.parametrize("version", ["18", "18.1", "18.1.1", "126.0.10"])
def test_versions_of_a_system_are_taken(version: str) -> None:
    assert not is_refused(Wish(OrderKind.UPDATE_SYSTEM, version=version, deadline="2026-12-01T08:00"))


@pytest.mark.parametrize("version", ["", "18.", "18.1.1.1", "iOS 18", "18.1 ", "1234", "१८"])
def test_what_is_no_version_is_refused(version: str) -> None:
    assert is_refused(Wish(OrderKind.UPDATE_SYSTEM, version=version, deadline="2026-12-01T08:00"))


@pytest.mark.parametrize(
    "deadline", ["", "2026-12-01", "2026-13-01T08:00", "2026-12-01T24:30", "2026-12-01T08:00Z", "2026-12-01 08:00"]
)
def test_what_is_no_local_date_and_time_is_refused(deadline: str) -> None:
    assert is_refused(Wish(OrderKind.UPDATE_SYSTEM, version="18.1", deadline=deadline))


def test_only_a_wiped_tablet_comes_back_and_that_travels() -> None:
    assert Wish(OrderKind.WIPE, reason=REASON, come_back=True).payload() == {"come_back": True}
    with pytest.raises(InvalidError) as refusal:
        Wish(OrderKind.RESTART, come_back=True).payload()
    assert (refusal.value.data["field"], refusal.value.data["expected"]) == ("come_back", None)


def test_the_kinds_of_lessons_are_those_that_the_native_protocol_lets_travel_without_keys_of_their_own() -> None:
    assert {kind.value for kind in kinds.IN_LESSONS} == GENTLE_ORDERS
    assert kinds.carries("native", DeviceLife.ENROLLED) == kinds.IN_LESSONS
    assert {kind.value for kind in kinds.GENTLE - kinds.IN_LESSONS} == {"shut-down", "update-system"}
    assert {kind.value for kind in kinds.PRIVILEGED} == {"wipe", "locate", "clear-passcode"}
    assert kinds.NEED_SECOND_PERSON < kinds.PRIVILEGED
    assert kinds.NEWEST_COUNTS < kinds.GENTLE


def test_only_a_lost_ipad_tells_where_it_is_or_makes_itself_heard_and_it_does_little_else() -> None:
    lost, in_use = kinds.carries("apple", DeviceLife.LOST), kinds.carries("apple", DeviceLife.ENROLLED)
    assert lost == {OrderKind.LOCATE, OrderKind.RING, OrderKind.WIPE}
    assert lost & in_use == {OrderKind.WIPE}
    for channel in ("native", "headwind", "none", None):
        assert kinds.carries(channel, DeviceLife.LOST) == frozenset()
    assert kinds.lives("apple", OrderKind.WIPE) == {DeviceLife.ENROLLED, DeviceLife.LOST}
    assert kinds.lives("native", OrderKind.WIPE) == frozenset()


def test_no_teacher_may_order_by_role_alone_and_both_administrators_may_everything() -> None:
    needed = {kinds.permission(kind) for kind in OrderKind}
    assert needed == {Permission.ORDER_GENTLE, Permission.ORDER_PRIVILEGED}
    assert not needed & PERMISSIONS[Role.TEACHER]
    assert needed <= PERMISSIONS[Role.SCHOOL_IT]
    assert needed <= PERMISSIONS[Role.MUNICIPAL_ADMIN]


LIFE = [
    "asked queued", "asked declined", "asked expired", "asked withdrawn",
    "queued sent", "queued done", "queued failed", "queued refused", "queued expired", "queued withdrawn",
    "sent done", "sent failed", "sent refused", "sent expired", "sent withdrawn",
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), list(itertools.product(OrderState, OrderState)))
def test_an_order_takes_the_steps_of_its_life_and_no_other(before: OrderState, after: OrderState) -> None:
    order = Order(state=before)
    if f"{before} {after}" in LIFE:
        order.step(after)
        assert order.state is after
    else:
        with pytest.raises(OrderClosedError):
            order.step(after)
        assert order.state is before


def test_every_state_stands_in_the_table_and_is_reached() -> None:
    assert STEPS.keys() == set(OrderState)
    begin = {OrderState.ASKED, OrderState.QUEUED}
    assert begin.union(*STEPS.values()) == set(OrderState)
    assert {state.value for state in OPEN} == {"asked", "queued", "sent"}
    assert {state.value for state in TRAVELLING} == {"queued", "sent"}
