"""What a municipality and its schools have decided about lessons and orders, and who may decide it.

Deciding the same again changes nothing and leaves no audit line. Each decision holds the row that it is about, so that
two at once are two in a row.
"""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import db
from fleet.errors import InvalidError, NotFoundError
from fleet.schools.models import Municipality, School

MAX_NETWORKS = 64
MAX_NAME = 120
SHORTEST_LESSON_MIN, LONGEST_LESSON_MIN = 15, 480
_WIDEST = {4: 8, 6: 16}  # prefix lengths: what is wider is no school's network, but a slip of the finger
_MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4 addresses written as IPv6 ones. Source: RFC 4291, section 2.5.5.2
_FOUND_SHOWN = 64


def is_second_person_needed() -> bool:
    """Whether an order that cannot be undone, or tells where a child is, needs another person's yes."""
    found = db.session.get(Municipality, 1)
    return found is None or found.second_person


def set_second_person(*, needed: bool, by: Principal, now: datetime) -> None:
    """Decide whether such orders need a second person. What was asked for before still does.

    Raises:
        ForbiddenError: ``by`` may not decide for the municipality.
        NotFoundError: there is no municipality yet.
    """
    require(by, Permission.EDIT_SCHOOL)
    municipality = db.session.get(Municipality, 1, with_for_update=True, populate_existing=True)
    if municipality is None:
        raise NotFoundError(kind="municipality")
    if municipality.second_person == needed:
        return
    municipality.second_person = needed
    action = "orders.second-person-on" if needed else "orders.second-person-off"
    audit.record(by, action, subject="municipality:1", now=now)
    db.session.flush()


def rename(name: str, *, by: Principal, now: datetime) -> None:
    """Decide what the municipality is called; a roster that tells a name replaces it again.

    Raises:
        ForbiddenError: ``by`` may not decide for the municipality.
        InvalidError: the name is empty, too long or has signs that cannot be shown.
    """
    require(by, Permission.EDIT_MUNICIPALITY)
    shown = name.strip()
    if not 1 <= len(shown) <= MAX_NAME or not shown.isprintable():
        raise InvalidError(kind="municipality", reason="name", expected=f"1 to {MAX_NAME} characters")
    municipality = db.session.get(Municipality, 1, with_for_update=True, populate_existing=True)
    if municipality is None:
        municipality = Municipality(id=1, name="")
        db.session.add(municipality)
    if municipality.name == shown:
        return
    before, municipality.name = municipality.name, shown
    audit.record(by, "municipality.renamed", subject="municipality:1", now=now, from_name=before or None, name=shown)
    db.session.flush()


def network_faults(ranges: Sequence[str]) -> list[tuple[int, InvalidError]]:
    """Return which of the ranges are none, or much too wide: the place in the list, from 0, and why."""
    found = []
    for number, told in enumerate(ranges):
        try:
            _network(told)
        except InvalidError as error:
            found.append((number, error))
    return found


def set_networks(school: School, ranges: Sequence[str] | None, *, by: Principal, now: datetime) -> list[str] | None:
    """Decide which address ranges are a school's networks; a tablet that asks from elsewhere is not at school.

    Returns what they were.

    Args:
        school: the school.
        ranges: in CIDR notation, IPv4 or IPv6; an address alone is a range of one. None: nobody says.
        by: who decides.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not decide for the school.
        InvalidError: one is no range, or much too wide; or there are none or too many. Data: ``found``, ``expected``.
    """
    require(by, Permission.EDIT_SCHOOL, school_id=school.id)
    networks = None if ranges is None else list(dict.fromkeys(str(_network(told)) for told in ranges))
    if networks is not None and not 1 <= len(networks) <= MAX_NETWORKS:
        raise InvalidError(kind="networks", found=len(networks), expected=f"1 to {MAX_NETWORKS} ranges, or none at all")
    school = _hold(school)
    before = school.networks
    if before != networks:
        school.networks = networks
        _record(by, "schools.networks-set", school, now, ranges=networks)
    return before


def put_networks_back(
    school: School, before: Sequence[str] | None, after: Sequence[str] | None, *, by: Principal, now: datetime
) -> bool:
    """Make a school's networks what they were, unless somebody has decided since; returns whether they are.

    Raises:
        ForbiddenError: ``by`` may not decide for the school.
    """
    require(by, Permission.EDIT_SCHOOL, school_id=school.id)
    if _hold(school).networks not in (before, after):
        return False
    set_networks(school, before, by=by, now=now)
    return True


def set_longest_lesson(school: School, minutes: int, *, by: Principal, now: datetime) -> int:
    """Decide how long a lesson of a school may be at most; returns how long it might be.

    Raises:
        ForbiddenError: ``by`` may not decide for the school.
        InvalidError: shorter than a quarter of an hour, or longer than a working day.
    """
    require(by, Permission.EDIT_SCHOOL, school_id=school.id)
    if not SHORTEST_LESSON_MIN <= minutes <= LONGEST_LESSON_MIN:
        expected = f"{SHORTEST_LESSON_MIN} to {LONGEST_LESSON_MIN} minutes"
        raise InvalidError(kind="longest lesson", found=minutes, expected=expected)
    school = _hold(school)
    before = school.longest_lesson_min
    if before != minutes:
        school.longest_lesson_min = minutes
        _record(by, "schools.longest-lesson-set", school, now, minutes=minutes)
    return before


def put_longest_lesson_back(school: School, before: int, after: int, *, by: Principal, now: datetime) -> bool:
    """Let lessons be as long as they might, unless somebody has decided since; returns whether they may.

    Raises:
        ForbiddenError: ``by`` may not decide for the school.
    """
    require(by, Permission.EDIT_SCHOOL, school_id=school.id)
    if _hold(school).longest_lesson_min not in {before, after}:
        return False
    set_longest_lesson(school, before, by=by, now=now)
    return True


def _network(told: str) -> IPv4Network | IPv6Network:
    """Return the range that was told; one of IPv4 addresses written as IPv6 ones is the former."""
    found = told.strip()[:_FOUND_SHOWN]
    try:
        network = ip_network(told.strip().replace("%", "/"), strict=False)  # a zone (fe80::1%eth0) is no range's
    except ValueError:
        raise InvalidError(
            kind="network", found=found, expected="a range such as 10.20.0.0/16 or 2001:db8::/48"
        ) from None
    _check_width(network, found)
    if isinstance(network, IPv6Network) and network.overlaps(_MAPPED):  # one with more than these ends up as /0
        inside = int(network.network_address) % 2**32, max(network.prefixlen - _MAPPED.prefixlen, 0)
        network = IPv4Network(inside, strict=False)
        _check_width(network, found)
    return network


def _check_width(network: IPv4Network | IPv6Network, found: str) -> None:
    widest = _WIDEST[network.version]
    if network.prefixlen < widest:
        expected = f"a school's own range: /{widest} or narrower for IPv{network.version}"
        raise InvalidError(kind="network", reason="wide", found=found, expected=expected)


def _hold(school: School) -> School:
    return db.session.get_one(School, school.id, with_for_update=True, populate_existing=True)


def _record(by: Principal, action: str, school: School, now: datetime, **fields: object) -> None:
    audit.record(by, action, subject=f"school:{school.id}", now=now, school_id=school.id, **fields)
    db.session.flush()
