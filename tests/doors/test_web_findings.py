"""The list of findings: what it shows, to whom, and how one comes to it."""

import re
from datetime import timedelta

import pytest
from flask import Flask

from fleet import clock
from fleet.compliance.models import Finding, FindingKind, Severity
from fleet.db import db, transaction
from fleet.devices.models import Device
from fleet.web.formats import NOTHING
from tests import factories, visiting
from tests.doors.test_web_pages import words
from tests.visiting import World, visit


@pytest.fixture
def world(app: Flask) -> World:
    """Return the small municipality, with a finding at every tablet: OWN1 has two."""
    made = visiting.build(app)
    with app.app_context(), transaction():
        visiting.finding(db.session.merge(made.tablet), FindingKind.OS_OUTDATED, found="16.7", expected="17.0")
        visiting.finding(db.session.merge(made.next_tablet), FindingKind.OS_OUTDATED)
        visiting.finding(db.session.merge(made.other_tablet), FindingKind.SILENT)
    return made


def rows(page: str) -> list[str]:
    """Return the serials of a page's findings, in its order."""
    return re.findall(r'<tr id="finding-\d+">.*?<th scope="row"><a [^>]*>([^<]+)</a>', page, re.DOTALL)


@pytest.mark.parametrize(
    ("username", "shown"),
    [
        ("admin", ["NEXT1", "OTHER1", "OWN1", "OWN1"]), ("it", ["NEXT1", "OWN1", "OWN1"]), ("other-it", ["OTHER1"]),
        ("teacher", ["OWN1", "OWN1"]), ("next-teacher", ["NEXT1"]), ("nobody", []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("query", ["", "?school_id={other}", "?kind=nonsense&school_id=x&page=-1"])
def test_everybody_sees_the_findings_of_their_own_tablets_whatever_the_address_asks(
    app: Flask, world: World, username: str, shown: list[str], query: str
) -> None:
    school = world.school if username == "other-it" else world.other_school
    visitor = visit(app, username)
    if "school_id={other}" in query and username == "admin":
        shown = ["OTHER1"]  # the one who may look there
    address = "/findings" + query.format(other=school.id)
    assert sorted(rows(visitor.get(address).text)) == sorted(rows(visitor.refresh(address).text)) == shown


@pytest.mark.parametrize(
    ("username", "schools"),
    [
        ("admin", ["Naboskolen", "Prøveskolen"]),
        ("it", ["Prøveskolen"]),
        ("other-it", ["Naboskolen"]),
        ("teacher", ["Prøveskolen"]),
        ("nobody", []),
    ],
)
def test_filter_names_ones_own_schools_only(app: Flask, world: World, username: str, schools: list[str]) -> None:
    page = visit(app, username).get("/findings").text
    choice = page.partition('name="school_id"')[2].partition("</select>")[0]
    assert sorted(re.findall(r">([^<>]+)</option>", choice)) == sorted(["Alle skoler", *schools])
    assert ("Naboskolen" in page) == ("Naboskolen" in schools)


@pytest.mark.parametrize(
    ("query", "shown", "count"),
    [
        ("kind=os-outdated", ["NEXT1", "OWN1"], "2 åpne funn på 2 nettbrett"),
        ("kind=app-blocked", ["OWN1"], "1 åpent funn på 1 nettbrett"),
        ("school_id={own}", ["NEXT1", "OWN1", "OWN1"], "3 åpne funn på 2 nettbrett"),
        ("school_id={other}&kind=silent", ["OTHER1"], "1 åpent funn på 1 nettbrett"),
        ("school_id={other}&kind=os-outdated", [], "0 åpne funn på 0 nettbrett"),
        ("school_id=999999999999999999999", ["NEXT1", "OTHER1", "OWN1", "OWN1"], "4 åpne funn på 3 nettbrett"),
    ],
)
def test_kind_and_school_in_the_address_narrow_the_list_and_the_form_tells_them(
    app: Flask, world: World, query: str, shown: list[str], count: str
) -> None:
    asked = query.format(own=world.school.id, other=world.other_school.id)
    page = visit(app, "admin").get(f"/findings?{asked}").text
    assert sorted(rows(page)) == shown
    assert count in words(page)
    assert ("Ingen åpne funn passer." in page) == (not shown)
    for told in asked.split("&"):
        if (value := told.partition("=")[2]) in {*FindingKind, str(world.school.id), str(world.other_school.id)}:
            assert f'<option value="{value}" selected>' in page


def test_list_comes_in_pages_newest_first_and_the_last_page_is_never_missed(app: Flask, world: World) -> None:
    begun = clock.now() - timedelta(days=1)
    with app.app_context(), transaction():
        devices: list[Device] = factories.tablets(world.school, 105)
        for number, device in enumerate(devices):
            made = Finding(device_id=device.id, kind=FindingKind.STORAGE_LOW, subject="", detail={})
            made.opened_at = begun + timedelta(minutes=number)
            made.severity, made.snoozed_until = Severity.SERIOUS, clock.now() + timedelta(days=2)
            db.session.add(made)
        serials = [device.serial for device in reversed(devices)]
    admin = visit(app, "admin")
    first = admin.get(f"/findings?kind=storage-low&school_id={world.school.id}").text
    assert len(first.encode()) <= 140_000  # with the most that a row says
    assert rows(first) == serials[:100]
    assert "105 åpne funn på 105 nettbrett" in words(first)
    assert "Side 1 av 2" in first
    assert f"/findings?kind=storage-low&amp;school_id={world.school.id}&amp;page=2" in first
    assert rows(admin.get("/findings?kind=storage-low&page=2").text) == serials[100:]
    assert rows(admin.get("/findings?kind=storage-low&page=999999999").text) == serials[100:]


def test_finding_says_where_and_what(app: Flask, world: World) -> None:
    told = words(visit(app, "it").get("/findings").text)
    assert (
        f"OWN1 TAG-OWN Prøveskolen {NOTHING} Gammelt system Har system 16.7, minst 17.0 er påkrevd. akkurat nå" in told
    )
    assert "NEXT1 Prøveskolen 9A Gammelt system" in told
    assert "Elev Prøve" not in told


def links(page: str) -> dict[str, str]:
    """Return where a page's links lead, by their words."""
    found = re.findall(r'<a [^>]*href="([^"]+)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return {words(inside): address.replace("&amp;", "&") for address, inside in found}


def test_a_teachers_page_leads_to_all_findings(app: Flask, world: World) -> None:
    with app.app_context(), transaction():
        for device in factories.tablets(world.school, 9, of_class=world.own_class):
            visiting.finding(device, FindingKind.STORAGE_LOW)
    page = visit(app, "teacher").get("/").text
    found = links(page)
    assert found["Bør sees på"] == found["Vis alle"] == "/findings"
    assert found["Gammelt system: 1"] == "/findings?kind=os-outdated"
    assert found["Lite lagringsplass: 9"] == "/findings?kind=storage-low"
    assert len(rows(page)) == 8
    assert "De 8 nyeste av 11" in page


def test_a_teachers_page_that_shows_all_findings_offers_no_more(app: Flask, world: World) -> None:
    page = visit(app, "teacher").get("/").text
    assert len(rows(page)) == 2
    assert "Vis alle" not in page


def test_teachers_class_leads_to_its_tablets_that_need_a_look(app: Flask, world: World) -> None:
    teacher = visit(app, "teacher")
    address = links(teacher.get("/").text)["1 bør sees på"]
    assert address == f"/tablets?state=findings&class={world.own_class.id}"
    assert "/tablets/OWN1" in teacher.get(address).text


def test_school_page_leads_to_its_own_tablets_that_need_a_look(app: Flask, world: World) -> None:
    page = visit(app, "it").get(f"/schools/{world.school.id}").text
    assert links(page)["Bør sees på"] == f"/tablets?school={world.school.id}&state=findings"


# -- what is done about them -------------------------------------------------------------------------------------------


def ids(app: Flask, serial: str | None = None) -> list[int]:
    """Return the numbers of all findings, or of those of a tablet."""
    with app.app_context():
        query = db.session.query(Finding).join(Finding.device).order_by(Finding.id)
        return [one.id for one in query if serial is None or one.device.serial == serial]


def next_monday() -> str:
    today = clock.now().date()
    return (today + timedelta(days=7 - today.weekday())).isoformat()


def test_several_are_acknowledged_with_a_note_and_it_is_taken_back(app: Flask, world: World) -> None:
    it = visit(app, "it")
    own = [str(one) for one in ids(app, "OWN1")]
    answer = it.post("/findings?kind=", id=own, act="acknowledge", note=" Meldt til leverandøren ")
    assert (answer.status_code, answer.location) == (303, "/findings")
    page = it.get("/findings").text
    assert "2 funn er kvittert for." in words(page)
    assert rows(it.get("/findings?attention=needs").text) == ["NEXT1"]
    assert rows(it.get("/findings?attention=acknowledged").text) == ["OWN1", "OWN1"]
    undo = re.search(r'action="(/findings/undo[^"]+)"', page)
    assert undo is not None
    assert it.post(undo[1].replace("&amp;", "&")).location == "/findings"
    assert rows(it.get("/findings?attention=acknowledged").text) == []
    told = words(it.get(f"/findings/{own[0]}").text)
    assert told.index("Hentet fram igjen") < told.index("Kvittert for Meldt til leverandøren · Prøve it")


def test_snoozed_finding_comes_back_on_the_morning_of_a_school_day(app: Flask, world: World) -> None:
    it, one = visit(app, "it"), ids(app, "NEXT1")[0]
    sunday = (clock.now().date() + timedelta(days=13 - clock.now().date().weekday())).isoformat()
    for wrong, told in ((sunday, "Det er ikke skole"), ("", "Velg dagen"), ("2020-01-06", "Velg en senere dag.")):
        answer = it.post(f"/findings/{one}", act="snooze", until=wrong, note="Notatet")
        assert answer.status_code == 400
        assert told in words(answer.text)
        assert 'aria-describedby="until-fault"' in answer.text
        assert 'value="Notatet"' in answer.text
    page = it.get(f"/findings/{one}").text
    offered = re.search(r'name="until" value="([^"]+)"', page)
    assert offered is not None
    assert it.post(f"/findings/{one}", act="snooze", until=offered[1]).status_code == 303
    assert "Utsatt til" in words(it.get("/findings").text)
    assert rows(it.get("/findings?attention=snoozed").text) == ["NEXT1"]
    it.post(f"/findings/{one}", act="wake")
    assert rows(it.get("/findings?attention=snoozed").text) == []


def test_closed_by_hand_is_in_the_history_and_opens_again(app: Flask, world: World) -> None:
    it, one = visit(app, "it"), ids(app, "NEXT1")[0]
    it.post("/findings", id=[str(one)], act="close", note="Levert tilbake")
    assert "NEXT1" not in rows(it.get("/findings").text)
    closed = it.get("/findings?attention=closed").text
    assert rows(closed) == ["NEXT1"]
    assert 'value="reopen"' in closed
    tablet = it.get("/tablets/NEXT1").text
    assert "Lukket for hånd" in words(tablet)
    assert "Lukket for hånd: Gammelt system" in words(it.get("/tablets/NEXT1/timeline").text)
    answer = it.post(f"/findings/{one}?back=tablet", act="reopen")
    assert answer.location == "/tablets/NEXT1"
    assert "1 funn er åpent igjen." in words(it.get("/tablets/NEXT1").text)
    assert "NEXT1" in rows(it.get("/findings").text)
    assert it.post(f"/findings/{one}", act="reopen").status_code == 400
    told = words(it.get(f"/findings/{one}").text)
    assert "Åpnet igjen" in told
    assert "Levert tilbake" in told


def test_severity_narrows_the_list(app: Flask, world: World) -> None:
    with app.app_context(), transaction():
        db.session.get_one(Finding, ids(app, "NEXT1")[0]).severity = Severity.SERIOUS
    admin = visit(app, "admin")
    page = admin.get("/findings?severity=serious").text
    assert rows(page) == ["NEXT1"]
    assert "Alvorlig" in words(page)
    assert '<option value="serious" selected>' in page


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"act": "acknowledge"}, "Velg minst ett funn."),
        ({"act": "nonsense", "id": "1"}, "Velg hva som skal gjøres"),
        ({"id": "x"}, "Velg hva som skal gjøres"),
    ],
)
def test_a_form_that_says_too_little_is_told_so(app: Flask, world: World, form: dict[str, str], told: str) -> None:
    answer = visit(app, "it").post("/findings?attention=needs", **form)
    assert answer.status_code == 400
    assert told in words(answer.text)
    assert '<option value="needs" selected>' in answer.text


