"""Alerts: events follow what happens, readers are those who are to hear, and each is told once."""

from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from fleet.access import Grant, Principal, Role
from fleet.alerts import events, letters, mail_server, planning, readers, retention, topics, unsubscribing, webhooks
from fleet.alerts.events import Ending
from fleet.alerts.mail_server import Settings
from fleet.alerts.models import (
    AlertDelivery,
    AlertEvent,
    AlertTopic,
    Delivery,
    HookMessage,
    Letter,
    LetterKind,
    LetterState,
    MailSecurity,
)
from fleet.compliance import ledger
from fleet.compliance.models import Finding, Incident, IncidentCause, Question, Severity
from fleet.compliance.rules import Found
from fleet.db import changed, db, transaction
from fleet.errors import ConflictError, FleetError, ForbiddenError, InvalidError, NotFoundError
from fleet.job_runs import JobOutcome, JobRun
from fleet.people import accounts
from fleet.people.models import Account
from fleet.schools.models import School, SchoolClass
from tests import factories
from tests.conftest import NOW

BY = Principal.command_line()
VAULT = b"v" * 32


class Town:
    """A school with its IT, class 8B with its teacher, and somebody of the municipality."""

    def __init__(self, app: Flask) -> None:
        self.timezone = app.extensions["fleet_config"].timezone
        with transaction():
            self.school = factories.school()
            self.of: SchoolClass = factories.school_class(self.school)
            self.it = factories.account("it", (Role.SCHOOL_IT, self.school))
            self.teacher = factories.teacher("lars", self.of)
            self.admin = factories.account("admin", (Role.MUNICIPAL_ADMIN, None))
            for one in (self.it, self.teacher, self.admin):
                one.email = f"{one.username}@prove.example"

    def adds(self, subject: str, *rows: Any, now: datetime = NOW) -> Any:
        with transaction():
            db.session.add_all(rows)
            db.session.flush()
            changed(subject, [one.id for one in rows], now=now)
        return rows[0]

    def finding(
        self, *, kind: str = "storage-low", severity: Severity = Severity.WARNING, now: datetime = NOW
    ) -> Finding:
        with transaction():
            at = factories.device(self.school, class_id=self.of.id)
        made = Finding(device_id=at.id, kind=kind, severity=severity, detail={}, opened_at=now)
        found: Finding = self.adds("finding", made, now=now)
        return found

    def sets(self, subject: str, row: Any, *, now: datetime = NOW, **values: Any) -> None:
        with transaction():
            for name, value in values.items():
                setattr(row, name, value)
            changed(subject, [row.id], now=now)

    def plans(self, now: datetime = NOW) -> planning.Planned:
        with transaction():
            return planning.plan(now=now, timezone=self.timezone)

    def told(self) -> dict[str, list[str]]:
        """Return what each is told of, by user name: how, when (local) and of what."""
        query = select(Account.username, Letter, AlertEvent).join_from(AlertDelivery, Letter).join(Account)
        found: dict[str, list[str]] = {}
        for username, letter, event in db.session.execute(
            query.join(AlertEvent, AlertEvent.id == AlertDelivery.event_id).order_by(AlertEvent.id)
        ):
            due = letter.due_at.astimezone(self.timezone)
            found.setdefault(username, []).append(f"{letter.kind} {due:%a %H:%M} {event.topic} {event.kind}")
        return found


@pytest.fixture
def town(app: Flask) -> Town:
    return Town(app)


