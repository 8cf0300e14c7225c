"""Rules are made, changed, switched, reset and removed; tablets follow by the job, and drafts are tried before."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from fleet import job_runs
from fleet.access import Grant, Principal, Role
from fleet.alerts.models import AlertEvent, AlertTopic
from fleet.checkins import receive
from fleet.checkins.receive import Report
from fleet.compliance import expressions, review, ruling, trying
from fleet.compliance.expressions import ExpressionError
from fleet.compliance.ledger import Reviewed
from fleet.compliance.models import ComplianceRule, Finding, FindingKind, FindingWait, Severity
from fleet.compliance.rules import Rule
from fleet.compliance.ruling import Draft, RuleChangedError, RuleInvalidError
from fleet.compliance.shipped import SHIPPED
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceState, Platform
from fleet.errors import ForbiddenError, NotFoundError
from tests import factories
from tests.conftest import NOW

ONE = Principal.command_line()
ADMIN = Principal("account", "1", (Grant(Role.MUNICIPAL_ADMIN, None),))
LONG_AGO = NOW - timedelta(days=2)
FEW, MANY = 10, 300
SMALL = Draft(None, "Lite plass", "storage.free_percent < `60`", shows=("storage.free_percent",))


def tablets(count: int, name: str = "Prøveskolen", **state: Any) -> Sequence[Device]:
    made = factories.in_use(factories.school(name), count)
    for one in made:
        factories.told(one, at=NOW, **state)
    return made


def follow() -> Reviewed:
    with transaction():
        return review.review_due(now=NOW)


def save(draft: Draft, **given: Any) -> Rule:
    with transaction():
        return ruling.save(draft, by=ONE, now=NOW, **given)


def open_kinds() -> list[str]:
    return sorted(db.session.scalars(select(Finding.kind).where(Finding.closed_at.is_(None))))


@pytest.fixture
def device(app: Flask) -> Device:
    with transaction():
        return tablets(1)[0]


def test_without_a_decision_all_rules_are_as_they_came(app: Flask, statements: list[str]) -> None:
    statements.clear()
    assert list(ruling.rules(by=ONE)) == list(SHIPPED.values())
    assert len(statements) == 1
    assert ruling.rule("clock-wrong", by=ONE) == SHIPPED["clock-wrong"]


def test_a_rule_of_ones_own_is_followed_by_the_job_and_ends_with_its_findings(device: Device) -> None:
    made = save(SMALL)
    assert (made.code, made.version, made.is_shipped, made.changed_by) == ("lite-plass", 1, False, "cli")
    assert [job for _, job in job_runs.asked(now=NOW)] == [ruling.DUE_REVIEWS]
    assert ruling.progress(now=NOW) == (1, 1)
    assert follow() == Reviewed(1, 1, 0)
    assert ruling.progress(now=NOW) == (0, 1)
    (found,) = db.session.scalars(select(Finding))
    assert (found.kind, found.detail, found.severity) == (
        "lite-plass", {"storage.free_percent": 50}, Severity.WARNING,
    )  # fmt: skip
    with transaction():
        ruling.remove("lite-plass", by=ONE, now=NOW)
    assert follow().closed == 1
    assert ruling.titles() == {"lite-plass": "Lite plass"}
    assert save(SMALL).code == "lite-plass-2"  # findings of the past name the other


def test_a_rule_is_for_its_schools_and_platforms_and_changes_review_only_those(app: Flask) -> None:
    with transaction():
        (here,), (there,) = tablets(1, "Her"), tablets(1, "Der")
        assert here.school_id is not None
        school_id = here.school_id
    save(Draft(None, "Bare her", SMALL.condition, school_ids=frozenset({school_id})))
    assert follow() == Reviewed(1, 1, 0)
    save(Draft("bare-her", "Bare her", SMALL.condition, platforms=frozenset({Platform.IPADOS})))
    assert follow() == Reviewed(1, 0, 1)
    assert there.state.has_findings is False


def test_a_shipped_rule_is_changed_switched_and_reset(device: Device) -> None:
    with transaction():
        device.state.clock_offset_s = 90
    shipped = SHIPPED["clock-wrong"]
    changed = save(Draft("clock-wrong", None, "abs(clock.offset_s) > `60`", severity=Severity.SERIOUS))
    assert (changed.condition, changed.shows, changed.is_shipped) == ("abs(clock.offset_s) > `60`", shipped.shows, True)
    follow()
    assert open_kinds() == ["clock-wrong"]
    with transaction():
        off = ruling.switch("clock-wrong", is_on=False, by=ONE, now=NOW)
    assert (off.is_on, off.version) == (False, 2)
    assert follow().closed == 1
    with transaction():
        back = ruling.reset("clock-wrong", by=ONE, now=NOW)
    assert (back.condition, back.severity, back.is_on, back.version) == (shipped.condition, shipped.severity, True, 3)
    follow()
    assert open_kinds() == []


def test_what_of_a_shipped_rule_nobody_changed_stays_the_servers(app: Flask) -> None:
    before = SHIPPED["storage-low"]
    told = {"condition": before.condition, "stays": before.stays, "severity": before.severity}
    saved = save(Draft("storage-low", None, **told, grace_min=60))  # type: ignore[arg-type]
    row = db.session.scalars(select(ComplianceRule)).one()
    assert row.condition is None
    assert (saved.condition, saved.stays, saved.grace_min) == (before.condition, before.stays, 60)


def test_a_severity_that_changed_is_told_of_findings_that_stand(device: Device) -> None:
    save(SMALL)
    follow()
    save(Draft("lite-plass", "Lite plass", SMALL.condition, severity=Severity.SERIOUS))
    assert follow() == Reviewed(1, 0, 0)
    assert db.session.scalars(select(Finding)).one().severity is Severity.SERIOUS


def test_a_grace_counts_from_when_something_was_first_noticed(device: Device) -> None:
    save(Draft(None, "Lite plass", SMALL.condition, grace_min=60))
    assert follow() == Reviewed(1, 0, 0)
    assert db.session.scalars(select(FindingWait.noticed_at)).all() == [NOW]
    due = NOW + timedelta(minutes=60)
    with transaction():
        review.review([device.id], now=NOW + timedelta(minutes=30))  # a report between
    assert device.state.review_at == due
    with transaction():
        assert review.review_due(now=due).opened == 1
    assert db.session.scalars(select(FindingWait)).all() == []


def test_what_is_noticed_no_more_is_forgotten(device: Device) -> None:
    save(Draft(None, "Lite plass", SMALL.condition, grace_min=60))
    follow()
    with transaction():
        device.state.storage_free_bytes = 60 * 2**30
        review.review([device.id], now=NOW)
    assert db.session.scalars(select(FindingWait)).all() == []
    assert device.state.review_at is None


@pytest.mark.parametrize(
    ("draft", "field", "reason"),
    [
        (Draft(None, " ", "missing"), "title", "empty"),
        (Draft(None, "x" * 121, "missing"), "title", "long"),
        (Draft(None, "lite PLASS", "missing"), "title", "taken"),
        (Draft(None, "Ny", "missing", grace_min=-1), "grace_min", "range"),
        (Draft(None, "Ny", "missing", shows=("missing",) * 9), "shows", "many"),
        (Draft(None, "Ny", "missing", school_ids=frozenset()), "school_ids", "none"),
        (Draft(None, "Ny", "missing", school_ids=frozenset({987})), "school_ids", "unknown"),
        (Draft(None, "Ny", "missing", platforms=frozenset()), "platforms", "none"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(app: Flask, draft: Draft, field: str, reason: str) -> None:
    save(SMALL)
    with pytest.raises(RuleInvalidError) as caught:
        save(draft)
    assert (caught.value.data["field"], caught.value.data["reason"]) == (field, reason)


def test_a_draft_with_a_fault_says_in_which_field_and_where(app: Flask) -> None:
    for name, draft in {
        "condition": Draft(None, "Ny", "os.versio"),
        "stays": Draft(None, "Ny", "missing", stays="os.versio"),
        "shows": Draft(None, "Ny", "missing", shows=("os.versio",)),
    }.items():
        with pytest.raises(ExpressionError) as caught:
            save(draft)
        assert (caught.value.data["field"], caught.value.data["position"]) == (name, 3)


def test_of_two_who_change_a_rule_the_second_is_told(app: Flask) -> None:
    save(SMALL)
    save(Draft("lite-plass", "Lite plass", "missing"), version=1)
    with pytest.raises(RuleChangedError) as caught:
        save(Draft("lite-plass", "Lite plass", "blocked"), version=1)
    assert caught.value.data == {"name": "lite-plass", "version": 2}


def test_only_administrators_change_rules_and_teachers_do_not_see_them(app: Flask) -> None:
    with transaction():
        at = factories.school()
    school_it = Principal("account", "2", (Grant(Role.SCHOOL_IT, at.id),))
    teacher = Principal("account", "3", (Grant(Role.TEACHER, at.id),), frozenset({1}))
    assert len(ruling.rules(by=school_it)) == len(SHIPPED)
    with pytest.raises(ForbiddenError):
        ruling.rules(by=teacher)
    for act in (
        lambda: ruling.save(SMALL, by=school_it, now=NOW),
        lambda: ruling.switch("clock-wrong", is_on=False, by=school_it, now=NOW),
        lambda: ruling.reset("clock-wrong", by=school_it, now=NOW),
        lambda: ruling.remove("clock-wrong", by=school_it, now=NOW),
        lambda: trying.over_fleet(SMALL, by=school_it, now=NOW),
        lambda: trying.on_tablet(SMALL, 1, by=school_it, now=NOW),
    ):
        with pytest.raises(ForbiddenError):
            act()
    for act in (
        lambda: ruling.remove("clock-wrong", by=ONE, now=NOW),  # which comes with the server
        lambda: ruling.reset("no-such", by=ONE, now=NOW),
        lambda: ruling.save(Draft("no-such", "x", "missing"), by=ONE, now=NOW),
    ):
        with pytest.raises(NotFoundError):
            act()


def test_each_change_has_a_line_in_the_audit(app: Flask) -> None:
    save(SMALL)
    save(Draft("lite-plass", "Lite plass", "missing"))
    with transaction():
        ruling.switch("lite-plass", is_on=False, by=ONE, now=NOW)
        ruling.switch("lite-plass", is_on=False, by=ONE, now=NOW)  # which it is
        ruling.switch("lite-plass", is_on=True, by=ONE, now=NOW)
        ruling.remove("lite-plass", by=ONE, now=NOW)
        ruling.reset("clock-wrong", by=ONE, now=NOW)  # as it is
    told = [one for one in factories.audited() if one.action.startswith("rules.")]
    assert [one.action for one in reversed(told)] == [
        "rules.added", "rules.changed", "rules.switched-off", "rules.switched-on", "rules.removed",
    ]  # fmt: skip
    assert told[0].fields == {"rule": "lite-plass", "title": "Lite plass", "version": 5}


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_rule_that_takes_too_much_opens_nothing_ends_nothing_and_stops_no_other(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        device.state.facts = {**(device.state.facts or {}), "apps": [{"id": f"no.{n}"} for n in range(500)]}
    save(Draft(None, "Grådig", "apps[?id == 'no.1'] && os.version"))
    follow()
    assert open_kinds() == ["gradig"]
    monkeypatch.setattr(expressions, "STEPS", 500)
    monkeypatch.setattr(review, "Evaluation", lambda now: expressions.Evaluation(now, steps=500))
    save(SMALL)
    assert follow() == Reviewed(1, 1, 0)
    assert open_kinds() == ["gradig", "lite-plass"]
    by_code = {one.code: one.failed_at for one in ruling.rules(by=ONE)}
    assert (by_code["gradig"], by_code["lite-plass"]) == (NOW, None)
    save(Draft("gradig", "Grådig", "missing"))
    assert ruling.rule("gradig", by=ONE).failed_at is None


def test_a_rule_that_cannot_be_read_any_more_stops_no_other(device: Device) -> None:
    save(SMALL)
    save(Draft(None, "Gammel", "os.version"))
    follow()
    assert open_kinds() == ["gammel", "lite-plass"]
    with transaction():
        db.session.execute(update(ComplianceRule).where(ComplianceRule.code == "gammel").values(condition="os.gone"))
        device.state.storage_free_bytes = 60 * 2**30
        assert review.review([device.id], now=NOW).closed == 1
    assert open_kinds() == ["gammel"]


# -- trying ------------------------------------------------------------------------------------------------------------


def test_a_draft_says_what_it_would_do_and_changes_nothing(app: Flask) -> None:
    with transaction():
        few, many = tablets(2, "Her"), tablets(3, "Der")
    tried = trying.over_fleet(SMALL, by=ADMIN, now=NOW)
    assert (tried.opens, tried.closes, tried.stays, tried.waits, tried.tablets) == (5, 0, 0, 0, 5)
    assert tried.by_school == {few[0].school_id: 2, many[0].school_id: 3}
    assert (tried.is_whole, tried.failed, len(tried.examples)) == (True, 0, 5)
    example = tried.examples[0]
    assert (example.serial, example.school, example.detail) == (few[0].serial, "Her", {"storage.free_percent": 50})
    assert db.session.scalars(select(Finding)).all() == []
    save(SMALL)
    follow()
    with transaction():
        few[0].state.storage_free_bytes = 63 * 2**30
    stricter = Draft("lite-plass", "Lite plass", "storage.free_percent > `90`")
    tried = trying.over_fleet(stricter, by=ADMIN, now=NOW)
    assert (tried.opens, tried.closes, tried.stays) == (0, 4, 1)  # the first has one already
    waiting = Draft(None, "Etter en time", SMALL.condition, grace_min=60)
    assert trying.over_fleet(waiting, by=ADMIN, now=NOW).waits == 4


def test_a_draft_says_what_it_sees_and_gives_of_one_tablet(device: Device) -> None:
    draft = Draft(None, "Ny", "apps[].id", grace_min=30)
    with transaction():
        device.state.facts = {**(device.state.facts or {}), "apps": [{"id": "no.a"}, {"id": "no.b"}]}
    tried = trying.on_tablet(draft, device.id, by=ADMIN, now=NOW)
    assert (tried.found, tried.waits_until, tried.value) == ((), NOW + timedelta(minutes=30), ["no.a", "no.b"])
    assert tried.document["os"] == {"version": "18.4", "minimum": None}
    at_once = Draft(None, "Ny", "apps[].id")
    assert trying.on_tablet(at_once, device.id, by=ADMIN, now=NOW).found == ("no.a", "no.b")
    elsewhere = Draft(None, "Ny", "apps[].id", platforms=frozenset({Platform.IPADOS}))
    tried = trying.on_tablet(elsewhere, device.id, by=ADMIN, now=NOW)
    assert (tried.is_for, tried.found, tried.value) == (False, (), ["no.a", "no.b"])
    with pytest.raises(NotFoundError):
        trying.on_tablet(draft, 98_765, by=ADMIN, now=NOW)


def test_a_draft_that_takes_too_much_says_so(device: Device) -> None:
    with transaction():
        device.state.facts = {"apps": [{"id": f"no.{number}"} for number in range(2_000)]}
    ones = f"`[{','.join('1' * 300)}]`"
    greedy = Draft(None, "Grådig", f"apps[?contains({ones}, id) || contains({ones[:200]}1]`, id)]")
    tried = trying.over_fleet(greedy, by=ADMIN, now=NOW)
    assert (tried.failed, tried.opens) == (1, 0)
    assert trying.on_tablet(greedy, device.id, by=ADMIN, now=NOW).has_failed


def test_a_trial_ends_when_its_time_is_over_and_says_that_it_is_not_whole(app: Flask) -> None:
    with transaction():
        tablets(3, "Her")
    tried = trying.over_fleet(SMALL, by=ADMIN, now=NOW, longest_s=0)
    assert (tried.tablets, tried.opens, tried.is_whole) == (0, 0, False)


def test_one_draft_is_tried_on_the_fleet_at_a_time(device: Device) -> None:
    with trying.TURN:
        with pytest.raises(trying.TrialRunningError):
            trying.over_fleet(SMALL, by=ADMIN, now=NOW)
        assert trying.on_tablet(SMALL, device.id, by=ADMIN, now=NOW).found == ("",)  # that is soon done
    with pytest.raises(ExpressionError):
        trying.over_fleet(Draft(None, "Ny", "æ"), by=ADMIN, now=NOW)
    assert trying.over_fleet(SMALL, by=ADMIN, now=NOW).is_whole
    assert not trying.TURN.locked()


# -- size --------------------------------------------------------------------------------------------------------------


def test_the_statements_of_a_changed_rule_and_of_a_trial_do_not_grow_with_tablets(
    app: Flask, statements: list[str]
) -> None:
    counted: dict[int, list[int]] = {}
    save(Draft(None, "Den første", "missing"))  # the job is asked for once, and asks nobody again
    for count in (FEW, MANY):
        with transaction():
            made = tablets(count, f"Skole {count}")
            here, ids = frozenset({made[0].school_id or 0}), [one.id for one in made]
        spent = []
        draft = Draft(None, f"Regel {count}", SMALL.condition, school_ids=here)
        for step in (lambda d=draft: trying.over_fleet(d, by=ONE, now=NOW), lambda d=draft: save(d), follow):
            statements.clear()
            done = step()
            spent.append(len(statements))
        assert done == Reviewed(count, count, 0)
        with transaction():
            db.session.execute(update(DeviceState).values(storage_free_bytes=64 * 2**30, review_at=NOW))
            statements.clear()
            review.review(ids, now=NOW)
        spent.append(len(statements))
        follow()
        counted[count] = spent
    assert counted[FEW] == counted[MANY]
    assert max(counted[MANY]) <= 14


def test_kinds_of_findings_are_no_codes_of_own_rules(app: Flask) -> None:
    assert save(Draft(None, "Silent", "missing")).code == "silent-2"
    assert save(Draft(None, "Æøå!", "missing")).code == "aeoa"
    assert save(Draft(None, "!!", "missing")).code == "rule"
    assert not {one.value for one in FindingKind} & {one.code for one in ruling.rules(by=ONE) if not one.is_shipped}


def test_what_changes_with_every_report_is_noticed_in_steps(app: Flask, statements: list[str]) -> None:
    with transaction():
        (made,) = tablets(1)
        factories.known_key(made, "k")
    save(Draft(None, "Lavt batteri", "battery.percent < `20`"))
    follow()
    seen = []
    for sequence, percent in enumerate((71, 69, 51, 20, 19, 12, 60), start=1):
        one = Report(
            device_id=made.id, key="k", sequence=sequence, report_id=f"r{sequence}", body_digest="b", applied=None,
            facts={}, battery_percent=percent,
        )  # fmt: skip
        statements.clear()
        with transaction():
            receive.receive([one], now=NOW)
        seen.append((open_kinds(), any("finding_wait" in text for text in statements)))
    assert [kinds for kinds, _ in seen] == [[], [], [], [], ["lavt-batteri"], ["lavt-batteri"], []]
    assert [was_reviewed for _, was_reviewed in seen] == [
        True,
        False,
        False,
        True,
        True,
        False,
        True,
    ]  # 20 is neither above nor below


def test_a_rule_that_matters_more_is_told_in_as_many_statements_for_many_tablets(
    app: Flask, statements: list[str]
) -> None:
    counts = []
    for number in (FEW, MANY):
        with transaction():
            tablets(number, f"Skole {number}")
        draft = Draft(None, f"Lite {number}", SMALL.condition)
        code = save(draft).code
        follow()
        save(Draft(code, draft.title, draft.condition, severity=Severity.SERIOUS))
        statements.clear()
        follow()
        counts.append(len(statements))
        topics = db.session.scalars(
            select(AlertEvent.topic).where(AlertEvent.kind == code, AlertEvent.ended_at.is_(None))
        ).all()
        assert set(topics) == {AlertTopic.SERIOUS}
        assert len(topics) >= number
    assert counts[0] == counts[1]
