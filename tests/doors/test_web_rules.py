"""The pages of rules: what there is, changing it, and trying a draft before it counts."""

import re
from typing import Any

import pytest
from flask import Flask

from fleet.access import Principal
from fleet.compliance import ruling, trying
from fleet.compliance.models import ComplianceRule, Finding, FindingKind, Severity
from fleet.compliance.rules import Rule
from fleet.db import db, transaction
from tests import factories, visiting
from tests.doors.test_web_pages import words
from tests.visiting import Visitor, World, visit

CONDITION = "older(os.version, '99.0')"
BASE = {"title": "Gammel nettleser", "condition": CONDITION, "grace": "0", "unit": "minutes", "severity": "note"}
FORM: dict[str, Any] = {**BASE, "reach": "all", "platform": ["ipados", "android", "linux"]}


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    return visit(app, "admin")


def own_rule(app: Flask) -> Rule:
    """Return the one rule of the municipality's own."""
    with app.app_context():
        return next(one for one in ruling.rules(by=Principal.command_line()) if not one.is_shipped)


def make(admin: Visitor, **changes: Any) -> str:
    """Make a rule; returns its address."""
    answer = admin.post("/rules/new", **{**FORM, **changes}, do="save")
    assert answer.status_code == 303, words(answer.text)
    return str(answer.location)


def test_all_rules_are_listed_with_what_they_find_and_how_many_findings_are_open(admin: Visitor) -> None:
    page = admin.get("/rules").text
    assert len(re.findall(r'<tr id="rule-', page)) == 14
    row = words(page.partition('id="rule-app-blocked"')[2].partition("</tr>")[0])
    assert "Blokkert app Apper profilen blokkerer" in row
    assert "Bør rettes 30 minutter Overalt 1" in row
    assert 'href="/findings?kind=app-blocked"' in page
    assert "Ingen ennå." in words(page)


def test_school_it_sees_the_rules_and_is_offered_no_change(app: Flask, world: World) -> None:
    page = visit(app, "it").get("/rules").text
    assert 'id="rule-app-blocked"' in page
    assert "/switch" not in page
    assert "/rules/new" not in page
    page = visit(app, "it").get("/rules/app-blocked").text
    assert 'value="save"' not in page
    assert "profile.is_pending" in page


def test_a_rule_that_was_made_is_listed_by_its_title_and_asks_for_reviews(app: Flask, admin: Visitor) -> None:
    address = make(admin, grace="2", unit="days", shows="os.version\n\n  tablet.model ", stays=" ")
    rule = own_rule(app)
    assert (rule.title, rule.condition, rule.grace_min, rule.severity) == (
        "Gammel nettleser", CONDITION, 2880, Severity.NOTE,
    )  # fmt: skip
    assert (rule.stays, rule.platforms, rule.school_ids) == (None, None, None)
    assert [text for _name, text in rule.shows] == ["os.version", "tablet.model"]
    page = admin.get(address).text
    assert "Regelen er lagret." in words(page)
    assert re.search(r'name="grace" value="2"', page)
    assert '<option value="days" selected>' in page
    listed = words(admin.get("/rules").text)
    assert "Gammel nettleser" in listed
    assert "En endring er underveis: 0 av 3 nettbrett er sett på." in listed


def test_a_rule_counts_where_it_was_told_to(app: Flask, world: World, admin: Visitor) -> None:
    address = make(admin, reach="some", school=[str(world.school.id)], platform=["ipados"])
    rule = own_rule(app)
    assert (rule.school_ids, rule.platforms) == (frozenset({world.school.id}), frozenset({"ipados"}))
    assert "Prøveskolen · iPadOS" in words(admin.get("/rules").text)
    assert f'name="school" value="{world.school.id}" checked' in admin.get(address).text


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"title": ""}, "title", "Skriv en tittel"),
        ({"condition": " \n"}, "condition", "Skriv en betingelse."),
        ({"grace": "x"}, "grace", "Skriv et tall"),
        ({"grace": "400", "unit": "days"}, "grace", "Skriv et tall"),
        ({"severity": "dreadful"}, "severity", "Velg hvor viktig det er."),
        ({"reach": "some"}, "schools", "Velg minst én skole"),
        ({"platform": []}, "platforms", "Velg minst én type"),
        ({"shows": "os.version\nos.verson"}, "shows", "Linje 2, tegn 4: nettbrett har ikke noe felt «os.verson»."),
        ({"stays": "os.version =="}, "stays", "Tegn 14: her mangler det noe."),
    ],
)
def test_what_is_wrong_is_told_at_its_field_and_nothing_typed_is_lost(
    app: Flask, admin: Visitor, changes: dict[str, Any], field: str, told: str
) -> None:
    answer = admin.post("/rules/new", **{**FORM, **changes}, do="save")
    assert answer.status_code == 400
    assert told in words(answer.text)
    assert f'href="#{field}"' in answer.text
    assert f'id="{field}"' in answer.text
    if "condition" not in changes:
        assert "older(os.version, &#39;99.0&#39;)" in answer.text
    with app.app_context():
        assert db.session.query(ComplianceRule).count() == 0