def test_usual_settings_tell_each_what_is_theirs(town: Town) -> None:
    town.finding()
    town.finding(kind="tampered", severity=Severity.SERIOUS)
    town.finding(kind="missing", severity=Severity.SERIOUS)
    town.adds("incident", Incident(
        school_id=town.school.id, cause=IncidentCause.NETWORK, about={}, began_at=NOW, opened_at=NOW, most=9, of=20
    ))  # fmt: skip
    with transaction():
        device = factories.device(town.school)
    town.adds("question", Question(device_id=device.id, class_id=town.of.id, asked_at=NOW))
    town.plans()
    assert town.told() == {
        "it": [
            "digest Tue 08:00 findings storage-low",
            "at-once Mon 10:17 serious tampered",
            "at-once Mon 10:17 missing missing",
            "at-once Mon 10:17 incidents network",
        ],
        "admin": ["at-once Mon 10:17 incidents network"],
        "lars": ["at-once Mon 10:17 questions where-is-it"],
    }
    assert db.session.scalar(select(func.count()).select_from(Letter)) == 4, "what comes together is one letter"


def test_planning_twice_tells_nothing_twice_and_events_are_there_once(town: Town) -> None:
    finding = town.finding()
    town.sets("finding", finding, detail={"free": 1})
    assert town.plans().letters == 1
    town.sets("finding", finding, detail={"free": 2})
    assert town.plans() == planning.Planned()
    assert db.session.scalar(select(func.count()).select_from(AlertEvent)) == 1


@pytest.mark.parametrize(
    "quiet",
    [
        {"acknowledged_at": NOW},
        {"is_mute": True, "closed_at": NOW},
        {"closed_at": NOW},
        {"snoozed_until": NOW + timedelta(days=3)},
    ],
)
def test_what_somebody_has_seen_to_is_told_to_nobody(town: Town, quiet: dict[str, Any]) -> None:
    town.sets("finding", town.finding(), **quiet)
    assert town.plans().letters == 0
    with transaction():
        at = factories.device(town.school)
    town.adds(
        "finding", Finding(device_id=at.id, kind="silent", severity=Severity.NOTE, detail={}, opened_at=NOW, **quiet)
    )
    assert town.plans().letters == 0


def test_a_snooze_that_is_over_brings_the_finding_back_once(town: Town) -> None:
    finding = town.finding()
    town.plans()
    town.sets("finding", finding, snoozed_until=NOW + timedelta(days=3))
    assert town.told() == {}
    assert town.plans(NOW + timedelta(days=2)).events == 0
    assert town.plans(NOW + timedelta(days=3)).events == 1
    assert town.told() == {"it": ["digest Fri 08:00 findings storage-low"]}
    assert town.plans(NOW + timedelta(days=4)).events == 0


def test_what_was_acknowledged_and_then_snoozed_comes_back_too(town: Town) -> None:
    finding = town.finding()
    town.sets("finding", finding, acknowledged_at=NOW)
    town.sets("finding", finding, snoozed_until=NOW + timedelta(days=3))
    assert town.plans(NOW + timedelta(days=2)).events == 0
    assert town.plans(NOW + timedelta(days=3)).events == 1
    assert town.told() == {"it": ["digest Fri 08:00 findings storage-low"]}


def test_what_is_serious_and_unanswered_for_a_school_day_goes_one_role_up_once(town: Town) -> None:
    seen = town.finding(kind="tampered", severity=Severity.SERIOUS)
    town.finding(kind="not-encrypted", severity=Severity.SERIOUS)
    town.finding()
    town.plans()
    town.sets("finding", seen, acknowledged_at=NOW)
    assert town.plans(NOW + timedelta(hours=23)).escalated == 0
    late = NOW + timedelta(days=1, minutes=5)
    assert town.plans(late).escalated == 1
    assert town.plans(late + timedelta(days=3)).escalated == 0
    assert town.told()["admin"] == ["at-once Tue 10:22 serious not-encrypted"]
    assert len(town.told()["it"]) == 3, "who was told is not told again"
    assert [bool(one) for one in db.session.scalars(select(AlertDelivery.is_escalated))].count(True) == 1


