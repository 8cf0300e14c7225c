"""Alerts: what may not be lost, held up by something else, or told to somebody whom it does not concern."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Role
from fleet.alerts import hook_messages, mail_server, retention, webhooks
from fleet.alerts.hook_messages import Claimed
from fleet.alerts.mail_server import Settings
from fleet.alerts.models import (
    AlertDelivery,
    AlertEvent,
    AlertTopic,
    HookMessage,
    HookState,
    Letter,
    LetterState,
    MailSecurity,
    Webhook,
)
from fleet.compliance.models import Incident, IncidentCause, IncidentMember, Severity
from fleet.db import changed, db, transaction
from fleet.devices.models import Device
from fleet.people.models import Account
from fleet.schools.models import School
from tests import factories
from tests.conftest import NOW
from tests.domain.test_alerts import BY, VAULT, Town

EVENING = datetime(2026, 9, 14, 20, 0, tzinfo=UTC)


@pytest.fixture
def town(app: Flask) -> Town:
    return Town(app)


def it_at(name: str, school: School) -> Account:
    made = factories.account(name, (Role.SCHOOL_IT, school))
    made.email = f"{name}@prove.example"
    return made


def everywhere(**members: Device) -> Incident:
    made = Incident(cause=IncidentCause.EVERYWHERE, about={}, began_at=NOW, opened_at=NOW, most=9, of=20)
    db.session.add(made)
    db.session.flush()
    db.session.add_all(
        [IncidentMember(incident_id=made.id, device_id=one.id, joined_at=NOW) for one in members.values()]
    )
    db.session.flush()
    return made


@pytest.mark.parametrize("state", [LetterState.SENDING, LetterState.SENT, LetterState.FAILED, LetterState.EMPTY])
def test_a_letter_that_is_gone_or_going_takes_nothing_in_any_more(town: Town, state: LetterState) -> None:
    town.finding()
    town.plans()
    with transaction():  # by a server whose clock is ahead, or before the reader chose a later time of the same day
        db.session.scalars(select(Letter)).one().state = state
    town.finding()
    town.finding()
    assert town.plans().letters == 1
    query = select(Letter.state).join(AlertDelivery).order_by(AlertDelivery.event_id)
    assert db.session.scalars(query).all() == [state, LetterState.WAITING, LetterState.WAITING]


def test_an_incident_everywhere_concerns_those_whose_tablets_are_in_it(town: Town) -> None:
    with transaction():
        other, third = factories.school("Andre"), factories.school("Tredje")
        it_at("it2", other)
        it_at("it3", third)
        made = everywhere(a=factories.device(town.school), b=factories.device(other))
        changed("incident", [made.id], now=NOW)
    town.plans(EVENING)
    assert town.told() == {who: ["at-once Mon 22:02 incidents everywhere"] for who in ("it", "it2", "admin")}


def test_an_incident_that_widens_is_told_as_what_it_is_now(town: Town) -> None:
    with transaction():
        other = factories.school("Andre")
        it_at("it2", other)
    made = Incident(
        school_id=town.school.id, cause=IncidentCause.SCHOOL, about={}, began_at=NOW, opened_at=NOW, most=9, of=20
    )
    town.adds("incident", made)
    town.plans()
    assert "it2" not in town.told()
    with transaction():
        db.session.add(IncidentMember(incident_id=made.id, device_id=factories.device(other).id, joined_at=NOW))
    town.sets("incident", made, cause=IncidentCause.EVERYWHERE, school_id=None, most=60, of=80)
    town.plans()
    assert town.told()["it2"] == ["at-once Mon 10:17 incidents everywhere"]
    event = db.session.scalars(select(AlertEvent)).one()
    assert (event.kind, event.school_id, event.detail["most"]) == ("everywhere", None, 60)


def test_what_is_found_on_a_tablet_goes_with_it_to_another_school(town: Town) -> None:
    with transaction():
        other = factories.school("Andre")
        it_at("it2", other)
    finding = town.finding(kind="missing", severity=Severity.SERIOUS)
    town.plans()
    assert list(town.told()) == ["it"]
    with transaction():
        device = db.session.get_one(Device, finding.device_id)
        device.school_id, device.class_id = other.id, None
        changed("device", [device.id], now=NOW)
    town.plans()
    assert town.told()["it2"] == ["at-once Mon 10:17 missing missing"]
    event = db.session.scalars(select(AlertEvent)).one()
    assert (event.school_id, event.class_id) == (other.id, None)


class Hooked:
    """A webhook that hears of findings."""

    def __init__(self, name: str = "x", topic: AlertTopic = AlertTopic.FINDINGS) -> None:
        with transaction():
            draft = webhooks.Draft(name, "https://example.no/", [topic])
            self.webhook: Webhook = webhooks.create(draft, vault_key=VAULT, by=BY, now=NOW).webhook

    def told(self) -> list[str]:
        query = select(HookMessage.what).where(HookMessage.webhook_id == self.webhook.id).order_by(HookMessage.id)
        return list(db.session.scalars(query))

    @staticmethod
    def claims(now: datetime = NOW, vault: bytes = VAULT) -> Claimed | None:
        with transaction():
            return hook_messages.claim(vault_key=vault, now=now)


def test_a_webhook_hears_again_of_what_begins_again(town: Town) -> None:
    hooked = Hooked()
    finding = town.finding()
    for closed_at in (NOW, None, NOW):
        town.plans()
        town.sets("finding", finding, closed_at=closed_at)
    town.plans()
    assert hooked.told() == ["alert.raised", "alert.ended"] * 2


def test_a_webhook_hears_the_end_of_what_it_has_heard_the_beginning_of_and_of_nothing_else(town: Town) -> None:
    heard, rested = (Hooked(name, AlertTopic.SERIOUS) for name in ("x", "y"))
    with transaction():
        webhooks.switch(rested.webhook.id, is_on=False, by=BY, now=NOW)
    finding = town.finding(severity=Severity.SERIOUS)
    town.plans()
    town.sets("finding", finding, severity=Severity.WARNING)  # of another topic now
    with transaction():
        webhooks.switch(rested.webhook.id, is_on=True, by=BY, now=NOW)
        for message in db.session.scalars(select(HookMessage)):
            message.state, message.ended_at = HookState.SENT, NOW
    long_after = NOW + timedelta(days=200)
    with transaction():
        retention.forget(older_than=timedelta(days=90), now=long_after, at_most=100)
    town.sets("finding", finding, closed_at=long_after, now=long_after)
    town.plans(long_after)
    assert (heard.told(), rested.told()) == (["alert.raised", "alert.ended"], [])


def test_an_end_waits_until_the_beginning_has_arrived(town: Town) -> None:
    hooked = Hooked()
    finding = town.finding()
    town.plans()
    raised = hooked.claims()
    assert raised is not None
    with transaction():
        hook_messages.failed(raised, "answered 500", status=500, now=NOW)
    town.sets("finding", finding, closed_at=NOW)
    town.plans()
    assert hooked.told() == ["alert.raised", "alert.ended"]
    assert hooked.claims() is None
    later = NOW + timedelta(seconds=6)
    again = hooked.claims(later)
    assert again is not None
    assert again.uid == raised.uid
    with transaction():
        hook_messages.sent(again, 204, now=later)
    assert hooked.claims(later) is not None


def test_a_secret_that_cannot_be_opened_holds_up_no_other_webhook(town: Town) -> None:
    locked, sound = Hooked("a"), Hooked("b")
    with transaction():
        webhooks.renew_secret(locked.webhook.id, vault_key=b"o" * 32, by=BY, now=NOW)
    town.finding()
    town.plans()
    taken = Hooked.claims()
    assert taken is not None
    assert Hooked.claims() is None
    states = {row[0]: row[1] for row in db.session.execute(select(HookMessage.webhook_id, HookMessage.state))}
    assert states == {locked.webhook.id: HookState.FAILED, sound.webhook.id: HookState.SENDING}
    db.session.refresh(locked.webhook)
    assert locked.webhook.failure == "secret cannot be opened"


def test_what_waits_for_a_webhook_that_is_removed_ends_with_it(town: Town) -> None:
    hooked = Hooked()
    town.finding()
    town.finding()
    town.plans()
    under_way = hooked.claims()
    with transaction():
        webhooks.remove(hooked.webhook.id, by=BY, now=NOW)
    assert under_way is not None
    with transaction():
        assert not hook_messages.failed(under_way, "answered 500", status=500, now=NOW)
    ends = db.session.execute(select(HookMessage.state, HookMessage.ended_at)).all()
    assert [tuple(one) for one in ends] == [(HookState.DEAD, NOW)] * 2
    assert hooked.webhook.secret_sealed == b""


def test_a_mail_server_does_not_rest_for_years_after_the_clock_was_wrong(town: Town) -> None:
    draft: dict[str, Any] = {"host": "mail.prove.example", "port": 587, "sender": "a@b.no"}
    with transaction():
        mail_server.save(Settings(security=MailSecurity.STARTTLS, **draft), vault_key=VAULT, by=BY, now=NOW)
        mail_server.failed("unreachable", now=NOW + timedelta(days=400))
    assert mail_server.settings(vault_key=VAULT, now=NOW) is not None
