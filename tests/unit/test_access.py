"""Roles and permissions, as pure values."""

import pytest

from fleet import access
from fleet.access import Grant, Permission, Principal, Role
from fleet.errors import ForbiddenError

ADMIN = Principal("account", "1", (Grant(Role.MUNICIPAL_ADMIN, None),))
SCHOOL_IT = Principal("account", "2", (Grant(Role.SCHOOL_IT, 7),))
TEACHER = Principal("account", "3", (Grant(Role.TEACHER, 7),), frozenset({70, 71}))


@pytest.mark.parametrize("permission", list(Permission))
def test_the_municipal_administrator_may_everything_everywhere(permission: Permission) -> None:
    assert ADMIN.may(permission)
    assert ADMIN.may(permission, school_id=99, class_id=5)
    assert ADMIN.school_ids(permission) is None


@pytest.mark.parametrize("permission", list(Permission))
def test_one_without_grants_may_nothing(permission: Permission) -> None:
    assert not Principal("account", "9").may(permission, school_id=7, class_id=70)
    assert Principal("account", "9").school_ids(permission) == frozenset()


def test_school_it_acts_at_the_own_school_only() -> None:
    assert SCHOOL_IT.may(Permission.MANAGE_TICKETS, school_id=7)
    assert not SCHOOL_IT.may(Permission.MANAGE_TICKETS, school_id=8)
    assert not SCHOOL_IT.may(Permission.MANAGE_TICKETS)
    assert not SCHOOL_IT.may(Permission.ASSIGN_MUNICIPALITY, school_id=7)
    assert not SCHOOL_IT.may(Permission.IMPORT_ROSTER, school_id=7)
    assert SCHOOL_IT.school_ids(Permission.SEE_SCHOOL) == frozenset({7})


def test_a_teacher_sees_the_own_classes_only() -> None:
    assert TEACHER.may(Permission.SEE_CLASS, school_id=7, class_id=70)
    assert not TEACHER.may(Permission.SEE_CLASS, school_id=7, class_id=72)
    assert not TEACHER.may(Permission.SEE_CLASS, school_id=7)
    assert not TEACHER.may(Permission.SEE_CLASS, school_id=8, class_id=70)
    assert not TEACHER.may(Permission.SEE_SCHOOL, school_id=7)
    assert TEACHER.school_ids(Permission.SEE_CLASS) == frozenset()


def test_the_command_line_and_jobs_may_everything() -> None:
    assert Principal.command_line().may(Permission.RUN_JOBS)
    assert Principal.job("retention").may(Permission.RUN_JOBS)
    assert Principal.job("retention").id == "retention"


def test_require_names_the_missing_permission() -> None:
    access.require(ADMIN, Permission.RUN_JOBS)
    with pytest.raises(ForbiddenError) as refusal:
        access.require(TEACHER, Permission.RUN_JOBS)
    assert refusal.value.data == {"permission": "run-jobs"}