def test_a_question_goes_to_the_schools_it_when_the_teachers_do_not_answer(town: Town) -> None:
    with transaction():
        device = factories.device(town.school)
    question = town.adds("question", Question(device_id=device.id, class_id=town.of.id, asked_at=NOW))
    town.plans()
    assert set(town.told()) == {"lars"}
    town.sets("question", question, escalated_at=NOW + timedelta(hours=2))
    town.plans(NOW + timedelta(hours=2))
    assert set(town.told()) == {"lars", "it"}
    town.sets("question", question, answered_at=NOW)
    event = db.session.scalars(select(AlertEvent)).one()
    assert event.ended_at is not None


def test_a_teacher_hears_of_own_classes_only(town: Town) -> None:
    with transaction():
        other = factories.school_class(town.school, "9A")
        nina = factories.teacher("nina", other)
        nina.email = "nina@prove.example"
        topics.choose(Role.TEACHER, AlertTopic.FINDINGS, Delivery.AT_ONCE, school_id=None, by=BY, now=NOW)
    town.finding()
    town.plans()
    assert "lars" in town.told()
    assert "nina" not in town.told()


def test_a_tablet_that_is_a_pupils_own_is_of_the_pupils_class(town: Town) -> None:
    with transaction():
        topics.choose(Role.TEACHER, AlertTopic.FINDINGS, Delivery.DIGEST, school_id=None, by=BY, now=NOW)
        pupil = factories.pupil(town.school)
        factories.membership(pupil, town.of)
        own = factories.device(town.school, person=pupil)
    town.adds("finding", Finding(device_id=own.id, kind="silent", severity=Severity.NOTE, detail={}, opened_at=NOW))
    town.plans()
    assert "lars" in town.told()
    told = planning.tell(db.session.scalars(select(AlertEvent)).all())
    assert pupil.family_name not in str(told)


def test_planning_asks_the_same_number_of_statements_for_many(town: Town, statements: list[str]) -> None:
    def asked(count: int) -> int:
        with transaction():
            made = factories.tablets(town.school, count)
            found = [
                Finding(device_id=one.id, kind="k", severity=Severity.SERIOUS, detail={}, opened_at=NOW) for one in made
            ]
            db.session.add_all(found)
            db.session.flush()
            changed("finding", [one.id for one in found], now=NOW)
            statements.clear()
        town.plans()
        return len(statements)

    town.plans()
    asked(1)
    assert asked(60) <= asked(2) + 1


def test_a_job_that_fails_is_told_once_a_day_and_not_where_it_works_again_at_once(town: Town) -> None:
    def ran(outcome: JobOutcome, minutes: int) -> None:
        at = NOW + timedelta(minutes=minutes)
        with transaction():
            db.session.add(
                JobRun(job="retention", slot=at, epoch=1, started_at=at, ended_at=at, outcome=outcome, counts={})
            )

    ran(JobOutcome.FAILED, 0)
    ran(JobOutcome.FAILED, 1)
    town.plans(NOW + timedelta(minutes=2))
    town.plans(NOW + timedelta(minutes=3))
    assert town.told() == {"admin": ["at-once Mon 10:19 jobs retention"]}
    ran(JobOutcome.DONE, 4)
    town.plans(NOW + timedelta(minutes=5))
    assert [one.ended_at is not None for one in db.session.scalars(select(AlertEvent))] == [True]


def test_what_ends_is_told_at_each_step_until_it_is_renewed(town: Town) -> None:
    def notes(*endings: Ending) -> None:
        with transaction():
            events.note_endings(endings, now=NOW)
        town.plans()

    ends = NOW + timedelta(days=29)
    notes(Ending("push-certificate", ends, 30), Ending("server-token", NOW + timedelta(days=300), None))
    notes(Ending("push-certificate", ends, 30))
    assert town.told() == {"admin": ["digest Tue 08:00 certificates push-certificate"]}
    notes(Ending("push-certificate", ends, 7))
    assert len(town.told()["admin"]) == 2
    notes(Ending("push-certificate", NOW + timedelta(days=365), None))
    assert all(one.ended_at is not None for one in db.session.scalars(select(AlertEvent)))


