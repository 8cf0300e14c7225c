"""Who may do what: roles, permissions and the value that stands for the one who acts.

Pure: no database. ``people`` makes a :class:`Principal` from a signed-in account; the command line on the server acts
as :func:`Principal.command_line`, which may do everything. Every use case takes ``by: Principal`` and asks
:func:`require` before it touches anything. A tablet has no Principal: its rights are its key.
"""

import enum
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from fleet.errors import ForbiddenError


class Role(enum.StrEnum):
    """What an account is, for one school or (school None) for the whole municipality."""

    MUNICIPAL_ADMIN = "municipal-admin"
    SCHOOL_IT = "school-it"
    TEACHER = "teacher"


class Permission(enum.StrEnum):
    """One thing that can be allowed."""

    SEE_SCHOOL = "see-school"
    SEE_CLASS = "see-class"
    IMPORT_ROSTER = "import-roster"
    EDIT_CALENDAR = "edit-calendar"
    EDIT_MUNICIPALITY = "edit-municipality"
    EDIT_SCHOOL = "edit-school"
    IMPORT_DEVICES = "import-devices"
    MANAGE_DEVICES = "manage-devices"
    MANAGE_TICKETS = "manage-tickets"
    EDIT_PROFILES = "edit-profiles"
    ASSIGN_MUNICIPALITY = "assign-municipality"
    ASSIGN_SCHOOL = "assign-school"
    ORDER_GENTLE = "order-gentle"
    ORDER_PRIVILEGED = "order-privileged"
    TEACH = "teach"
    TEACH_ANY_TIME = "teach-any-time"
    SHARE_SETS = "share-sets"
    ANSWER_FINDINGS = "answer-findings"
    ENTER_ABSENCE = "enter-absence"
    EDIT_RULES = "edit-rules"
    EDIT_ALERTS = "edit-alerts"
    RUN_JOBS = "run-jobs"
    MANAGE_PEOPLE = "manage-people"
    READ_AUDIT = "read-audit"


_SCHOOL_IT = frozenset(
    {
        Permission.SEE_SCHOOL,
        Permission.SEE_CLASS,
        Permission.EDIT_CALENDAR,
        Permission.EDIT_SCHOOL,
        Permission.IMPORT_DEVICES,
        Permission.MANAGE_DEVICES,
        Permission.MANAGE_TICKETS,
        Permission.ASSIGN_SCHOOL,  # school, its classes and its tablets
        Permission.ORDER_GENTLE,
        Permission.ORDER_PRIVILEGED,
        Permission.TEACH,
        Permission.TEACH_ANY_TIME,  # outside school hours
        Permission.SHARE_SETS,
        Permission.ANSWER_FINDINGS,
        Permission.ENTER_ABSENCE,
        Permission.EDIT_ALERTS,
    }
)

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.MUNICIPAL_ADMIN: frozenset(Permission),
    Role.SCHOOL_IT: _SCHOOL_IT,
    # For the teacher's own classes only, see Principal.may.
    Role.TEACHER: frozenset({Permission.SEE_CLASS, Permission.TEACH, Permission.ENTER_ABSENCE}),
}


_ALL = "all"  # a reach


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, at one school or (``school_id`` None) everywhere."""

    role: Role
    school_id: int | None


@dataclass(frozen=True, slots=True)
class Principal:
    """The one who acts.

    Args:
        kind: ``account``, ``cli``, ``job``, ``device`` or ``system``.
        id: account id, job name or device uid as text; empty for the command line.
        grants: the account's roles.
        own_class_ids: classes the account teaches now.
        today: the local date on which memberships count for it; None: all count that the roster has not ended.
    """

    kind: str
    id: str = ""
    grants: tuple[Grant, ...] = ()
    own_class_ids: frozenset[int] = frozenset()
    today: date | None = None

    @staticmethod
    def command_line() -> "Principal":
        """Return the one with a shell on the server, who may do everything."""
        return Principal("cli", grants=(Grant(Role.MUNICIPAL_ADMIN, None),))

    @staticmethod
    def job(name: str) -> "Principal":
        """Return the scheduled job ``name``, which may do everything."""
        return Principal("job", name, grants=(Grant(Role.MUNICIPAL_ADMIN, None),))

    @property
    def account_id(self) -> int | None:
        """The number of the account that acts; None where it is none."""
        return int(self.id) if self.kind == "account" else None

    @property
    def name(self) -> str:
        """How this one is named where it is stored who did something: ``account:17``, or ``cli``."""
        return f"{self.kind}:{self.id}".rstrip(":")

    def may(self, permission: Permission, *, school_id: int | None = None, class_id: int | None = None) -> bool:
        """Whether this one may do ``permission`` at the given school and class.

        Args:
            permission: what is to be done.
            school_id: the school it concerns; None means the whole municipality.
            class_id: the class it concerns, where it concerns one; a teacher needs it to be one's own.
        """
        for grant in self.grants:
            if permission not in PERMISSIONS[grant.role]:
                continue
            if grant.school_id is not None and grant.school_id != school_id:
                continue
            if grant.role is Role.TEACHER and class_id not in self.own_class_ids:
                continue
            return True
        return False

    def is_at(self, school_id: int) -> bool:
        """Whether this one has a role at a school, or everywhere."""
        return any(one.school_id in {None, school_id} for one in self.grants)

    def school_ids(self, permission: Permission) -> frozenset[int] | None:
        """Return the schools where this one has ``permission`` for everything in them; None means all schools."""
        found: set[int] = set()
        for grant in self.grants:
            if permission in PERMISSIONS[grant.role] and grant.role is not Role.TEACHER:
                if grant.school_id is None:
                    return None
                found.add(grant.school_id)
        return frozenset(found)

    def reach(self) -> list[str]:
        """Return whose figures and tablets reports tell this one of: ``all``, or schools and classes (``school:3``)."""
        schools = self.school_ids(Permission.SEE_SCHOOL)
        if schools is None:
            return [_ALL]
        return [*(f"school:{one}" for one in sorted(schools)), *(f"class:{one}" for one in sorted(self.own_class_ids))]

    def reaches(self, kept: Collection[str]) -> bool:
        """Whether this one may see what somebody of that :meth:`reach` was told of."""
        own = self.reach()
        return own == [_ALL] or set(kept) <= set(own)


def require(
    by: Principal, permission: Permission, *, school_id: int | None = None, class_id: int | None = None
) -> None:
    """Refuse unless ``by`` may.

    Raises:
        ForbiddenError: the permission is missing; data names it.
    """
    if not by.may(permission, school_id=school_id, class_id=class_id):
        raise ForbiddenError(permission=permission.value)
