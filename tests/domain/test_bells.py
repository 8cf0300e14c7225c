"""When lessons ring in and out: who decides, what holds where, and what cannot be."""

from datetime import time

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.db import reading, transaction
from fleet.errors import ForbiddenError, InvalidError, NotFoundError
from fleet.schools import bells
from fleet.schools.bells import Period
from tests import factories
from tests.conftest import NOW
from tests.races import together

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


def test_two_who_decide_on_different_weekdays_at_once_are_both_heard(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        here = factories.school("Her").id
    for minute in range(0, 30, 5):
        span = (time(8, minute), time(9))
        results = together(
            own_app,
            [lambda day=day, span=span: bells.set_days(here, [day], [span], by=ADMIN, now=NOW) for day in range(4)],  # type: ignore[misc]
        )
        assert not [one for one in results if isinstance(one, Exception)]
        with own_app.app_context(), reading():
            assert bells.own_periods(here) == [Period(day, *span) for day in range(4)]


def test_weekdays_that_others_have_decided_on_since_keep_their_bells(app: Flask) -> None:
    early, late = (time(8), time(9)), (time(10), time(11))
    with transaction():
        bells.set_days(None, [0, 1, 2], [early], by=ADMIN, now=NOW)
    with transaction():
        change = bells.set_days(None, [0, 1], [late], by=ADMIN, now=NOW)
        bells.set_days(None, [1], [], by=ADMIN, now=NOW)
        assert bells.put_back(None, change, by=ADMIN, now=NOW) == 1
        assert bells.periods(None) == [Period(0, *early), Period(2, *early)]
        assert bells.put_back(None, change, by=ADMIN, now=NOW) == 1


def test_a_school_is_not_left_with_the_bells_of_one_weekday(app: Flask) -> None:
    early, late = (time(8), time(9)), (time(10), time(11))
    with transaction():
        here = factories.school("Her")
        bells.set_days(None, range(5), [early], by=ADMIN, now=NOW)
        change = bells.set_days(here.id, [0], [late], by=ADMIN, now=NOW)
        bells.set_days(here.id, [1], [late], by=ADMIN, now=NOW)
        own = bells.own_periods(here.id)
        assert bells.put_back(here.id, change, by=ADMIN, now=NOW) == 5
        assert bells.own_periods(here.id) == own
        again = bells.set_periods(here.id, [], by=ADMIN, now=NOW)
        assert bells.put_back(here.id, again, by=ADMIN, now=NOW) == 0
        assert bells.own_periods(here.id) == own
        with pytest.raises(ForbiddenError):
            bells.put_back(None, again, by=Principal("account", "2", (Grant(Role.SCHOOL_IT, here.id),)), now=NOW)