def test_a_schools_choice_goes_before_the_municipalitys(town: Town) -> None:
    def chooses(delivery: Delivery | None, school: School | None, by: Principal = BY) -> bool:
        with transaction():
            at = school.id if school is not None else None
            return topics.choose(Role.SCHOOL_IT, AlertTopic.FINDINGS, delivery, school_id=at, by=by, now=NOW)

    def holds() -> topics.Cell:
        cells = topics.matrix(by=BY, school_id=town.school.id)
        return next(one for one in cells if (one.role, one.topic) == (Role.SCHOOL_IT, AlertTopic.FINDINGS))

    assert holds() == topics.Cell(Role.SCHOOL_IT, AlertTopic.FINDINGS, Delivery.DIGEST, False, Delivery.DIGEST)
    assert chooses(Delivery.NONE, None)
    assert not chooses(Delivery.NONE, None)
    assert chooses(Delivery.AT_ONCE, town.school)
    assert holds() == topics.Cell(Role.SCHOOL_IT, AlertTopic.FINDINGS, Delivery.AT_ONCE, True, Delivery.NONE)
    assert chooses(None, town.school)
    assert holds().delivery is Delivery.NONE
    it = Principal("account", str(town.it.id), (Grant(Role.SCHOOL_IT, town.school.id),))
    assert chooses(Delivery.DIGEST, town.school, it)
    with pytest.raises(ForbiddenError):
        chooses(Delivery.DIGEST, None, it)
    with pytest.raises(InvalidError):
        topics.choose(Role.TEACHER, AlertTopic.JOBS, Delivery.DIGEST, school_id=None, by=BY, now=NOW)
    with pytest.raises(NotFoundError):
        topics.choose(Role.TEACHER, AlertTopic.SERIOUS, Delivery.DIGEST, school_id=999, by=BY, now=NOW)
    assert {one.role for one in topics.matrix(by=BY)} == set(Role)


def test_each_decides_for_oneself_and_for_nobody_else(town: Town) -> None:
    me, other = Principal("account", str(town.it.id)), Principal("account", str(town.teacher.id))
    with transaction():
        topics.mute(town.it, AlertTopic.FINDINGS, by=me, now=NOW)
        topics.mute(town.it, AlertTopic.FINDINGS, by=me, now=NOW)
        topics.set_digest_at(town.it, time(9, 15), by=me, now=NOW)
    own = topics.own(town.it)
    assert (own.address, own.digest_at, own.muted) == (
        "it@prove.example",
        time(9, 15),
        frozenset({AlertTopic.FINDINGS}),
    )
    assert own.topics[AlertTopic.MISSING] is Delivery.AT_ONCE
    town.finding()
    assert town.plans().letters == 0
    with transaction():
        topics.unmute(town.it, AlertTopic.FINDINGS, by=me, now=NOW)
    assert topics.own(town.it).muted == frozenset()
    for refused in (
        lambda: topics.mute(town.it, AlertTopic.FINDINGS, by=other, now=NOW),
        lambda: topics.unmute(town.it, AlertTopic.FINDINGS, by=other, now=NOW),
        lambda: topics.set_digest_at(town.it, time(9), by=other, now=NOW),
        lambda: accounts.set_email(town.it, "x@y.no", by=other, now=NOW),
        lambda: letters.listed(by=other),
        lambda: mail_server.load(by=other),
    ):
        with pytest.raises(ForbiddenError):
            refused()
    with pytest.raises(InvalidError):
        topics.set_digest_at(town.it, time(6), by=me, now=NOW)


