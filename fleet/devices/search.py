"""Finding tablets by whatever somebody knows of them: serial, asset tag, model, cart, pupil or class.

Pure conditions, no statement of its own. Whoever uses them narrows to what the one who asks may see.
"""

from datetime import date

from sqlalchemy import ColumnElement, and_, or_, select

from fleet.devices.models import Device
from fleet.schools.finding import has, person_has, words
from fleet.schools.models import Membership, MembershipRole, Person, SchoolClass
from fleet.schools.queries import holding


def is_pupil(on: date | None) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which a membership makes somebody a class's pupil on a date."""
    return Membership.role == MembershipRole.PUPIL, *holding(on)


def matches(told: str, *, on: date | None) -> ColumnElement[bool]:
    """Whether a tablet has every word of a text somewhere: in what it is called, its pupil's name or its classes.

    Args:
        told: what was typed.
        on: the local date on which memberships count; None: all that the roster has not ended.
    """
    return and_(*(_has_word(word, on) for word in words(told)))


def _has_word(word: str, on: date | None) -> ColumnElement[bool]:
    columns = (Device.serial, Device.asset_tag, Device.model, Device.cart)
    persons = select(Person.id).where(person_has(word))
    classes = select(SchoolClass.id).where(has(SchoolClass.title, word), SchoolClass.ended_at.is_(None))
    pupils = select(Membership.person_id).where(Membership.class_id.in_(classes), *is_pupil(on))
    return or_(
        *(has(column, word) for column in columns),
        Device.person_id.in_(persons),
        Device.class_id.in_(classes),
        Device.person_id.in_(pupils),
    )
