"""Alerts on the pages: who hears of what, one's own wishes, saying no by a link, the mail server, webhooks, Today."""

import html
import re
from datetime import timedelta

import pytest
from flask import Flask, current_app

from fleet import clock
from fleet.access import Principal, Role
from fleet.alerts import topics, unsubscribing
from fleet.alerts.models import AlertTopic, Delivery, Letter, LetterKind, LetterState, MailServer, Webhook
from fleet.db import db, transaction
from fleet.people import accounts
from tests import visiting
from tests.visiting import Visitor, World, visit

CLI = Principal.command_line()


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


def test_a_school_differs_and_the_municipality_sees_it(app: Flask, world: World) -> None:
    it, page = visit(app, "it"), f"/settings/schools/{world.school.id}/alerts"
    answer = it.post(page, page=page, **{"school-it.findings": "none", "school-it.missing": "inherited"})
    assert answer.status_code == 303
    with app.app_context():
        chosen = topics.choices()
        assert chosen == {(Role.SCHOOL_IT, AlertTopic.FINDINGS, world.school.id): Delivery.NONE}
    assert 'id="school-it.findings-hint"' in it.get(page).text
    assert 'id="school-it.findings-hint"' not in visit(app, "admin").get("/settings/alerts").text


def test_who_hears_of_what_is_taken_back_but_for_what_was_decided_since(app: Flask, world: World) -> None:
    it, page = visit(app, "it"), f"/settings/schools/{world.school.id}/alerts"
    school_id = world.school.id
    it.post(page, page=page, **{"school-it.findings": "none"})

    def saves(**told: str) -> str:
        it.get(page)
        it.post(page, page=page, **{name.replace("_", "-").replace("X", "."): value for name, value in told.items()})
        found = re.search(r'action="(/settings/undo/[^"]+)"', it.get(page).text)
        assert found is not None
        return html.unescape(found[1])

    def holds() -> dict[tuple[Role, AlertTopic, int | None], Delivery]:
        with app.app_context():
            return dict(topics.choices())

    before = {(Role.SCHOOL_IT, AlertTopic.FINDINGS, school_id): Delivery.NONE}
    undo = saves(school_itXfindings="at-once", teacherXmissing="digest")
    assert len(holds()) == 2
    assert visit(app, "other-it").post(undo).status_code == 303
    assert len(holds()) == 2, "it is not somebody else's to take back"
    it.post(undo)
    assert holds() == before
    undo = saves(school_itXfindings="inherited", teacherXmissing="digest")
    with app.app_context(), transaction():
        topics.choose(Role.TEACHER, AlertTopic.MISSING, Delivery.AT_ONCE, school_id=school_id, by=CLI, now=clock.now())
    it.post(undo)
    assert holds() == {**before, (Role.TEACHER, AlertTopic.MISSING, school_id): Delivery.AT_ONCE}


def test_one_turns_a_topic_off_and_writes_an_address(app: Flask, world: World) -> None:
    it, page = visit(app, "it"), "/account/alerts"
    it.post(f"{page}/topics", page=page, shown=["findings", "missing"], wanted=["missing"])
    assert it.post(f"{page}/address", page=page, email="no address").status_code == 400
    it.post(f"{page}/address", page=page, email="it@example.no")
    it.post(f"{page}/time", page=page, digest_at="09:15")
    with app.app_context():
        own = topics.own(accounts.find("it"))
        assert own.muted == frozenset({AlertTopic.FINDINGS})
        assert own.address == "it@example.no"
        assert f"{own.digest_at:%H:%M}" == "09:15"


def test_a_link_says_no_only_when_it_is_posted_and_without_a_token(app: Flask, world: World) -> None:
    with app.app_context():
        key = unsubscribing.key_of(current_app.extensions["fleet_config"].secrets_dir)
        account_id = accounts.find("it").id
    link = f"/alerts/unsubscribe/{unsubscribing.token(account_id, [AlertTopic.MISSING], key=key)}"
    stranger = Visitor(app)

    def muted() -> frozenset[AlertTopic]:
        with app.app_context():
            return topics.own(accounts.find("it")).muted

    assert stranger.get(link).status_code == 200
    assert muted() == frozenset()
    with app.app_context():  # as a mail program does it: RFC 8058
        answer = stranger.client.post(link, data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert muted() == {AlertTopic.MISSING}
    with app.app_context():
        assert stranger.client.post(f"{link}x").status_code == 404


def test_the_mail_servers_password_is_never_shown_and_stays(app: Flask, world: World) -> None:
    admin, page = visit(app, "admin"), "/settings/mail"
    told = {"host": "smtp.example.no", "security": "starttls", "sender": "brett@example.no", "username": "brett"}
    assert admin.post(page, page=page, **told).status_code == 400  # no password yet
    assert admin.post(page, page=page, **told, password="hemmelig-passord").status_code == 303
    assert admin.post(page, page=page, **told, password="").status_code == 303
    shown = admin.get(page).text
    assert "hemmelig-passord" not in shown
    with app.app_context(), transaction():
        kept = db.session.get_one(MailServer, 1)
        assert (kept.port, kept.password_sealed is not None) == (587, True)
        accounts.set_email(accounts.find("admin"), "admin@example.no", by=CLI, now=clock.now())
    assert admin.post(f"{page}/test", page=page).status_code == 303
    with app.app_context(), transaction():
        letter = db.session.query(Letter).one()
        letter.state, letter.failure, letter.failed_at = LetterState.FAILED, "sign-in refused (535)", clock.now()
    assert "535" in admin.refresh(page).text


def test_a_webhooks_secret_is_shown_once(app: Flask, world: World) -> None:
    it, page = visit(app, "it"), "/settings/webhooks/new"
    told = {"name": "Hjelp", "school_id": str(world.school.id), "topics": "missing"}
    assert it.post(page, page=page, **told, address="https://10.0.0.1/").status_code == 400
    made = it.post(page, page=page, **told, address="https://hjelp.example.no/")
    secret = re.search(r"whsec_[\w+/=]+", made.text)
    assert secret is not None
    with app.app_context():
        number = db.session.query(Webhook).one().id
    shown = it.get(f"/settings/webhooks/{number}").text
    assert secret[0] not in shown
    assert visit(app, "other-it").get(f"/settings/webhooks/{number}").status_code == 404


def test_today_tells_of_mail_and_webhooks_that_do_not_get_through(app: Flask, world: World) -> None:
    now = clock.now()
    admin = visit(app, "admin")
    assert 'id="need-mail"' not in admin.get("/").text
    with app.app_context(), transaction():
        hook = Webhook(
            name="Hjelp", address="https://x.example.no/", topics=["missing"], secret_sealed=b"",
            created_at=now - timedelta(days=2), failed_at=now, failure="unreachable",
        )  # fmt: skip
        letter = Letter(
            key="a", kind=LetterKind.DIGEST, account_id=accounts.find("it").id, message_id="<a@x>", made_at=now,
            due_at=now,
        )  # fmt: skip
        db.session.add_all([hook, letter])
        db.session.flush()
    page = admin.get("/").text
    assert "/settings/mail" in page
    assert "/settings/webhooks" in page
