"""The audit's page: finding lines by what, who and when, a page at a time, and the same lines as a file."""

import csv
import io
import re
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

import pytest
from flask import Flask
from sqlalchemy import delete

from fleet import audit, clock, orders
from fleet.access import Principal
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.audit import AuditEntry
from fleet.db import db, transaction
from fleet.devices import bulk
from fleet.lessons.models import Lesson, LessonSet, SetKind
from fleet.orders import OrderKind, Wish
from fleet.people.models import Account
from fleet.schools import calendar_editing, editing
from fleet.web.pages import PAGE_SIZE
from tests import factories, visiting
from tests.doors.test_web_pages import words
from tests.visiting import Visitor, World

CLI = Principal.command_line()
AT = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    """Return the administrator; what building the world and signing in wrote is gone."""
    visitor = Visitor(app)
    assert visitor.sign_in("admin").status_code == 303
    with app.app_context(), transaction():
        db.session.execute(delete(AuditEntry))
    return visitor


def write(
    app: Flask, action: str, subject: str, *, by: Principal = CLI, at: datetime = AT, **fields: str | int | None
) -> int:
    with app.app_context(), transaction():
        audit.record(by, action, subject=subject, now=at, **fields)
        db.session.flush()
        return audit.lines(by=CLI, limit=1)[0].id


def person(app: Flask, username: str) -> Principal:
    with app.app_context():
        found = db.session.query(Account).filter_by(username=username).one()
        return Principal("account", str(found.id))


def shown(visitor: Visitor, **query: str | int) -> list[int]:
    page = visitor.get(f"/audit?{urlencode(query)}").text
    return [int(found) for found in re.findall(r'<tr id="line-(\d+)">', page)]


def test_line_says_in_words_who_did_what_with_what_and_leads_there(app: Flask, world: World, admin: Visitor) -> None:
    it = person(app, "it")
    write(app, "devices.moved", f"device:{world.tablet.id}", by=it, serial="OWN1", class_id=world.next_class.id)
    write(app, "classes.renamed", f"class:{world.own_class.id}", by=it, school_id=world.school.id)
    write(app, "people.signed-in", f"account:{it.id}", by=it)
    page = admin.get("/audit").text
    told = words(page.partition('id="audit-title"')[2])
    assert "Prøve it Nettbrett flyttet OWN1 klasse 9A" in told
    assert "8B skole Prøveskolen" in told
    assert "Logget inn egen konto" in told
    for address in ("/people/it", "/tablets/OWN1", f"/classes/{world.own_class.id}"):
        assert f'href="{address}"' in page
        assert admin.get(address).status_code == 200


def test_lines_are_found_by_what_they_are_about(app: Flask, world: World, admin: Visitor) -> None:
    tablet, school = world.tablet, world.school
    moved = write(app, "devices.moved", f"device:{tablet.id}", serial="OWN1")
    renamed = write(app, "schools.renamed", f"school:{school.id}", school_id=school.id)
    bells = write(app, "bells.set", f"bells:{school.id}", school_id=school.id)
    granted = write(app, "people.granted", f"account:{person(app, 'teacher').id}", role="teacher")
    refused = write(app, "enrolment.refused", "serial:NOSUCH", code="not-listed")
    with app.app_context(), transaction():
        version = factories.published("grunnoppsett-prove")
        profile = version.profile_id
        asked = orders.queue(
            [factories.enrolled(school, serial="RINGS1")], Wish(OrderKind.RING), by=CLI, now=clock.now()
        )
        order = audit.lines(audit.Filter(subjects=[f"order:{asked[0].id}"]), by=CLI)[0].id
    published = write(app, "profiles.published", f"profile:{profile}", profile="grunnoppsett-prove", version=1)
    for text, lines in {
        "own1": [moved], "TAG-OWN": [moved], "prøveskolen": [bells, renamed], "Prøve teacher": [granted],
        "nosuch": [refused], "RINGS1": [order], "grunnoppsett-prove": [published], f"school:{school.id}": [renamed],
        "finnes ikke": [],
    }.items():  # fmt: skip
        assert shown(admin, q=text) == lines, text