def test_mail_goes_to_the_accounts_address_else_to_the_rosters(town: Town) -> None:
    person = town.teacher.person
    assert person is not None
    with transaction():
        person.email = "lars@skole.example"
        accounts.set_email(town.teacher, None, by=Principal("account", str(town.teacher.id)), now=NOW)
    assert topics.address_of(town.teacher) == "lars@skole.example"
    with transaction():
        accounts.set_email(town.teacher, " lars@Hjemme.example ", by=BY, now=NOW)
    assert topics.address_of(town.teacher) == "lars@hjemme.example"
    with pytest.raises(InvalidError):
        accounts.set_email(town.teacher, "lars@a\r\nBcc: b@c.no", by=BY, now=NOW)
    with transaction():
        accounts.set_email(town.teacher, None, by=BY, now=NOW)
        person.ended_at = NOW
    assert topics.address_of(town.teacher) is None
    found = readers.load(today=NOW.date(), about=[]).accounts
    told = {place: [one.username for one in accounts_there] for place, accounts_there in found.items()}
    assert told == {town.school.id: ["it"], None: ["admin"]}


def test_a_link_that_says_no_cannot_be_made_up_or_changed(town: Town) -> None:
    key = b"k" * 32
    told = unsubscribing.token(town.it.id, {AlertTopic.FINDINGS, AlertTopic.MISSING}, key=key)
    assert unsubscribing.read(told, key=key).topics == (AlertTopic.FINDINGS, AlertTopic.MISSING)
    with transaction():
        assert unsubscribing.unsubscribe(told, key=key, now=NOW).account.id == town.it.id
        unsubscribing.unsubscribe(told, key=key, now=NOW)
    assert topics.own(town.it).muted == {AlertTopic.FINDINGS, AlertTopic.MISSING}
    for bad in ("", "a", told[:-1], told[1:], told + "A", "å" * 20, "A" * 400, told[:-2] + "AA", "=" * 8):
        with pytest.raises(NotFoundError):
            unsubscribing.read(bad, key=key)
    with pytest.raises(NotFoundError):
        unsubscribing.read(told, key=b"x" * 32)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"host": "mail server"}, "host"),
        ({"host": "mail.no\r\nX"}, "host"),
        ({"port": 0}, "port"),
        ({"security": MailSecurity.NONE}, "security"),
        ({"username": "a\r\nb", "password": "x"}, "sign-in"),
        ({"username": "a"}, "password"),
        ({"authority_pem": "no certificate"}, "authority"),
        ({"sender": "nobody"}, "email"),
    ],
)
def test_a_mail_server_that_cannot_be_is_refused(town: Town, change: dict[str, Any], reason: str) -> None:
    sound: dict[str, Any] = {
        "host": "mail.prove.example",
        "port": 587,
        "security": MailSecurity.STARTTLS,
        "sender": "a@b.no",
    }
    with pytest.raises(InvalidError) as refused, transaction():
        mail_server.save(Settings(**{**sound, **change}), vault_key=VAULT, by=BY, now=NOW)
    assert refused.value.data["reason"] == reason


def test_a_password_is_kept_sealed_and_not_told_to_another_mail_server(town: Town) -> None:
    def saves(**more: Any) -> None:
        told: dict[str, Any] = {
            "host": "mail.prove.example",
            "port": 587,
            "sender": "a@b.no",
            "username": "fleet",
            **more,
        }
        with transaction():
            mail_server.save(Settings(security=MailSecurity.STARTTLS, **told), vault_key=VAULT, by=BY, now=NOW)

    saves(password="hemmelig")
    saves(port=2525)
    found = mail_server.settings(vault_key=VAULT, now=NOW)
    assert found is not None
    assert (found.password, found.port) == ("hemmelig", 2525)
    assert "hemmelig" not in repr(found)
    with pytest.raises(InvalidError):
        saves(host="mail.annet.example")
    with transaction():
        mail_server.failed("unreachable", now=NOW)
    assert mail_server.settings(vault_key=VAULT, now=NOW) is None, "it rests"
    with transaction():
        town.it.email = None
        with pytest.raises(ConflictError):
            mail_server.test(town.it, by=BY, now=NOW)
        mail_server.remove(by=BY, now=NOW)
    assert mail_server.settings(vault_key=VAULT, now=NOW + timedelta(days=1)) is None


