"""What is worth a look about a tablet, decided from values alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.assignments import ready_made
from fleet.compliance import documents, rules, shipped, steps
from fleet.compliance.documents import Seen, Wanted
from fleet.compliance.expressions import Evaluation
from fleet.compliance.models import FindingKind
from fleet.compliance.quiet import Limits, Tablet, expected_seconds
from fleet.compliance.rules import Name, Outcome, Past
from fleet.compliance.versions import is_older
from fleet.devices.models import Platform
from fleet.schools.calendar import Calendar
from profiles import catalogue

NOW = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=2)
GIB = 2**30
OSLO = ZoneInfo("Europe/Oslo")
WELL = Seen(
    {"os_version": "18.4", "apps": [{"id": "no.a"}], "storage_total_bytes": 100 * GIB},
    applied_digest="d",
    applied_at=LONG_AGO,
    desired_digest="d",
    desired_at=LONG_AGO,
    storage_free_bytes=50 * GIB,
    clock_offset_s=3,
)
MISSING = (FindingKind.APP_MISSING, "no.b")


SHIPPED = rules.ready(shipped.SHIPPED.values())
PROFILE_GRACE = timedelta(minutes=shipped.PROFILE_GRACE_MIN)


def judge(seen: Seen, wanted: Wanted, *is_open: Name, now: datetime = NOW) -> Outcome:
    mine = [one for one in SHIPPED if one.rule.is_for(seen.platform, seen.school_id)]
    return rules.judge(mine, documents.document(seen, wanted), Past(set(is_open)), Evaluation(now))


def names(seen: Seen, *is_open: Name, now: datetime = NOW, **wanted: Any) -> list[Name]:
    return [found.name for found in judge(seen, Wanted(**wanted), *is_open, now=now).findings]


def again(seen: Seen, *, now: datetime = NOW, **wanted: Any) -> datetime | None:
    return judge(seen, Wanted(**wanted), now=now).again_at


def test_a_tablet_that_is_as_it_shall_be_has_no_findings() -> None:
    assert names(WELL, minimum_os="18.4", required=frozenset({"no.a"}), blocked=frozenset({"no.x"})) == []
    assert again(WELL) is None


@pytest.mark.parametrize(
    ("polls", "since", "expected"),
    [
        (2, timedelta(days=1), False),
        (3, timedelta(minutes=9), False),
        (3, timedelta(minutes=10), True),
        (9, timedelta(days=1), True),
    ],
)
def test_a_profile_is_missing_after_three_reports_and_ten_minutes(polls: int, since: timedelta, expected: bool) -> None:
    seen = replace(WELL, applied_digest="old", polls_pending=polls, desired_at=NOW - since)
    assert ((FindingKind.PROFILE_MISSING, "") in names(seen)) is expected


def test_a_profile_whose_grace_runs_is_looked_at_again_when_it_is_over() -> None:
    seen = replace(WELL, applied_digest=None, polls_pending=3, desired_at=NOW)
    due = again(seen)
    assert due == NOW + PROFILE_GRACE
    assert again(replace(seen, polls_pending=2)) is None  # the next report leads to a review
    assert names(seen, now=due) == [(FindingKind.PROFILE_MISSING, "")]
    assert again(seen, now=due) is None


def test_a_missing_profile_stays_missing_when_another_is_asked_for() -> None:
    seen = replace(WELL, applied_digest="old", polls_pending=0, desired_at=NOW)
    assert names(seen, (FindingKind.PROFILE_MISSING, "")) == [(FindingKind.PROFILE_MISSING, "")]
    assert names(replace(seen, applied_digest="d"), (FindingKind.PROFILE_MISSING, "")) == []


def test_a_tablet_that_shall_have_nothing_misses_no_profile() -> None:
    assert names(replace(WELL, desired_digest=None, desired_at=None, polls_pending=9)) == []


def test_a_desired_profile_without_an_instant_counts_as_old() -> None:
    seen = replace(WELL, applied_digest=None, desired_at=None, polls_pending=3)
    assert names(seen) == [(FindingKind.PROFILE_MISSING, "")]


def test_apps_missing_and_blocked_are_named_one_by_one() -> None:
    found = names(WELL, required=frozenset({"no.b", "no.a", "no.c"}), blocked=frozenset({"no.a", "no.z"}))
    assert found == [
        (FindingKind.APP_MISSING, "no.b"),
        (FindingKind.APP_MISSING, "no.c"),
        (FindingKind.APP_BLOCKED, "no.a"),
    ]


def test_an_app_that_is_hidden_counts_as_there_but_not_as_one_that_is_blocked_in_vain() -> None:
    hidden = replace(WELL, facts={**WELL.facts, "apps": [{"id": "no.a", "version": "1", "is_hidden": True}]})
    assert names(hidden, required=frozenset({"no.a"}), blocked=frozenset({"no.a"})) == []


@pytest.mark.parametrize("moment", ["applied_at", "desired_at"])
def test_a_fresh_assignment_gives_apps_time(moment: str) -> None:
    fresh: dict[str, Any] = {moment: NOW - timedelta(minutes=29)}
    seen = replace(WELL, **fresh)
    required = frozenset({"no.b"})
    assert names(seen, required=required) == []
    due = again(seen, required=required)
    assert due == NOW + timedelta(minutes=1)
    assert names(seen, required=required, now=due) == [MISSING]


def test_apps_are_not_judged_anew_before_the_profile_has_arrived() -> None:
    seen = replace(WELL, applied_digest="old")
    assert names(seen, required=frozenset({"no.b"})) == []
    assert again(seen, required=frozenset({"no.b"})) is None


def test_an_open_app_finding_survives_a_switch_of_profiles_but_not_its_reason() -> None:
    switched = replace(WELL, applied_digest="old", desired_at=NOW)
    assert names(switched, MISSING, required=frozenset({"no.b", "no.c"})) == [MISSING]
    assert names(switched, MISSING, required=frozenset({"no.c"})) == []


def test_a_tablet_without_any_of_its_apps_has_a_bounded_number_of_findings() -> None:
    assert len(names(WELL, required=frozenset(f"no.app{n}" for n in range(500)))) == rules.MAX_OF_A_KIND


def test_a_finding_stays_while_its_reason_does_however_many_others_come_before_it() -> None:
    rule = rules.ready([rules.Rule("own", "apps[].id", is_shipped=False)])

    def found(count: int, *is_open: str) -> list[str]:
        seen = replace(WELL, facts={"apps": [{"id": f"no.{number:03}"} for number in range(count)]})
        past = Past({("own", one) for one in is_open})
        outcome = rules.judge(rule, documents.document(seen, Wanted()), past, Evaluation(NOW))
        return [one.subject for one in outcome.findings]

    last = [f"no.{number:03}" for number in range(60, 60 + rules.MAX_OF_A_KIND)]
    assert found(200, *last) == last
    assert found(200, "no.150") == ["no.150", *(f"no.{number:03}" for number in range(rules.MAX_OF_A_KIND - 1))]
    assert found(100, "no.150") == [f"no.{number:03}" for number in range(rules.MAX_OF_A_KIND)]


@pytest.mark.parametrize("apps", [None, [], ["no.a"], [{"id": 7}]])
def test_apps_told_oddly_are_no_apps(apps: Any) -> None:
    seen = replace(WELL, facts={"apps": apps})
    assert names(seen, required=frozenset({"no.a"})) == [(FindingKind.APP_MISSING, "no.a")]


def test_settings_that_failed_are_one_finding_naming_those_we_know() -> None:
    told = [{"key": "camera.allowed", "reason": "x"}, {"key": "Elev var her", "reason": "y"}]
    (found,) = judge(replace(WELL, failures=told), Wanted()).findings
    assert found.name == (FindingKind.SETTINGS_FAILED, "")
    assert found.detail == {"settings": ["camera.allowed"], "count": 2}


@pytest.mark.parametrize(
    ("found", "minimum", "older"),
    [
        ("18.3.9", "18.4", True),
        ("18.10", "18.9", False),
        ("18", "18.0.0", False),
        ("18.0", "18.0.1", True),
        ("iPadOS 17.7.2 (21H221)", "18", True),
        ("Ubuntu 24.04.1 LTS", "24.04", False),
        ("6.1.0-13-amd64", "6.2", True),
        ("9", "10", True),
        ("trixie/sid", "12", False),
        ("", "12", False),
        ("1" * 200, "2", False),
    ],
)
def test_versions_compare_by_number(found: str, minimum: str, older: bool) -> None:
    assert is_older(found, minimum) is older


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_of_two_versions_at_most_one_is_older(a: list[int], b: list[int]) -> None:
    one, other = (".".join(map(str, numbers)) for numbers in (a, b))
    assert not (is_older(one, other) and is_older(other, one))
    assert is_older(one, other) == (a + [0] * (4 - len(a)) < b + [0] * (4 - len(b)))


def test_an_old_system_is_found_with_both_versions() -> None:
    (found,) = judge(WELL, Wanted(minimum_os="18.5")).findings
    assert (found.kind, found.detail) == (FindingKind.OS_OUTDATED, {"found": "18.4", "expected": "18.5"})
    assert names(replace(WELL, facts={"os_version": None}), minimum_os="18.5") == []


@pytest.mark.parametrize(("free", "is_open", "expected"), [
    (10.0, False, False), (9.99, False, True), (10.0, True, True), (11.99, True, True), (12.0, True, False),
])  # fmt: skip
def test_storage_is_low_below_the_limit_and_enough_a_little_above_it(
    free: float, is_open: bool, expected: bool
) -> None:
    name = (FindingKind.STORAGE_LOW, "")
    seen = replace(WELL, storage_free_bytes=int(free * GIB))
    assert (name in names(seen, *([name] if is_open else []))) is expected


def test_storage_is_measured_against_the_profile_and_not_guessed() -> None:
    assert names(WELL, keep_free_percent=51) == [(FindingKind.STORAGE_LOW, "")]
    assert names(replace(WELL, storage_free_bytes=None), keep_free_percent=50) == []
    assert names(replace(WELL, facts={"storage_total_bytes": 0}), keep_free_percent=50) == []
    assert names(replace(WELL, facts={}), keep_free_percent=50) == []


@pytest.mark.parametrize(("offset", "expected"), [(120, False), (121, True), (-3600, True), (None, False)])
def test_a_clock_is_wrong_beyond_two_minutes(offset: int | None, expected: bool) -> None:
    assert ((FindingKind.CLOCK_WRONG, "") in names(replace(WELL, clock_offset_s=offset))) is expected


def test_a_minimum_of_one_system_is_not_for_another() -> None:
    asked = {Platform.IPADOS: "17.0", Platform.ANDROID: "13"}
    pc = replace(WELL, facts={"os_version": "12"}, platform=Platform.LINUX)
    assert names(pc, minimum_by_platform=asked) == []
    assert names(replace(pc, platform=None), minimum_by_platform=asked) == []
    for platform, expected in asked.items():
        (found,) = judge(replace(pc, platform=platform), Wanted(minimum_by_platform=asked)).findings
        assert found.detail == {"found": "12", "expected": expected}


@pytest.mark.parametrize("of_school", ready_made.FOR_SCHOOLS)
def test_the_first_profiles_find_nothing_wrong_with_a_linux_machine(of_school: str) -> None:
    first = {one.name: one.settings for one in catalogue.load()}
    wanted = Wanted.of({**first[ready_made.FOR_ALL], **first[of_school]})
    pc = replace(WELL, facts={"os_version": "12", "apps": [{"id": "org.gnome.Epiphany"}]}, platform=Platform.LINUX)
    assert judge(pc, wanted) == Outcome()


def test_of_a_systems_minimum_and_that_of_any_the_newer_counts() -> None:
    asked = {Platform.IPADOS: "17.0"}
    seen = replace(WELL, facts={"os_version": "16"}, platform=Platform.IPADOS)
    for general, expected in (("9", "17.0"), ("18", "18")):
        wanted = Wanted(minimum_os=general, minimum_by_platform=asked)
        (found,) = judge(seen, wanted).findings
        assert found.detail["expected"] == expected


def test_what_settings_ask_for_is_read_with_the_vocabularys_defaults() -> None:
    assert Wanted.of({}) == Wanted(None, frozenset(), frozenset(), 10)
    told = {"os.minimum_version": "18", "apps.required": ["a.b"], "apps.blocked": None, "storage.keep_free_percent": 20}
    assert Wanted.of(told) == Wanted("18", frozenset({"a.b"}), frozenset(), 20)
    assert Wanted.of({"os.minimum_ipados": "17.0"}).minimum_by_platform == {Platform.IPADOS: "17.0"}


@pytest.mark.parametrize(
    ("heard", "now", "expected"),
    [
        ("2026-09-14 08:15", "2026-09-14 14:14", False),
        ("2026-09-14 08:15", "2026-09-14 14:15", True),  # exactly six hours of school
        ("2026-09-11 14:00", "2026-09-14 08:15", False),  # over a weekend
        ("2026-06-30 15:00", "2026-06-30 23:00", False),
        ("2026-09-14 12:00", "2026-09-14 08:00", False),  # a clock that runs ahead
    ],
)
def test_silence_is_counted_in_school_time(heard: str, now: str, expected: bool) -> None:
    a, b = (datetime.fromisoformat(text).replace(tzinfo=OSLO) for text in (heard, now))
    quiet = Tablet(1, None, None, a, expected_seconds(Calendar(OSLO), a, b))
    assert (steps.wanted(quiet, Limits(silent=timedelta(hours=6)), b) is FindingKind.SILENT) is expected