def test_lines_are_found_by_who_by_action_and_by_local_days(app: Flask, world: World, admin: Visitor) -> None:
    it, other = person(app, "it"), person(app, "other-it")
    ends = datetime(2026, 9, 14, 21, 59, 59, tzinfo=UTC)  # the last second of the fourteenth in Oslo
    one = write(app, "devices.moved", f"device:{world.tablet.id}", by=it, at=ends)
    two = write(app, "devices.lost", f"device:{world.tablet.id}", by=other, at=ends + timedelta(seconds=1))
    three = write(app, "tickets.created", "ticket:1", by=Principal.job("retention"), at=ends + timedelta(days=1))
    assert shown(admin) == [three, two, one]
    assert shown(admin, who="other-it") == [two]
    assert shown(admin, who="ingen som finnes") == []
    assert shown(admin, kind="job") == [three]
    assert shown(admin, kind="account") == [two, one]
    assert shown(admin, action="devices.") == [two, one]
    assert shown(admin, action="devices.lost") == [two]
    assert shown(admin, until="2026-09-14") == [one]
    assert shown(admin, **{"from": "2026-09-15", "until": "2026-09-15"}) == [three, two]
    assert shown(admin, **{"from": "2026-09-15", "action": "devices.", "kind": "account"}) == [two]
    assert shown(admin, action="no.such", kind="x", before="x", until="2026-99-99") == [three, two, one]


def test_a_name_that_many_have_leaves_none_of_them_out(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        numbers = [factories.account(f"mange{number}").id for number in range(25)]
    done = [write(app, "people.signed-in", f"account:{one}", by=Principal("account", str(one))) for one in numbers]
    assert shown(admin, who="Prøve mange") == done[::-1]
    assert shown(admin, q="Prøve mange") == done[::-1]
    assert shown(admin, who="Prøve mange", kind="account") == done[::-1]
    assert shown(admin, who="Prøve mange", kind="job") == []
    assert admin.get("/audit.csv?who=Prøve+mange").text.count("account:") == 2 * len(done)


def test_form_keeps_the_choice_and_an_empty_answer_shows_the_way_out(admin: Visitor) -> None:
    page = admin.get("/audit?q=finnes+ikke&action=devices.lost&kind=job&from=2026-09-14").text
    for kept in ('value="finnes ikke"', 'value="devices.lost" selected', 'value="job" selected', 'value="2026-09-14"'):
        assert kept in page
    assert "Ingen linjer passer. Vis alt" in words(page)
    assert "audit.csv" not in page


def test_pages_follow_each_other_without_loss_while_lines_come_in(app: Flask, admin: Visitor) -> None:
    made = [write(app, "tickets.created", f"ticket:{number}") for number in range(PAGE_SIZE + 2)]
    other = write(app, "tickets.revoked", "ticket:1")
    page = admin.get("/audit?action=tickets.created").text
    address = re.search(r'rel="next" href="([^"]+)"', page)
    assert address is not None
    write(app, "tickets.created", "ticket:9999")
    rest = admin.get(address[1].replace("&amp;", "&")).text
    first = [int(found) for found in re.findall(r'<tr id="line-(\d+)">', page)]
    second = [int(found) for found in re.findall(r'<tr id="line-(\d+)">', rest)]
    assert first + second == made[::-1]
    assert other not in first
    assert 'rel="next"' not in rest
    assert 'href="/audit?action=tickets.created"' in rest  # back to the newest


def test_file_has_all_lines_of_the_choice_and_a_name_that_is_a_formula_is_text(
    app: Flask, world: World, admin: Visitor
) -> None:
    it = person(app, "it")
    with app.app_context(), transaction():
        db.session.get_one(Account, int(it.id)).name = "=1+1"
    for number in range(PAGE_SIZE + 2):
        write(app, "devices.moved", f"device:{world.tablet.id}", by=it, serial="OWN1", count=number)
    write(app, "tickets.created", "ticket:1")
    answer = admin.get("/audit.csv?q=OWN1")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="hendelseslogg-\d{4}-\d\d-\d\d\.csv"', answer.headers["Content-Disposition"]
    )
    header, *rows = csv.reader(io.StringIO(answer.get_data().decode("utf-8-sig")), delimiter=";")
    assert len(header) == len(rows[0]) == 8
    assert len(rows) == PAGE_SIZE + 2
    assert rows[0] == [
        "2026-09-14 10:15:00", "'=1+1", f"account:{it.id}", "Nettbrett flyttet", "devices.moved", "OWN1",
        f"device:{world.tablet.id}", f"antall: {PAGE_SIZE + 1}",
    ]  # fmt: skip