def test_reports_that_cannot_be_sent_are_refused(town: Town) -> None:
    def refuses(file_name: str, media_type: str, content: bytes, account_id: int) -> Callable[[], object]:
        report = letters.Report("x", file_name, media_type, content, [])
        return lambda: letters.queue_report(account_id, report, now=NOW)

    tries: Sequence[Callable[[], object]] = (
        refuses("a.csv", "text/csv", b"x" * (letters.MAX_FILE_BYTES + 1), town.it.id),
        refuses("a\r\nb.csv", "text/csv", b"", town.it.id),
        refuses("../a.csv", "text/csv", b"", town.it.id),
        refuses("a.csv", "text/csv; x=1\r\n", b"", town.it.id),
        refuses("a.csv", "text/csv", b"", 999),
    )
    for one in tries:
        with pytest.raises(FleetError):
            one()


def test_contents_survive_being_kept() -> None:
    item = letters.Item(AlertTopic.MISSING, "missing", Severity.SERIOUS, NOW, tablet="A1", detail={"x": 1})
    told = letters.Contents(LetterKind.DIGEST, "Kari", "http://x", NOW, items=(item,), counts={AlertTopic.MISSING: 1})
    assert letters.contents_of(told.plain()) == told


def test_a_school_has_a_bounded_number_of_webhooks(town: Town) -> None:
    draft = webhooks.Draft("Min", "https://example.no/x", [AlertTopic.FINDINGS], town.school.id)
    with transaction():
        made = [webhooks.create(draft, vault_key=VAULT, by=BY, now=NOW).webhook for _ in range(webhooks.MOST)]
    with pytest.raises(InvalidError) as caught, transaction():
        webhooks.create(draft, vault_key=VAULT, by=BY, now=NOW)
    assert caught.value.data["reason"] == "many"
    everywhere = webhooks.Draft("Alle", "https://example.no/y", [AlertTopic.JOBS])
    with transaction():
        webhooks.create(everywhere, vault_key=VAULT, by=BY, now=NOW)
        webhooks.remove(made[0].id, by=BY, now=NOW)
        webhooks.create(draft, vault_key=VAULT, by=BY, now=NOW)


def test_a_schools_it_decides_on_its_own_webhooks(town: Town) -> None:
    it = Principal("account", str(town.it.id), (Grant(Role.SCHOOL_IT, town.school.id),))
    draft = webhooks.Draft("Min", "https://example.no/x", [AlertTopic.FINDINGS], town.school.id)
    with transaction():
        made = webhooks.create(draft, vault_key=VAULT, by=it, now=NOW).webhook
        everywhere = webhooks.Draft("Alle", "https://example.no/y", [AlertTopic.JOBS])
        other = webhooks.create(everywhere, vault_key=VAULT, by=BY, now=NOW).webhook
    assert [one.name for one in webhooks.listed(by=it)] == ["Min"]
    assert [one.name for one in webhooks.listed(by=BY)] == ["Alle", "Min"]
    with pytest.raises(NotFoundError):
        webhooks.find(other.id, by=it)
    with pytest.raises(ForbiddenError):
        webhooks.create(everywhere, vault_key=VAULT, by=it, now=NOW)
    for bad in (
        webhooks.Draft("", "https://example.no/", [AlertTopic.FINDINGS]),
        webhooks.Draft("x", "https://10.0.0.1/", [AlertTopic.FINDINGS]),
        webhooks.Draft("x", "https://example.no/", []),
        webhooks.Draft("x", "https://example.no/", [AlertTopic.JOBS], town.school.id),
        webhooks.Draft("x", "https://example.no/", [AlertTopic.REPORTS]),
        webhooks.Draft("x", "https://example.no/", [AlertTopic.ESCALATED]),  # which no event is of
    ):
        with pytest.raises(InvalidError):
            webhooks.create(bad, vault_key=VAULT, by=BY, now=NOW)
    with transaction():
        changed_draft = webhooks.Draft("Ny", "https://example.no/z", [AlertTopic.MISSING], town.school.id)
        assert webhooks.change(made.id, changed_draft, by=it, now=NOW).topics == ["missing"]


