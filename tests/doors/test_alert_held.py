"""Letters and messages that are held up: nobody is woken afterwards, and no fault of one is the others'."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.alerts import mail_server, webhooks
from fleet.alerts.models import AlertTopic, HookMessage, HookState, Letter, LetterState, MailServer
from fleet.app import mailing
from fleet.app.alerting import Postman
from fleet.app.posting import Poster
from fleet.compliance.models import Severity
from fleet.db import db, transaction
from fleet.schools.models import CalendarDay
from tests import alerts
from tests.alerts import BY, World

pytestmark = pytest.mark.serves
NIGHT = datetime(2026, 9, 18, 23, 0, tzinfo=UTC)  # on Saturday, 01:00 in Oslo
MONDAY_7_30 = datetime(2026, 9, 21, 5, 30, tzinfo=UTC)


@pytest.fixture
def world(own_app: Flask) -> World:
    return alerts.world(own_app)


def test_a_mail_server_that_is_back_at_night_wakes_nobody(world: World) -> None:
    world.finds("A1")
    world.finds("A2", severity=Severity.SERIOUS)
    world.plans()
    with alerts.mail() as (port, box):
        world.uses(port)
        world.clock.at = NIGHT
        assert world.sends() == 1
        assert [one["Subject"].split()[1] for one in box.taken] == ["at-once"], "what is serious does not wait"
        held = world.letters()[0]
        assert (held.state, held.due_at, held.attempts) == (LetterState.WAITING, MONDAY_7_30, 0)
        world.clock.at = MONDAY_7_30
        assert world.sends() == 1
    assert "A1" in box.taken[1].as_string()


def test_a_day_that_has_become_a_day_off_is_one(world: World) -> None:
    world.finds("A1")
    world.plans()
    with world.app.app_context(), transaction():
        db.session.add(CalendarDay(on=date(2026, 9, 15), is_school_day=False, title="Plandag"))
    with alerts.mail() as (port, _box):
        world.uses(port)
        world.clock.at = datetime(2026, 9, 15, 6, 0, tzinfo=UTC)
        assert world.sends() == 0
    assert [one.due_at for one in world.letters()] == [datetime(2026, 9, 16, 5, 30, tzinfo=UTC)]


def test_a_letter_that_somebody_is_at_is_not_waited_for_and_takes_nothing_in(world: World) -> None:
    world.finds("A1")
    world.plans()
    with world.app.app_context():
        if db.engine.dialect.name != "postgresql":
            pytest.skip("here one writes at a time")
        with db.engine.connect() as other, other.begin():
            other.execute(select(Letter.id).with_for_update())
            world.finds("A2")
            assert world.plans().letters == 1
    assert [one.due_at for one in world.letters()] == [datetime(2026, 9, 15, 6, 0, tzinfo=UTC)] * 2


def raises(error: Exception) -> Callable[..., Any]:
    def raising(*_told: Any, **_more: Any) -> Any:
        raise error

    return raising


def test_a_fault_of_ours_at_a_letter_is_shown_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.has_due("A1", severity=Severity.SERIOUS)
    world.uses(25)
    monkeypatch.setattr(mailing, "send", raises(ValueError("a letter's inside")))
    assert world.postman.send_one()
    (letter,) = world.letters()
    assert (letter.state, letter.failure) == (LetterState.FAILED, "not sent: ValueError")
    assert letter.due_at == world.clock.at + timedelta(minutes=1)


def test_a_fault_of_ours_at_a_message_is_shown_and_tried_again(world: World) -> None:
    with world.app.app_context(), transaction():
        draft = webhooks.Draft("x", "https://example.no/", [AlertTopic.FINDINGS])
        webhooks.create(draft, vault_key=world.vault, by=BY, now=world.clock.at)
    world.finds("A1")
    world.plans()
    poster = Poster(resolve=raises(LookupError("no codec")))
    assert Postman(world.app, vault_key=world.vault, now=world.clock, poster=poster).post_one()
    with world.app.app_context():
        message = db.session.scalars(select(HookMessage)).one()
        assert (message.state, message.failure) == (HookState.FAILED, "not sent: LookupError")


def test_a_password_that_cannot_be_opened_is_said_where_the_mail_server_is(world: World) -> None:
    world.has_due("A1", severity=Severity.SERIOUS)
    world.uses(25, username="fleet", password="x")
    other = Postman(world.app, vault_key=b"o" * 32, now=world.clock)
    assert not other.send_one()
    with world.app.app_context():
        assert db.session.get_one(MailServer, 1).failure == "password cannot be opened"
        assert mail_server.settings(vault_key=world.vault, now=world.clock.at) is None, "it rests"