@pytest.mark.parametrize("username", ["it", "teacher", "nobody"])
@pytest.mark.parametrize("path", ["/audit", "/audit.csv"])
def test_others_may_not_read_the_audit(app: Flask, world: World, username: str, path: str) -> None:
    visitor = Visitor(app)
    visitor.sign_in(username)
    assert visitor.get(path).status_code == 403


@pytest.mark.parametrize("query", ["", "?q=OWN1&who=it&kind=account&action=devices.&from=2026-01-01", "?q=Prøveskolen"])
def test_page_asks_the_database_as_often_for_many_lines_as_for_few(
    app: Flask, world: World, admin: Visitor, statements: list[str], query: str
) -> None:
    it = person(app, "it")

    def lines(count: int) -> None:
        for number in range(count):
            write(app, "devices.moved", f"device:{world.tablet.id}", by=it, serial="OWN1", class_id=world.own_class.id)
            write(app, "schools.renamed", f"school:{world.school.id}", by=it, school_id=world.school.id)
            write(app, "people.granted", f"account:{it.id}", by=it, school_id=world.school.id, count=number)

    counts = []
    for _round in range(2):
        lines(1 + 20 * _round)
        statements.clear()
        assert admin.get(f"/audit{query}").status_code == 200
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 15


def test_lines_name_what_their_numbers_stand_for(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        school, own = db.session.merge(world.school), db.session.merge(world.own_class)
        lesson_set = LessonSet(
            school_id=school.id, owner_id=None, shared=True, title="Bare nettsider", kind=SetKind.WEB, params={},
            created_at=AT,
        )  # fmt: skip
        own_id = own.id
        lesson = Lesson(class_id=own.id, holder_id=None, starts_at=AT, ends_at=AT, takes_unseen=False, created_at=AT)
        db.session.add_all([lesson_set, lesson])
        db.session.flush()
        given, set_id, lesson_id = factories.published("lesing"), lesson_set.id, lesson.id
        made, _count = assigning.assign(given, Place.school_class(own), by=CLI, now=AT)
        assigning.withdraw(made.id, by=CLI, now=AT)
        calendar_editing.set_day(
            date(2026, 12, 4), school_id=None, is_school_day=False, title="Plandag", by=CLI, now=AT
        )
        bulk.move([world.tablet.id], bulk.Target(school, None, "Vogn 3"), by=CLI, now=AT)
        editing.rename_class(own, "8C", by=CLI, now=AT)
    write(app, "lessons.changed", f"lesson:{lesson_id}", set_id=set_id)
    write(app, "lessons.plan-made", "lesson-plan:8", class_id=own_id, set_id=set_id)
    write(app, "enrolment.taken-in", f"device:{world.tablet.id}", serial="OWN1", channel="native")
    told = words(admin.get("/audit").text.partition('id="audit-title"')[2])
    for text in (
        "Profil tildelt lesing nivå Klasse skole Prøveskolen klasse 8C versjon 1",
        "Tildeling trukket tilbake lesing nivå Klasse skole Prøveskolen klasse 8C versjon 1",
        "dag fredag 4. desember",
        "tittel Plandag",
        "Nettbrett flyttet OWN1 skole Prøveskolen vogn Vogn 3",
        "8C skole Prøveskolen het 8B heter 8C",
        "Økt i 8C opplegg Bare nettsider",
        "Plan for 8C opplegg Bare nettsider",
        "kanal egen agent",
    ):
        assert text in told, text


def test_timeline_says_from_where_to_where_a_tablet_moved(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        school, other = db.session.merge(world.school), db.session.merge(world.other_school)
        tablet, near = world.next_tablet.id, db.session.merge(world.own_class)
        bulk.move([tablet], bulk.Target(school, near), by=CLI, now=clock.now())
        bulk.move([tablet], bulk.Target(other, None, "Vogn 3"), by=CLI, now=clock.now())
    told = words(admin.get("/tablets/NEXT1/timeline").text)
    assert "Flyttet fra 9A til 8B" in told
    assert "Flyttet fra 8B, Prøveskolen til Vogn 3, Naboskolen" in told
