"""What kinds of orders need, as pure values: content, permission, channel; and the steps of an order's life."""

import itertools

import pytest

from agent_protocol.messages import GENTLE_ORDERS
from fleet.access import PERMISSIONS, Permission, Role
from fleet.errors import InvalidError
from fleet.orders import Order, OrderClosedError, OrderKind, OrderState, Wish, kinds
from fleet.orders.models import OPEN, STEPS, TRAVELLING

REASON = "mistet på tur"
SOUND = {
    OrderKind.MESSAGE: {"text": "Hei\nalle"},
    OrderKind.LOCK_MESSAGE: {"text": "x" * 500},
    OrderKind.RING: {},
    OrderKind.RESTART: {},
    OrderKind.REPORT_NOW: {},
    OrderKind.OPEN_URL: {"url": "https://nrk.no/skole?q=a%20b#c"},
    OrderKind.OPEN_APP: {"app": "no.example.app"},
    OrderKind.WIPE: {"reason": REASON},
    OrderKind.LOCATE: {"reason": REASON},
    OrderKind.CLEAR_PASSCODE: {"reason": REASON},
}


@pytest.mark.parametrize("kind", list(OrderKind))
def test_what_a_kind_needs_travels_but_not_its_reason(kind: OrderKind) -> None:
    told = SOUND[kind]
    assert Wish(kind, **told).payload() == {name: value for name, value in told.items() if name != "reason"}


@pytest.mark.parametrize(("kind", "field"), list(itertools.product(OrderKind, ("text", "url", "app", "reason"))))
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


def test_gentle_kinds_are_those_that_the_native_protocol_lets_travel_without_keys_of_their_own() -> None:
    assert {kind.value for kind in kinds.GENTLE} == GENTLE_ORDERS
    assert kinds.CARRIES["native"] == kinds.GENTLE
    assert {kind.value for kind in kinds.PRIVILEGED} == {"wipe", "locate", "clear-passcode"}
    assert kinds.NEED_SECOND_PERSON < kinds.PRIVILEGED
    assert kinds.NEWEST_COUNTS < kinds.GENTLE


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