def test_what_ended_long_ago_is_forgotten_and_what_waits_stays(town: Town) -> None:
    with transaction():
        draft = webhooks.Draft("x", "https://example.no/", [AlertTopic.FINDINGS])
        webhooks.create(draft, vault_key=VAULT, by=BY, now=NOW)
    finding = town.finding()
    town.plans()
    town.finding()
    town.plans()
    town.sets("finding", finding, closed_at=NOW)
    with transaction():
        for letter in db.session.scalars(select(Letter)):
            letter.state, letter.ended_at = LetterState.SENT, NOW
        for message in db.session.scalars(select(HookMessage)):
            message.ended_at = NOW
    later = NOW + timedelta(days=91)
    with transaction():
        assert retention.forget(older_than=timedelta(days=92), now=later, at_most=100) == 0
        assert retention.forget(older_than=timedelta(days=90), now=later, at_most=100) == 1 + 2 + 1 + 1
    assert len(db.session.scalars(select(AlertEvent)).all()) == 1


def test_the_ledger_of_findings_tells_by_itself(town: Town) -> None:
    with transaction():
        at = factories.device(town.school, class_id=town.of.id)
        found = Found("tampered", "", {}, severity=Severity.SERIOUS)
        ledger.write(ledger.Change(opened=[(at.id, found)]), now=NOW)
    town.plans()
    assert town.told() == {"it": ["at-once Mon 10:17 serious tampered"]}
    with transaction():
        ledger.write(ledger.Change(closed=list(db.session.scalars(select(Finding)))), now=NOW)
    assert db.session.scalars(select(AlertEvent)).one().ended_at == NOW


def test_what_grows_worse_is_told_anew_to_who_hears_of_that(town: Town) -> None:
    finding = town.finding()
    draft = webhooks.Draft("Vakt", "https://example.no/x", [AlertTopic.FINDINGS, AlertTopic.SERIOUS])
    with transaction():
        webhooks.create(draft, vault_key=VAULT, by=BY, now=NOW)
    town.plans()
    later = NOW + timedelta(days=3)
    town.sets("finding", finding, severity=Severity.SERIOUS, now=later)
    assert town.plans(later).letters == 1
    assert town.told() == {"it": ["digest Tue 08:00 findings storage-low", "at-once Thu 10:17 serious storage-low"]}
    assert town.plans(later + timedelta(minutes=1)) == planning.Planned(), "not one role up before a school day is over"
    assert [one.what for one in db.session.scalars(select(HookMessage).order_by(HookMessage.id))] == [
        "alert.raised", "alert.raised", "alert.ended",
    ]  # fmt: skip
    town.sets("finding", finding, closed_at=later, now=later)
    assert all(one.ended_at is not None for one in db.session.scalars(select(AlertEvent)))


def test_what_grows_milder_does_not_go_one_role_up(town: Town) -> None:
    finding = town.finding(kind="tampered", severity=Severity.SERIOUS)
    town.plans()
    town.sets("finding", finding, severity=Severity.NOTE)
    late = NOW + timedelta(days=1, minutes=5)
    assert town.plans(late) == planning.Planned()
    assert db.session.scalars(select(AlertEvent.topic)).one() is AlertTopic.FINDINGS


def test_the_ledger_tells_that_a_finding_matters_more(town: Town) -> None:
    finding = town.finding()
    town.plans()
    with transaction():
        found = Found(finding.kind, "", {}, severity=Severity.SERIOUS)
        ledger.write(ledger.Change(told={finding.id: found}, regraded=[finding.id]), now=NOW)
    town.plans()
    assert town.told()["it"] == ["digest Tue 08:00 findings storage-low", "at-once Mon 10:17 serious storage-low"]