@pytest.mark.parametrize("deed", ["save", "try", "tablet"])
def test_a_syntax_error_points_at_the_character(app: Flask, admin: Visitor, deed: str) -> None:
    wrong = {**FORM, "condition": "apps[].id\n  == = 'a'", "serial": "OWN1"}
    answer = admin.post("/rules/new", **wrong, do=deed)
    assert answer.status_code == 400
    assert "Linje 2, tegn 6: tegnet «=» har ingen mening her." in words(answer.text)
    caret = answer.text.partition('<pre class="caret"')[2].partition("</pre>")[0].partition(">")[2]
    line, _break, below = caret.partition("\n")
    assert re.sub(r"<mark>(.*)</mark>", r"\1", line) == "  == = &#39;a&#39;"
    assert below == "     ^"
    assert 'aria-describedby="condition-hint condition-fault" aria-invalid="true" data-caret="15"' in answer.text


def test_a_draft_is_tried_on_all_tablets_before_anything_counts(app: Flask, world: World, admin: Visitor) -> None:
    answer = admin.post("/rules/new", **FORM, do="try")
    assert answer.status_code == 200
    told = words(answer.text)
    assert "Ville åpnet 3 funn." in told
    assert "3 nettbrett er sett på." in told
    assert "Prøveskolen 2 Naboskolen 1" in told
    assert "/tablets/OWN1" in answer.text
    with app.app_context():
        assert db.session.query(ComplianceRule).count() == 0
        assert db.session.query(Finding).count() == 1


def test_a_draft_waits_while_another_is_tried_and_nothing_typed_is_lost(admin: Visitor) -> None:
    with trying.TURN:
        answer = admin.post("/rules/new", **FORM, do="try")
    assert answer.status_code == 409
    assert FORM["title"] in answer.text
    assert 'value="overwrite"' not in answer.text  # nobody has changed the rule
    assert "Ville åpnet 3 funn." in words(admin.post("/rules/new", **FORM, do="try").text)


def test_a_shipped_rule_that_is_tried_tells_what_it_would_close(admin: Visitor) -> None:
    form = {**FORM, "condition": "blocked && `false`"}
    told = words(admin.post("/rules/app-blocked", **form, version="0", do="try").text)
    assert "Ville åpnet 0 funn, lukket 1." in told


def test_a_draft_is_tried_on_one_tablet_found_by_serial_or_asset_tag(admin: Visitor) -> None:
    for name in ("own1", "TAG-OWN"):
        answer = admin.post("/rules/new", **FORM, serial=name, do="tablet")
        told = words(answer.text)
        assert "OWN1 ville fått 1 funn." in told
        assert "Betingelsen gir true" in told
        assert "&#34;platform&#34;: &#34;ipados&#34;" in answer.text
        assert "Elev Prøve" not in answer.text  # no person is in what a condition sees
    answer = admin.post("/rules/new", **{**FORM, "condition": "missing"}, serial="OWN1", do="tablet")
    assert "Ingenting blir funnet på OWN1." in words(answer.text)
    answer = admin.post("/rules/new", **FORM, serial="unknown", do="tablet")
    assert answer.status_code == 404
    assert "Ingen nettbrett har dette serie- eller inventarnummeret." in words(answer.text)
    assert 'href="#serial"' in answer.text