def test_others_findings_cannot_be_answered(app: Flask, world: World) -> None:
    other, own = ids(app, "OTHER1")[0], ids(app, "OWN1")[0]
    it, teacher = visit(app, "it"), visit(app, "teacher")
    assert it.post("/findings", id=[str(own), str(other)], act="close").status_code == 404
    assert it.post(f"/findings/undo?act=reopen&ids={other}").status_code == 404
    assert teacher.post("/findings", id=[str(own)], act="close").status_code == 403
    page = teacher.get("/findings").text
    assert 'name="act"' not in page
    assert 'name="id"' not in page
    assert 'name="act"' not in teacher.get(f"/findings/{own}").text
    with app.app_context():
        assert db.session.query(Finding).filter(Finding.closed_at.is_not(None)).count() == 0


def test_undo_leads_to_our_own_pages_only(app: Flask, world: World) -> None:
    it, own = visit(app, "it"), ids(app, "OWN1")[0]
    for told in ("https://example.com/", "//example.com/findings", "/\\example.com"):
        answer = it.post("/findings/undo", page="/findings", token=it.token("/findings"))
        assert answer.status_code == 303
        answer = it.post(f"/findings/undo?act=wake&ids={own}&back={told}")
        assert str(answer.location).startswith("/")
        assert "example.com" not in str(answer.location)


def test_tablets_page_has_a_form_for_each_of_its_findings(app: Flask, world: World) -> None:
    it = visit(app, "it")
    page = it.get("/tablets/OWN1").text
    for one in ids(app, "OWN1"):
        assert f'action="/findings/{one}?back=tablet"' in page
    answer = it.post(f"/findings/{ids(app, 'OWN1')[0]}?back=tablet", act="acknowledge", note="")
    assert answer.location == "/tablets/OWN1"
    assert "Kvittert for" in words(it.get("/tablets/OWN1").text)


def test_what_somebody_sees_to_is_not_asked_about_on_today(app: Flask, world: World) -> None:
    admin = visit(app, "admin")
    page = admin.get("/").text
    assert "Gammelt system: 2" in words(page)
    assert "taust nettbrett" in words(page)
    found = links(page)
    assert rows(admin.get(found["Gammelt system: 2"]).text) == ["NEXT1", "OWN1"]
    admin.post("/findings", id=[str(ids(app, "NEXT1")[0]), str(ids(app, "OTHER1")[0])], act="acknowledge")
    page = words(admin.get("/").text)
    assert "Gammelt system: 1" in page
    assert "taust nettbrett" not in page
