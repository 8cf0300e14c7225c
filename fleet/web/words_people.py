"""What roles, permissions and accounts' standings are called on a page. Each table is total over its enumeration."""

from collections.abc import Iterable, Mapping

from fleet.access import PERMISSIONS, Permission, Role
from fleet.people.models import Account, AccountGrant
from fleet.people.queries import Standing, WhyNoClass, standing
from fleet.web.texts import translated as _
from fleet.web.words import BAD, GOOD, WAITING, Told


def role(one: Role) -> str:
    """Name a role."""
    return {
        Role.MUNICIPAL_ADMIN: _("Administrator"),
        Role.SCHOOL_IT: _("School IT"),
        Role.TEACHER: _("Teacher"),
    }[one]


def role_why(one: Role) -> str:
    """Say what a role is for."""
    return {
        Role.MUNICIPAL_ADMIN: _("May do everything, in the whole municipality."),
        Role.SCHOOL_IT: _("Looks after the tablets of a school, or of all schools."),
        Role.TEACHER: _("Holds lessons with the own classes, as the roster tells them."),
    }[one]


def grant(one: AccountGrant, names: Mapping[int, str]) -> str:
    """Say what somebody is, and where."""
    if one.role is Role.MUNICIPAL_ADMIN:
        return role(one.role)
    where = _("all schools") if one.school_id is None else names.get(one.school_id, _("a school that is gone"))
    return _("%(role)s, %(place)s", role=role(one.role), place=where)


def in_order(grants: Iterable[AccountGrant]) -> list[AccountGrant]:
    """Return roles in the order in which they are told."""
    return sorted(grants, key=lambda one: (list(Role).index(one.role), one.school_id or 0))


def how(account: Account) -> Told:
    """Say how an account stands."""
    return {
        Standing.ACTIVE: Told(_("Can sign in"), GOOD),
        Standing.NO_PASSWORD: Told(_("Has no password yet"), WAITING),
        Standing.DISABLED: Told(_("Closed"), BAD),
    }[standing(account)]


def standing_filter(one: Standing) -> str:
    """Name a standing that people can be narrowed to."""
    return {
        Standing.ACTIVE: _("Can sign in"),
        Standing.NO_PASSWORD: _("Has no password yet"),
        Standing.DISABLED: _("Closed"),
    }[one]


def permission(one: Permission) -> str:
    """Say what a permission lets one do."""
    return {
        Permission.SEE_SCHOOL: _("See a school's tablets, findings and lessons"),
        Permission.SEE_CLASS: _("See classes and who is in them"),
        Permission.IMPORT_ROSTER: _("Import the roster"),
        Permission.EDIT_CALENDAR: _("Set school days, hours and bell times"),
        Permission.EDIT_MUNICIPALITY: _("Set the municipality's name"),
        Permission.EDIT_SCHOOL: _("Set a school's networks and longest lesson"),
        Permission.IMPORT_DEVICES: _("Import delivery lists"),
        Permission.MANAGE_DEVICES: _("Move tablets, change whose they are, report them lost"),
        Permission.MANAGE_TICKETS: _("Make tickets for enrolment"),
        Permission.EDIT_PROFILES: _("Write and publish profiles"),
        Permission.ASSIGN_MUNICIPALITY: _("Assign profiles to the whole municipality"),
        Permission.ASSIGN_SCHOOL: _("Assign profiles to a school, its classes and tablets"),
        Permission.ORDER_GENTLE: _("Send messages, ring, restart"),
        Permission.ORDER_PRIVILEGED: _("Wipe, locate and clear passcodes"),
        Permission.TEACH: _("Hold lessons"),
        Permission.TEACH_ANY_TIME: _("Hold lessons outside school hours"),
        Permission.SHARE_SETS: _("Share sets with colleagues"),
        Permission.ANSWER_FINDINGS: _("Acknowledge, put off and close findings"),
        Permission.ENTER_ABSENCE: _("Say who is absent, and where a silent tablet is"),
        Permission.EDIT_RULES: _("Decide what is found about tablets"),
        Permission.EDIT_ALERTS: _("Decide who hears of what"),
        Permission.RUN_JOBS: _("See jobs and start them"),
        Permission.MANAGE_PEOPLE: _("Give people access"),
        Permission.READ_AUDIT: _("Read the audit log"),
    }[one]


def extent(of: Role, one: Permission) -> str:
    """Say where a role may do something; an empty text where it may not."""
    if one not in PERMISSIONS[of]:
        return ""
    return {
        Role.MUNICIPAL_ADMIN: _("Everywhere"),
        Role.SCHOOL_IT: _("At the school"),
        Role.TEACHER: _("Own classes"),
    }[of]


def why_none(one: WhyNoClass, username: str) -> str:
    """Say why a teacher's account has no class, and what to do."""
    return {
        WhyNoClass.NOT_IN_ROSTER: _(
            "The roster has no teacher with the user name %(username)s. Put the user name right in the school's own "
            "system and import the roster again; the classes are found at the next sign-in.",
            username=username,
        ),
        WhyNoClass.LEFT_ROSTER: _("The teacher is not in the roster any more."),
        WhyNoClass.OTHER_SCHOOLS: _(
            "The roster tells classes at other schools only. Give the role of a teacher there too."
        ),
        WhyNoClass.NO_CLASS: _("The roster tells no class for this teacher today."),
    }[one]