def test_who_was_late_is_told_and_may_save_over_it(app: Flask, admin: Visitor) -> None:
    address = make(admin)
    version = str(own_rule(app).version)
    admin.post(address, **{**FORM, "title": "Den andres"}, version=version, do="save")
    mine = {**FORM, "title": "Min"}
    answer = admin.post(address, **mine, version=version, do="save")
    assert answer.status_code == 409
    assert "Noen har endret regelen siden du åpnet den." in words(answer.text)
    assert 'value="overwrite"' in answer.text
    assert 'value="Min"' in answer.text
    assert own_rule(app).title == "Den andres"
    assert admin.post(address, **mine, version=version, do="overwrite").status_code == 303
    assert own_rule(app).title == "Min"


def test_a_rule_is_switched_off_and_on_again_by_the_notice(app: Flask, admin: Visitor) -> None:
    answer = admin.post("/rules/storage-low/switch?to=off")
    page = admin.get(str(answer.location)).text
    assert "«Lite lagringsplass» er slått av." in words(page)
    assert 'action="/rules/storage-low/switch?to=on"' in page
    assert "Regelen er slått av" in words(admin.get("/rules/storage-low").text)
    admin.post("/rules/storage-low/switch?to=on")
    with app.app_context():
        assert ruling.rule(FindingKind.STORAGE_LOW, by=Principal.command_line()).is_on


def test_a_changed_shipped_rule_is_had_as_it_came(app: Flask, admin: Visitor) -> None:
    by = Principal.command_line()
    with app.app_context():
        before = ruling.rule(FindingKind.STORAGE_LOW, by=by)
    form = {**FORM, "condition": "storage.free_percent < `3`"}
    assert admin.post("/rules/storage-low", **form, version=str(before.version), do="save").status_code == 303
    with app.app_context():
        assert ruling.rule(FindingKind.STORAGE_LOW, by=by).condition == "storage.free_percent < `3`"
    page = admin.get("/rules/storage-low").text
    assert 'action="/rules/storage-low/reset"' in page
    assert 'name="title"' not in page
    admin.post("/rules/storage-low/reset")
    with app.app_context():
        after = ruling.rule(FindingKind.STORAGE_LOW, by=by)
        assert (after.condition, after.stays) == (before.condition, before.stays)


def test_a_rule_of_ones_own_is_removed_and_its_findings_keep_its_title(
    app: Flask, world: World, admin: Visitor
) -> None:
    address = make(admin)
    code = own_rule(app).code
    with app.app_context(), transaction():
        visiting.finding(db.session.merge(world.tablet), FindingKind(FindingKind.SILENT))
        found = db.session.query(Finding).filter_by(kind=FindingKind.SILENT).one()
        found.kind, found.detail = code, {"os.version": "16.1"}
    for path in ("/findings", "/tablets/OWN1", "/tablets/OWN1/timeline", "/tablets", "/", "/tablets.csv"):
        assert "Gammel nettleser" in admin.get(path).text, path
        assert code not in words(admin.get(path).text), path
    assert "os.version: 16.1" in words(admin.get("/findings").text)
    answer = admin.post(f"{address}/remove")
    assert answer.location == "/rules"
    assert "«Gammel nettleser» er fjernet." in words(admin.get("/rules").text)
    assert admin.get(address).status_code == 404
    assert "Gammel nettleser" in admin.get("/tablets/OWN1/timeline").text


def test_help_names_every_field_with_an_example(admin: Visitor) -> None:
    page = admin.get("/rules/new").text
    assert "<code data-insert>os.version</code>" in page
    assert "<code>&#39;18.4&#39;</code>" in page
    assert "older(version, than)" in page


def test_hostile_titles_and_conditions_stay_text(app: Flask, admin: Visitor) -> None:
    make(admin, title="<script>alert(1)</script>", condition="tablet.cart == '<script>alert(2)</script>'")
    for path in ("/rules", f"/rules/{own_rule(app).code}", "/findings"):
        assert "<script>alert" not in admin.get(path).text


def test_pages_of_rules_ask_a_bounded_number_of_times(app: Flask, admin: Visitor, statements: list[str]) -> None:
    counts = []
    for round_ in range(2):
        for number in range(5):
            make(admin, title=f"Regel {round_} {number}")
        with app.app_context(), transaction():
            for number in range(5):
                factories.school(f"Skole {round_} {number}")
        for path in ("/rules", "/rules/new", "/rules/storage-low"):
            admin.get(path)
            statements.clear()
            assert admin.get(path).status_code == 200
            counts.append(len(statements))
    assert counts[:3] == counts[3:]
    assert max(counts) <= 15
