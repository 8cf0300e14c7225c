"""Words for roles, permissions and settings are total, and a school year is drawn day by day."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from fleet.access import PERMISSIONS, Permission, Role
from fleet.errors import InvalidError, Problem
from fleet.people.models import Account, AccountGrant
from fleet.people.queries import Standing, WhyNoClass
from fleet.schools.calendar import Calendar, Day, Origin
from fleet.web import refusals_settings, school_year, words_calendar, words_people
from fleet.web.languages import NAMES
from tests.unit.test_web_texts import speaking

OSLO = ZoneInfo("Europe/Oslo")
_PROBLEMS = (
    "too-large", "empty", "not-utf8", "no-header", "duplicate-column", "bad-title", "bad-answer", "bad-range", "duplicate-day",
    "far-date", "bad-date", "ambiguous-school", "unknown-school", "too-many-days", "ragged-row", "missing-column", "bad-csv",
    "not-icalendar", "no-events", "too-many-events", "too-many-lines", "too-long", "bad-structure", "bad-event", "duplicate-property",
)  # fmt: skip


@pytest.mark.parametrize("language", NAMES)
def test_every_role_permission_and_standing_has_words(language: str) -> None:
    with speaking(language):
        told = [
            *(words_people.role(one) for one in Role),
            *(words_people.role_why(one) for one in Role),
            *(words_people.permission(one) for one in Permission),
            *(words_people.standing_filter(one) for one in Standing),
            *(words_people.why_none(one, "prove") for one in WhyNoClass),
            *(words_calendar.origin(one) for one in Origin),
            *(words_calendar.weekday(number) for number in range(7)),
            *(refusals_settings.problem(Problem("f", 2, "a", code, "x", "a column called a")) for code in _PROBLEMS),
        ]
        assert len({words_people.permission(one) for one in Permission}) == len(Permission)
        bells = [
            refusals_settings.bells(InvalidError(reason=reason, weekday=1))
            for reason in ("order", "short", "overlap", "many")
        ]
    assert all([*told, *bells])


def test_a_role_says_where_it_may_what_it_may_and_nothing_else() -> None:
    with speaking("nb"):
        for role in Role:
            for permission in Permission:
                assert bool(words_people.extent(role, permission)) is (permission in PERMISSIONS[role])


def test_roles_are_told_with_their_place_the_widest_first() -> None:
    grants = [
        AccountGrant(role=Role.TEACHER, school_id=1), AccountGrant(role=Role.SCHOOL_IT, school_id=None),
        AccountGrant(role=Role.SCHOOL_IT, school_id=9), AccountGrant(role=Role.MUNICIPAL_ADMIN, school_id=None),
    ]  # fmt: skip
    with speaking("nb"):
        told = [words_people.grant(one, {1: "Prøveskolen"}) for one in words_people.in_order(grants)]
    assert told == [
        "Administrator", "Skole-IT, alle skoler", "Skole-IT, en skole som ikke finnes lenger", "Lærer, Prøveskolen",
    ]  # fmt: skip


def test_an_account_without_a_password_waits_for_it() -> None:
    with speaking("nb"):
        assert words_people.how(Account(password_hash=None, disabled_at=None)).words == "Har ikke passord ennå"


def test_a_school_year_has_each_of_its_dates_once_in_its_weekdays_column() -> None:
    months = school_year.months(Calendar(OSLO), 2027)  # a leap year's February
    assert [month.first for month in months][::11] == [date(2027, 8, 1), date(2028, 7, 1)]
    cells = [cell for month in months for week in month.weeks for cell in week if cell is not None]
    assert [cell.on for cell in cells] == [date(2027, 8, 1) + timedelta(days=number) for number in range(366)]
    for month in months:
        for week in month.weeks:
            assert len(week) == 7
            assert all(cell is None or cell.on.weekday() == place for place, cell in enumerate(week))


def test_days_of_a_school_year_are_what_the_nearest_decision_says() -> None:
    autumn = [
        Day(date(2026, 10, day), is_school_day=False, title="Høstferie", origin=Origin.MUNICIPALITY) for day in (5, 6)
    ]
    saturday = Day(date(2026, 10, 17), is_school_day=True, title="Skoledag", origin=Origin.SCHOOL)
    calendar = Calendar(OSLO, {day.on: day for day in (*autumn, saturday)})
    october = school_year.months(calendar, 2026)[2]
    kinds = {cell.on.day: cell.kind for week in october.weeks for cell in week if cell is not None}
    assert (kinds[5], kinds[7], kinds[10], kinds[17]) == ("off", "school", "weekend", "extra")
    assert october.school_days == 22 - 2 + 1
    found = school_year.stretches(calendar, 2026)
    assert [(one.first.day, one.last.day) for one in found[:2]] == [(5, 6), (17, 17)]
    assert "Grunnlovsdag" in " ".join(one.day.title for one in found)


@pytest.mark.parametrize(
    ("on", "year"), [(date(2026, 7, 31), 2025), (date(2026, 8, 1), 2026), (date(2027, 1, 1), 2026)]
)
def test_a_date_is_of_the_school_year_that_began_last(on: date, year: int) -> None:
    assert school_year.year_of(on) == year
    first, last = school_year.bounds(year)
    assert first <= on <= last
