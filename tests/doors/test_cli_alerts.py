"""``fleet alerts`` and ``fleet webhooks`` from the server's own command line."""

import json
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Role
from fleet.alerts.models import HookMessage, HookState, Letter, LetterState, MailServer
from fleet.db import db, transaction
from tests import factories
from tests.doors.fleet_command import run


@pytest.fixture(autouse=True)
def _people(app: Flask) -> None:
    with transaction():
        factories.account("it", (Role.SCHOOL_IT, factories.school()))


def told(app: Flask, *words: str | Path) -> str:
    done = run(app, *words)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(app: Flask, *words: str | Path) -> str:
    done = run(app, *words)
    assert done.exit_code in {1, 3}, done.output
    return done.stderr


def test_who_hears_of_what_is_listed_and_chosen(app: Flask) -> None:
    choose = ("alerts", "choose", "school-it", "findings")
    assert told(app, *choose, "at-once", "--school", "Prøveskolen") == "school-it hears of findings: at-once\n"
    assert "nothing changed" in told(app, *choose, "at-once", "--school", "Prøveskolen")
    rows = json.loads(told(app, "alerts", "list", "--school", "Prøveskolen", "--json"))
    assert {"role": "school-it", "topic": "findings", "delivery": "at-once", "chosen_here": True} in rows
    told(app, *choose, "usual", "--school", "Prøveskolen")
    assert "school-it  findings   digest" in told(app, "alerts", "list", "--school", "Prøveskolen")
    assert "it can hear of" in refused(app, "alerts", "choose", "teacher", "jobs", "digest")


def test_an_address_a_time_and_what_somebody_does_not_want(app: Flask) -> None:
    told(app, "people", "email", "it", "it@prove.example")
    told(app, "alerts", "time", "it", "09:30")
    told(app, "alerts", "mute", "it", "findings")
    shown = told(app, "alerts", "show", "it")
    assert shown.startswith("it: it@prove.example, digest at 09:30\n")
    assert "findings   digest    yes" in shown
    told(app, "alerts", "mute", "it", "findings", "--on")
    assert not any(one["muted"] for one in json.loads(told(app, "alerts", "show", "it", "--json"))["topics"])
    assert "07:30 to 16:00" in refused(app, "alerts", "time", "it", "05:00")
    assert "mail address must be one address" in refused(app, "people", "email", "it", "it")


def test_a_mail_server_is_set_shown_without_its_password_and_tried(app: Flask, tmp_path: Path) -> None:
    assert "no mail server yet" in told(app, "alerts", "mail", "show")
    assert "alerts mail set" in refused(app, "alerts", "mail", "test", "it")
    file = tmp_path / "password"
    file.write_text("svært hemmelig\n")
    set_it = ("alerts", "mail", "set", "mail.prove.example", "--from", "a@prove.example")
    told(app, *set_it, "--user", "fleet", "--password-file", file)
    for shown in (told(app, "alerts", "mail", "show"), told(app, "alerts", "mail", "show", "--json")):
        assert "mail.prove.example" in shown
        assert "hemmelig" not in shown
    assert db.session.get_one(MailServer, 1).port == 587
    assert "people email" in refused(app, "alerts", "mail", "test", "it")
    told(app, "people", "email", "it", "it@prove.example")
    assert "is under way" in told(app, "alerts", "mail", "test", "it")
    assert "it      test" in told(app, "alerts", "letters", "--user", "it", "--state", "waiting")
    assert "but for this machine" in refused(app, *set_it, "--security", "none")
    told(app, "alerts", "mail", "remove")


def test_a_letter_that_was_given_up_is_tried_again(app: Flask) -> None:
    told(app, "people", "email", "it", "it@prove.example")
    told(app, "alerts", "mail", "set", "mail.prove.example", "--from", "a@prove.example")
    told(app, "alerts", "mail", "test", "it")
    letter = db.session.scalars(select(Letter)).one()
    assert "was not given up" in refused(app, "alerts", "retry", str(letter.id))
    with transaction():
        letter.state = LetterState.GIVEN_UP
    told(app, "alerts", "retry", str(letter.id))
    assert "there is no letter 999" in refused(app, "alerts", "retry", "999")


def test_webhooks_are_made_tried_switched_and_sent_again(app: Flask) -> None:
    create = ("webhooks", "create", "Brukerstøtte")
    assert "--allow-private" in refused(app, *create, "https://10.0.0.1/", "--topic", "missing")
    made = json.loads(told(app, *create, "https://help.example.no/in", "--topic", "missing", "--json"))
    assert made["secret"].startswith("whsec_")
    number = str(made["id"])
    assert made["secret"] not in told(app, "webhooks", "list", "--json")
    assert told(app, "webhooks", "secret", number).startswith("whsec_")
    change = ("webhooks", "change", number)
    assert told(app, *change, "--address", "https://new.example.no/in", "--topic", "serious", "--topic", "jobs")
    assert told(app, *change, "--name", "Helpdesk")
    (shown,) = json.loads(told(app, "webhooks", "list", "--json"))
    assert (shown["name"], shown["address"]) == ("Helpdesk", "https://new.example.no/in")
    assert (shown["topics"], shown["is_private_allowed"]) == (["jobs", "serious"], False)
    assert "--allow-private" in refused(app, *change, "--address", "https://10.0.0.1/")
    told(app, *change, "--allow-private", "--address", "https://10.0.0.1/")
    assert "private" in refused(app, *change, "--refuse-private")
    assert run(app, *change, "--school", "x", "--everywhere").exit_code == 2
    assert "webhooks list" in refused(app, "webhooks", "change", "999", "--name", "x")
    told(app, "webhooks", "test", number)
    message = db.session.scalars(select(HookMessage)).one()
    assert "was not given up" in refused(app, "webhooks", "replay", number, "--message", str(message.id))
    with transaction():
        message.state, message.failure = HookState.DEAD, "answered 500"
    assert "answered 500" in told(app, "webhooks", "messages", number, "--state", "dead")
    assert told(app, "webhooks", "replay", number) == "sent again: 1\n"
    told(app, "webhooks", "switch", number, "off")
    assert "switched off" in refused(app, "webhooks", "test", number)
    told(app, "webhooks", "remove", number)
    assert "webhooks list" in refused(app, "webhooks", "test", number)
