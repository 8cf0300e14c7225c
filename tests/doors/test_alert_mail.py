"""Letters, from what was found to a real mail server: digests, outages, refusals, TLS."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Role
from fleet.alerts import letters, mail_server, sending, topics, unsubscribing
from fleet.alerts.letters import Contents, Written
from fleet.alerts.models import (
    AlertTopic,
    Delivery,
    Letter,
    LetterFile,
    LetterKind,
    LetterState,
    MailSecurity,
    MailServer,
)
from fleet.alerts.sending import Claimed
from fleet.app import mailing
from fleet.app.alerting import Postman
from fleet.compliance.models import Severity
from fleet.db import db, transaction
from fleet.people import accounts
from fleet.people.models import Account
from fleet.schools.models import School
from fleet.web import letters as web_letters
from tests import alerts, factories
from tests.alerts import BY, PASSWORD, World
from tests.apns import Authority
from tests.serving import free_port

pytestmark = pytest.mark.serves
TUESDAY_8 = datetime(2026, 9, 15, 6, 0, tzinfo=UTC)  # 08:00 in Oslo


@pytest.fixture
def world(own_app: Flask) -> World:
    return alerts.world(own_app)


def test_many_findings_are_one_letter_in_the_morning_in_the_readers_language(world: World) -> None:
    with world.app.app_context(), transaction():
        accounts.set_language(alerts.account(world, "it"), "nn", now=world.clock.at)
    world.finds(*(f"A{number}" for number in range(130)))
    assert world.plans().letters == 1
    with alerts.mail() as (port, box):
        world.uses(port)
        assert world.sends() == 0, "before the morning"
        world.clock.at = TUESDAY_8
        assert world.sends() == 1
        assert world.sends() == 0
    assert [one["To"] for one in box.taken] == ["it@prove.example"]
    letter = box.taken[0]
    assert letter["Subject"] == "nn digest Prøveskolen 100"
    assert letter["From"] == "Prøve kommune <nettbrett@prove.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    text = letter.get_body(("plain",))
    html = letter.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "and 30 more" in text.get_content()
    assert "findings storage-low A17 8B Prøveskolen" in text.get_content()
    assert world.plans() == type(world.plans())(), "nothing is told twice"
    assert world.letters()[0].items == 130


def test_each_school_of_a_reader_has_its_own_letter(world: World) -> None:
    with world.app.app_context(), transaction():
        other = factories.school("Andre skole")
        accounts.grant(
            alerts.account(world, "it"), Role.SCHOOL_IT, school_id=other.id, by=BY, now=world.clock.at
        )  # fmt: skip
        factories.device(other, asset_tag="B1")
    world.finds("A1", "A2", "B1")
    world.plans()
    with alerts.mail() as (port, box):
        world.uses(port)
        world.clock.at = TUESDAY_8
        world.sends()
    assert sorted(one["Subject"] for one in box.taken) == ["nb digest Andre skole 1", "nb digest Prøveskolen 2"]


def test_no_digest_comes_on_a_day_off_and_it_comes_at_the_readers_time(world: World) -> None:
    world.clock.at = datetime(2026, 9, 18, 12, 0, tzinfo=UTC)  # a Friday
    with world.app.app_context(), transaction():
        reader = alerts.account(world, "it")
        topics.set_digest_at(reader, datetime(2026, 1, 1, 9, 30).time(), by=BY, now=world.clock.at)  # noqa: DTZ001 (a time of day)
    world.finds("A1")
    world.plans()
    assert [one.due_at for one in world.letters()] == [datetime(2026, 9, 21, 7, 30, tzinfo=UTC)]


def test_what_is_over_before_the_letter_is_written_is_not_in_it(world: World) -> None:
    gone, stays = world.finds("A1", "A2")
    world.plans()
    world.closes([gone])
    with alerts.mail() as (port, box):
        world.uses(port)
        world.clock.at = TUESDAY_8
        world.sends()
        assert [one["Subject"] for one in box.taken] == ["nb digest Prøveskolen 1"]
        world.closes([stays])
        (third,) = world.finds("A3")
        world.plans()
        world.closes([third])
        world.clock.forward(days=1)
        assert world.sends() == 0
    assert world.letters()[-1].state is LetterState.EMPTY


def test_an_outage_of_a_day_loses_nothing_and_sends_nothing_twice(world: World) -> None:
    port = free_port()
    world.uses(port)
    world.finds("A1", severity=Severity.SERIOUS)
    world.finds("A2")
    for _ in range(24 * 2):
        world.plans()
        world.sends()
        world.clock.forward(minutes=30)
    assert {one.state for one in world.letters()} == {LetterState.WAITING}
    with world.app.app_context():
        server = db.session.get_one(MailServer, 1)
        assert server.failure == "unreachable"
        assert server.failures > 20
    with alerts.mail(port=port) as (_port, box):
        world.clock.forward(minutes=30)
        world.plans()
        while world.sends():
            pass
        world.clock.forward(days=1)
        world.plans()
        world.sends()
    told = [one["Subject"] for one in box.taken if one["To"] == "it@prove.example"]
    assert sorted(told) == ["nb at-once Prøveskolen 1", "nb digest Prøveskolen 1"]
    ids = [one["Message-ID"] for one in box.taken]
    assert len(set(ids)) == len(ids)
    with world.app.app_context():
        assert db.session.get_one(MailServer, 1).failure is None


def test_not_now_is_tried_again_later_and_later_under_the_same_name(world: World) -> None:
    world.finds("A1", severity=Severity.SERIOUS)
    world.plans()
    with alerts.mail() as (port, box):
        box.replies["RCPT"] = ["450 greylisted", "451 still", "451 still"]
        world.uses(port)
        waits = []
        world.clock.forward(minutes=2)
        for _ in range(3):
            world.sends()
            letter = world.letters()[0]
            assert letter.state is LetterState.FAILED
            waits.append(letter.due_at - world.clock.at)
            world.clock.at = letter.due_at
        assert letter.failure == "reader not now (451)"
        world.sends()
        assert [one["Message-ID"] for one in box.taken] == [letter.message_id]
    assert waits == [timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15)]


@pytest.mark.parametrize(
    ("asked", "answer", "reason"),
    [
        ("RCPT", "550 no such person", "reader refused (550)"),
        ("DATA", "554 looks like spam to kari@prove.example", "letter refused (554)"),
    ],
)
def test_a_letter_that_is_refused_for_good_is_given_up_and_says_why(
    world: World, asked: str, answer: str, reason: str
) -> None:
    world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail() as (port, box):
        box.replies[asked] = [answer]
        world.uses(port)
        world.sends()
        letter = world.letters()[0]
        assert (letter.state, letter.failure) == (LetterState.GIVEN_UP, reason)
        assert world.sends() == 0
        with world.app.app_context(), transaction():
            letters.retry(letter.id, by=BY, now=world.clock.at)
        world.sends()
        assert len(box.taken) == 1


def test_a_crash_between_the_yes_and_our_note_sends_the_same_letter_again_under_the_same_name(world: World) -> None:
    (finding,) = world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail() as (port, box):
        world.uses(port)
        box.replies["DATA"] = ["take and hang up"]
        world.sends()
        assert len(box.taken) == 1
        assert world.letters()[0].failure == "hung up at the letter"
        world.closes([finding])  # the reader shall see one letter twice, not two
        world.clock.forward(minutes=1)
        world.sends()
        assert world.letters()[0].state is LetterState.SENT
    first, second = box.taken
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Subject"] == second["Subject"]


class _Killed(BaseException):
    pass


def test_a_server_that_is_killed_at_it_leaves_the_letter_to_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.has_due("A1", severity=Severity.SERIOUS)

    def killed(*_args: object, **_more: object) -> bool:
        raise _Killed

    with alerts.mail() as (port, box):
        world.uses(port)
        with monkeypatch.context() as dying:
            dying.setattr(sending, "sent", killed)
            with pytest.raises(_Killed):
                world.postman.send_one()
        assert world.sends() == 0, "it is held"
        world.clock.at += sending.HOLD
        other = Postman(world.app, vault_key=world.vault, now=world.clock)
        assert other.send_one()
    assert len({one["Message-ID"] for one in box.taken}) == 1
    assert len(box.taken) == 2
    assert [one.state for one in world.letters()] == [LetterState.SENT]


def test_two_servers_send_each_letter_once(world: World) -> None:
    with world.app.app_context(), transaction():
        at = db.session.get_one(School, world.ids["school"])
        for number in range(8):
            made = factories.account(f"it{number}", (Role.SCHOOL_IT, at))
            made.email = f"it{number}@prove.example"
    world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail() as (port, box):
        world.uses(port)
        postmen = [Postman(world.app, vault_key=world.vault, now=world.clock) for _ in range(3)]

        def work(postman: Postman) -> None:
            while postman.send_one():
                pass

        threads = [threading.Thread(target=work, args=(one,)) for one in postmen]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        world.sends()
    readers = [one["To"] for one in box.taken]
    assert sorted(readers) == sorted(["it@prove.example", *(f"it{number}@prove.example" for number in range(8))])


@pytest.mark.parametrize("security", [MailSecurity.TLS, MailSecurity.STARTTLS])
def test_letters_go_over_tls_to_whom_we_trust_and_sign_in(world: World, security: MailSecurity) -> None:
    authority = Authority()
    world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail(security, authority=authority, asks=True) as (port, box):
        world.uses(port, security, authority_pem=authority.pem, username="fleet", password=PASSWORD)
        world.sends()
        assert len(box.taken) == 1
        assert box.signed_in == [("fleet", PASSWORD)]
        with world.app.app_context():
            kept = db.session.get_one(MailServer, 1)
            assert kept.password_sealed is not None
            assert PASSWORD.encode() not in kept.password_sealed


@pytest.mark.parametrize("security", [MailSecurity.TLS, MailSecurity.STARTTLS])
def test_a_mail_server_with_another_certificate_is_told_nothing(world: World, security: MailSecurity) -> None:
    world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail(security, authority=Authority(), asks=True) as (port, box):
        world.uses(port, security, authority_pem=Authority().pem, username="fleet", password=PASSWORD)
        world.sends()
    assert (box.taken, box.signed_in) == ([], [])
    with world.app.app_context():
        assert db.session.get_one(MailServer, 1).failure == "certificate not trusted"
    assert world.letters()[0].state is LetterState.WAITING


def test_without_starttls_nothing_is_told(world: World) -> None:
    world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail(asks=True) as (port, box):
        world.uses(port, MailSecurity.STARTTLS, username="fleet", password=PASSWORD)
        world.sends()
    assert (box.taken, box.signed_in) == ([], [])
    with world.app.app_context():
        assert db.session.get_one(MailServer, 1).failure == "offers no STARTTLS or no sign-in"


def test_a_wrong_password_is_the_servers_matter_and_no_letter_is_given_up(world: World) -> None:
    authority = Authority()
    world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail(MailSecurity.TLS, authority=authority, asks=True) as (port, box):
        more = {"authority_pem": authority.pem, "username": "fleet"}
        world.uses(port, MailSecurity.TLS, password="feil", **more)
        world.sends()
        with world.app.app_context():
            assert db.session.get_one(MailServer, 1).failure == "sign-in refused (535)"
        world.uses(port, MailSecurity.TLS, password=PASSWORD, **more)
        world.sends()
        assert len(box.taken) == 1


def test_no_name_and_no_subject_begins_another_header(world: World) -> None:
    evil = "Kari\r\nBcc: alle@prove.example\r\n\r\nhei"
    with world.app.app_context(), transaction():
        db.session.get_one(School, world.ids["school"]).name = evil
        alerts.account(world, "it").name = evil
    world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail() as (port, box):
        world.uses(port)
        world.sends()
    letter = box.taken[0]
    assert letter["Bcc"] is None
    assert letter["Subject"] == "nb at-once Kari Bcc: alle@prove.example hei 1"
    assert box.recipients == ["it@prove.example"]


def test_an_address_of_the_roster_that_is_none_gets_no_letter(world: World) -> None:
    with world.app.app_context(), transaction():
        reader = alerts.account(world, "it")
        reader.email = None
        at = db.session.get_one(School, world.ids["school"])
        person = factories.employee("it", at)
        person.email, reader.person_id = "a@b.no\r\nBcc: c@d.no", person.id
    world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail() as (port, box):
        world.uses(port)
        world.sends()
        assert box.recipients == []
    assert (world.letters()[0].state, world.letters()[0].failure) == (LetterState.GIVEN_UP, "no address")


def test_a_letter_leads_to_a_link_that_says_no_without_signing_in(world: World) -> None:
    world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail() as (port, box):
        world.uses(port)
        world.sends()
        url = box.taken[0]["List-Unsubscribe"].strip("<>")
        assert url.startswith("http://fleet.test/alerts/unsubscribe/")
        key = unsubscribing.key_of(world.app.extensions["fleet_config"].secrets_dir)
        with world.app.app_context(), transaction():
            wish = unsubscribing.unsubscribe(url.rpartition("/")[2], key=key, now=world.clock.at)
            assert wish.topics == (AlertTopic.SERIOUS,)
        world.finds("A2", severity=Severity.SERIOUS)
        world.finds("A3")
        world.plans()
        world.clock.at = TUESDAY_8
        world.sends()
    assert [one["Subject"] for one in box.taken if one["To"] == "it@prove.example"] == [
        "nb at-once Prøveskolen 1",
        "nb digest Prøveskolen 1",
    ]


def test_a_long_link_that_says_no_is_one_word_that_mail_programs_read() -> None:
    url = f"https://nettbrett.prove.example/alerts/unsubscribe/{'a' * 200}"
    contents = Contents(LetterKind.DIGEST, "Kari", "https://nettbrett.prove.example", TUESDAY_8, unsubscribe_url=url)
    name = f"<{'a' * 32}@{'b' * 40}>"
    letter = Claimed(1, TUESDAY_8, name, "it@prove.example", "nb", contents, None)
    made = mailing.make(letter, Written("Emne", "tekst", "<p>tekst"), sender="a@b.no", name="Prøve", at=TUESDAY_8)
    lines = made.as_bytes().split(b"\r\n")
    assert f"List-Unsubscribe: <{url}>".encode() in lines
    assert f"Message-ID: {name}".encode() in lines
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines


def test_who_lost_the_role_meanwhile_gets_nothing(world: World) -> None:
    world.finds("A1")
    world.plans()
    with world.app.app_context(), transaction():
        accounts.revoke(
            alerts.account(world, "it"), Role.SCHOOL_IT, school_id=world.ids["school"], by=BY, now=world.clock.at
        )
    with alerts.mail() as (port, box):
        world.uses(port)
        world.clock.at = TUESDAY_8
        world.sends()
        assert box.taken == []


def test_a_report_comes_with_its_file_and_a_test_letter_says_how_it_went(world: World) -> None:
    with alerts.mail() as (port, box):
        world.uses(port)
        with world.app.app_context(), transaction():
            reader = alerts.account(world, "it")
            reach = [f"school:{world.ids['school']}"]
            for report in (
                letters.Report("compliance", "oversikt.csv", "text/csv", "æøå;1\n".encode(), reach),
                letters.Report("compliance", "oversikt.pdf", "application/pdf", b"%PDF", reach),
                letters.Report("compliance", "alle.pdf", "application/pdf", b"%PDF", ["all"]),  # as an admin, until now
            ):
                letters.queue_report(reader.id, report, now=world.clock.at)
            tried = mail_server.test(reader, by=BY, now=world.clock.at).id
        world.sends()
        names = {part.get_filename(): part.get_content() for one in box.taken for part in one.iter_attachments()}
        assert names["oversikt.pdf"] == b"%PDF"
        assert set(names) == {"oversikt.csv", "oversikt.pdf"}
        with world.app.app_context():
            assert db.session.get_one(Letter, tried).state is LetterState.SENT
        with world.app.app_context(), transaction():
            reader = alerts.account(world, "it")
            topics.mute(reader, AlertTopic.REPORTS, by=BY, now=world.clock.at)
            report = letters.Report("compliance", "a.csv", "text/csv", b"", [])
            assert letters.queue_report(reader.id, report, now=world.clock.at) is None
            assert db.session.scalars(select(LetterFile)).all() == []


def test_an_event_that_slips_into_a_letter_already_written_comes_in_the_next(world: World) -> None:
    world.finds("A1")
    world.plans()
    with alerts.mail() as (port, box):
        world.uses(port)
        before, world.clock.at = world.clock.at, TUESDAY_8

        def slip() -> None:
            box.on_taken = lambda: None
            world.clock.at = before  # a server whose clock is behind plans at this moment
            world.finds("A2")
            world.plans()
            world.clock.at = TUESDAY_8

        box.on_taken = slip
        world.sends()
        world.plans()
        world.clock.forward(days=1)
        world.sends()
    assert [one["Subject"] for one in box.taken] == ["nb digest Prøveskolen 1"] * 2


def test_teachers_are_asked_in_the_daytime_and_told_of_nothing_else(world: World) -> None:
    world.finds("A1", severity=Severity.SERIOUS)
    world.plans()
    readers = {one.account_id for one in world.letters()}
    assert readers == {world.ids["it"]}
    with world.app.app_context(), transaction():
        topics.choose(
            Role.TEACHER, AlertTopic.SERIOUS, Delivery.DIGEST, school_id=world.ids["school"], by=BY, now=world.clock.at
        )
    world.finds("A2", severity=Severity.SERIOUS)
    world.plans()
    assert {one.account_id for one in world.letters()} == {world.ids["it"], world.ids["lars"]}


def test_a_letter_to_a_closed_account_is_not_sent(world: World) -> None:
    world.finds("A1")
    world.plans()
    with world.app.app_context(), transaction():
        accounts.disable(db.session.get_one(Account, world.ids["it"]), by=BY, now=world.clock.at)
    with alerts.mail() as (port, box):
        world.uses(port)
        world.clock.at = TUESDAY_8
        world.sends()
        assert box.taken == []


def test_a_letter_that_cannot_be_written_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.app.app_context(), transaction():
        topics.choose(Role.TEACHER, AlertTopic.SERIOUS, Delivery.AT_ONCE, school_id=None, by=BY, now=world.clock.at)

    def writes(contents: letters.Contents, language: str) -> letters.Written:
        if "it" in contents.reader:
            raise KeyError(language)
        return alerts.plain(contents, language)

    monkeypatch.setitem(world.app.extensions, "fleet_letter_writer", writes)
    world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail() as (port, box):
        world.uses(port)
        assert world.sends() == 2
        assert box.recipients == ["lars@prove.example"]
    assert sorted(one.failure or "" for one in world.letters()) == ["", "not written: KeyError"]


def test_the_servers_own_threads_send_and_post_and_stop_when_told(world: World) -> None:
    taken = threading.Event()
    world.has_due("A1", severity=Severity.SERIOUS)
    with alerts.mail() as (port, box):
        world.uses(port)
        box.on_taken = taken.set
        world.postman.start()
        assert taken.wait(30)
        world.postman.stop()
    assert len(box.taken) == 1
    assert [one.state for one in world.letters()] == [LetterState.SENT]


def test_the_pages_own_writer_makes_a_letter_that_arrives_whole(world: World) -> None:
    world.app.extensions["fleet_letter_writer"] = web_letters.write
    world.has_due("NB-17", severity=Severity.SERIOUS)
    with alerts.mail() as (port, box):
        world.uses(port)
        world.sends()
    assert [one.failure for one in world.letters()] == [None]
    for kind in ("plain", "html"):
        body = box.taken[0].get_body((kind,))
        assert body is not None
        told = body.get_content()
        assert "NB-17" in told
        assert "http://fleet.test/" in told
        assert "/alerts/unsubscribe/" in told
