"""When lessons ring in and out: who decides, what holds where, and what cannot be."""

from datetime import time

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.db import transaction
from fleet.errors import ForbiddenError, InvalidError, NotFoundError
from fleet.schools import bells
from fleet.schools.bells import Period
from tests import factories
from tests.conftest import NOW

ADMIN = Principal("account", "1", (Grant(Role.MUNICIPAL_ADMIN, None),))


def period(begins: str, ends: str, weekday: int = 0) -> Period:
    return Period(weekday, time.fromisoformat(begins), time.fromisoformat(ends))


FIRST, SECOND = period("08:30", "09:15"), period("09:25", "10:10")


def test_a_school_has_the_municipalitys_bells_until_it_tells_its_own_and_again_when_it_forgets_them(app: Flask) -> None:
    with transaction():
        here, there = factories.school("Her"), factories.school("Der")
        bells.set_periods(None, [SECOND, FIRST], by=ADMIN, now=NOW)
        assert bells.told(here.id) == ([FIRST, SECOND], False)
        bells.set_periods(here.id, [SECOND], by=ADMIN, now=NOW)
        assert bells.told(here.id) == ([SECOND], True)
        assert bells.periods(there.id) == [FIRST, SECOND]
        assert (bells.own_periods(here.id), bells.own_periods(there.id)) == ([SECOND], [])
        assert bells.on_weekday(here.id, 1) == []
        bells.set_periods(here.id, [], by=ADMIN, now=NOW)
        assert bells.told(here.id) == ([FIRST, SECOND], False)
    assert [(one.action, one.subject, one.fields["count"]) for one in factories.audited()] == [
        ("bells.removed", f"bells:{here.id}", 0), ("bells.set", f"bells:{here.id}", 1), ("bells.set", "bells:municipality", 2),
    ]  # fmt: skip


def test_deciding_the_same_again_leaves_no_line_in_the_audit(app: Flask) -> None:
    with transaction():
        for _ in range(2):
            bells.set_periods(None, [FIRST, FIRST, SECOND], by=ADMIN, now=NOW)
    assert len(factories.audited()) == 1


def test_school_it_decides_for_its_own_school_only(app: Flask) -> None:
    with transaction():
        here, there = factories.school("Her"), factories.school("Der")
        it = Principal("account", "2", (Grant(Role.SCHOOL_IT, here.id), Grant(Role.TEACHER, there.id)))
        bells.set_periods(here.id, [FIRST], by=it, now=NOW)
        for elsewhere in (there.id, None):
            with pytest.raises(ForbiddenError, match="edit-calendar"):
                bells.set_periods(elsewhere, [FIRST], by=it, now=NOW)
        with pytest.raises(NotFoundError, match="school"):
            bells.set_periods(999_999, [FIRST], by=ADMIN, now=NOW)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ([period("09:15", "08:30")], "order"),
        ([period("09:15", "09:15")], "order"),
        ([period("09:15", "09:19")], "short"),
        ([FIRST, period("09:14", "10:00")], "overlap"),
        ([FIRST, period("08:30", "09:20")], "overlap"),
        ([period("08:30", "09:15", weekday=7)], "weekday"),
        ([period(f"{hour:02}:{minute:02}", f"{hour:02}:{minute + 20:02}") for hour in range(9) for minute in (0, 30)], "many"),
    ],
)  # fmt: skip
def test_periods_that_cannot_be_are_refused_and_nothing_changes(app: Flask, wanted: list[Period], reason: str) -> None:
    with transaction():
        bells.set_periods(None, [SECOND], by=ADMIN, now=NOW)
        with pytest.raises(InvalidError) as refusal:
            bells.set_periods(None, wanted, by=ADMIN, now=NOW)
        assert refusal.value.data["reason"] == reason
        assert bells.periods(None) == [SECOND]


def test_one_rings_in_when_the_other_rings_out_and_on_another_day_at_the_same_time(app: Flask) -> None:
    fits = [FIRST, period("09:15", "10:00"), period("08:30", "09:15", weekday=1)]
    with transaction():
        bells.set_periods(None, fits, by=ADMIN, now=NOW)
    assert bells.periods(None) == fits
