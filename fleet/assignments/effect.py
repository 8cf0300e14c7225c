"""What a change of assignments would do to tablets, worked out before it is done: nothing is stored.

The change is what stands before and what would stand after it. As in :mod:`fleet.assignments.materialise`, each
distinct combination of layers is worked out once, and the number of statements does not depend on the number of
tablets. Counted are tablets in use, at every instant from now on at which their layers change. Lessons are left out:
they only tighten, and end. A change that takes the only Wi-Fi from tablets waits for an explicit yes,
as nobody could take it back from here: such tablets are not heard from any more.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, case, cast, func, select

from fleet.assignments.materialise import Applicable, applicable_to, reached, standing
from fleet.assignments.models import Scope
from fleet.assignments.timeline import Timed
from fleet.db import db, id_set
from fleet.devices.models import Device, DeviceLife
from fleet.errors import BrakedError
from fleet.schools.models import Membership, MembershipRole
from fleet.schools.queries import holding
from profiles import layering
from profiles.rules import ByName, Nearest
from profiles.vocabulary import VOCABULARY

NEW = 0  # the number of an assignment that is only thought of
_NETWORKS, _ONLY_KNOWN, _APPS = "wifi.networks", "wifi.only_known", "apps.required"
_SOME, _LOOKED_AT = 20, 500  # tablets that are named, of those that are looked at for it
_IN_USE = (DeviceLife.ENROLLED, DeviceLife.LOST)


class WifiLostError(BrakedError):
    """Tablets would lose the only Wi-Fi they know. Data: ``tablets`` and ``schools``, how many of each."""

    code = "wifi-lost"


@dataclass(frozen=True, slots=True)
class Change:
    """The assignments that stand before and after, by number."""

    before: Mapping[int, Applicable]
    after: Mapping[int, Applicable]

    def touched(self) -> list[Applicable]:
        """Return the assignments that come, go or say something else, as they are after, or were."""
        numbers = self.before.keys() | self.after.keys()
        return [
            self.after.get(number) or self.before[number]
            for number in sorted(numbers)
            if self.before.get(number) != self.after.get(number)
        ]

    def may_lose_wifi(self) -> bool:
        """Whether anything that the change says of Wi-Fi could take it from a tablet."""
        for number in (one.id for one in self.touched()):
            old, new = (_settings(side.get(number)) for side in (self.before, self.after))
            if _known_networks(old) - _known_networks(new) or new.get(_ONLY_KNOWN, False) > old.get(_ONLY_KNOWN, False):
                return True
        return False


@dataclass(frozen=True, slots=True)
class SettingEffect:
    """On how many tablets an effective setting changes, and on how many of them it becomes looser."""

    key: str
    tablets: int
    looser: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change does.

    Args:
        concerned: tablets that the assignments reach which change.
        tablets: how many of them get other settings, now or later.
        schools: those tablets by their school's number; None for those of no school.
        settings: which effective settings change, the most tablets first.
        without_wifi: how many tablets lose the only Wi-Fi they know.
        some_without_wifi: a few of those, by number.
        lost_apps: on how many tablets an app need not be installed any more, by app.
    """

    concerned: int
    tablets: int
    schools: Mapping[int | None, int]
    settings: Sequence[SettingEffect]
    without_wifi: int
    some_without_wifi: Sequence[int]
    lost_apps: Mapping[str, int]

    @property
    def looser(self) -> list[SettingEffect]:
        """The settings that become looser on some tablets."""
        return [one for one in self.settings if one.looser]


def of_settings(profile: str, settings: Mapping[str, Any], *, now: datetime) -> Change:
    """Return the change where all that is assigned of a profile says ``settings`` instead; one or two statements."""
    before = {one.id: one for one in standing(now)}
    after = {number: _saying(one, settings) if one.profile == profile else one for number, one in before.items()}
    return Change(before, after)


def of_saying(settings: Mapping[int, Mapping[str, Any]], *, now: datetime) -> Change:
    """Return the change where these assignments say other settings, by their numbers; one or two statements."""
    before = {one.id: one for one in standing(now)}
    return Change(
        before, before | {number: _saying(before[number], settings[number]) for number in settings.keys() & before}
    )


def _saying(one: Applicable, settings: Mapping[str, Any]) -> Applicable:
    if one.timed.layer.settings == settings:
        return one
    return replace(one, timed=replace(one.timed, layer=replace(one.timed.layer, settings=settings)))


def of_assigning(new: Applicable, replaced: Iterable[int], *, now: datetime) -> Change:
    """Return the change where an assignment comes, in place of others; one or two statements."""
    before = {one.id: one for one in standing(now)}
    gone = frozenset(replaced)
    return Change(before, {number: one for number, one in before.items() if number not in gone} | {NEW: new})


def of_withdrawing(assignment_id: int, *, now: datetime) -> Change:
    """Return the change where an assignment goes; one or two statements."""
    before = {one.id: one for one in standing(now)}
    return Change(before, {number: one for number, one in before.items() if number != assignment_id})


def of_undoing(back: Iterable[Applicable], gone: Collection[int], *, now: datetime) -> Change:
    """Return the change where assignments go and earlier ones stand again; one or two statements."""
    before = {one.id: one for one in standing(now)}
    kept = {number: one for number, one in before.items() if number not in gone}
    return Change(before, kept | {one.id: one for one in back})


@dataclass(frozen=True, slots=True)
class _Difference:
    """What a change does to one combination of layers."""

    keys: frozenset[str]
    looser: frozenset[str]
    loses_wifi: bool
    apps: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Group:
    """Tablets of one school with one combination of layers: which assignments, and how many tablets."""

    numbers: tuple[int, ...]
    school_id: int | None
    count: int


def work_out(change: Change, *, now: datetime) -> Effect:
    """Return what a change does; one statement, and two more where tablets lose their Wi-Fi."""
    touched = change.touched()
    everything = {**change.before, **change.after}
    in_use = (Device.life.in_(_IN_USE), reached(touched))
    groups = _groups(everything.values(), in_use, now) if touched else []
    differences = {numbers: _difference(numbers, change, now) for numbers in {one.numbers for one in groups}}
    changed, keys, looser, apps = Counter[int | None](), Counter[str](), Counter[str](), Counter[str]()
    for group in groups:
        found = differences[group.numbers]
        if found.keys:
            changed[group.school_id] += group.count
        for counter, names in ((keys, found.keys), (looser, found.looser), (apps, found.apps)):
            for name in names:
                counter[name] += group.count
    losing = {numbers for numbers, found in differences.items() if found.loses_wifi}
    numbers = {one.id for one in touched}
    return Effect(
        concerned=sum(group.count for group in groups if not numbers.isdisjoint(group.numbers)),
        tablets=changed.total(),
        schools=dict(changed.most_common()),
        settings=[SettingEffect(key, count, looser[key]) for key, count in sorted(keys.items(), key=_most_first)],
        without_wifi=sum(group.count for group in groups if group.numbers in losing),
        some_without_wifi=_some(losing, everything.values(), in_use, now) if losing else [],
        lost_apps=dict(apps.most_common()),
    )


def _some(
    losing: Collection[tuple[int, ...]],
    everything: Collection[Applicable],
    in_use: Sequence[ColumnElement[bool]],
    now: datetime,
) -> list[int]:
    """Return a few tablets with these combinations; two statements."""
    looked_at = select(Device.id).where(*in_use).order_by(Device.id).limit(_LOOKED_AT)
    ids = applicable_to(looked_at, everything, now)
    return sorted(device_id for device_id, combination in ids.items() if combination in losing)[:_SOME]


def _groups(standing_: Iterable[Applicable], in_use: Sequence[ColumnElement[bool]], now: datetime) -> list[_Group]:
    """Count tablets by school and by what decides which assignments reach them; one statement, with few rows."""
    by_place: dict[tuple[Scope, int | None], list[int]] = defaultdict(list)
    for one in standing_:
        by_place[one.scope, one.school_id or one.class_id or one.device_id].append(one.id)
    classes, alone = (
        {number for scope, number in by_place if scope is wanted and number is not None}
        for wanted in (Scope.CLASS, Scope.DEVICE)
    )
    pupils = (
        select(Membership.person_id, func.aggregate_strings(cast(Membership.class_id, String), ",").label("told"))
        .where(
            Membership.class_id.in_(id_set(classes)),
            Membership.role == MembershipRole.PUPIL,
            *holding(now.date()),
        )
        .group_by(Membership.person_id)
        .subquery()
    )
    own = case((Device.id.in_(id_set(alone)), Device.id), else_=0).label("own")
    query = (
        select(Device.school_id, Device.class_id, pupils.c.told, own, func.count().label("tablets"))
        .outerjoin(pupils, pupils.c.person_id == Device.person_id)
        .where(*in_use)
        .group_by(Device.school_id, Device.class_id, pupils.c.told, "own")
    )
    found: Counter[tuple[tuple[int, ...], int | None]] = Counter()
    for row in db.session.execute(query):
        of_classes = {row.class_id, *map(int, (row.told or "").split(",") if row.told else ())}
        places = {(Scope.MUNICIPALITY, None), (Scope.SCHOOL, row.school_id), (Scope.DEVICE, row.own)}
        places |= {(Scope.CLASS, one) for one in of_classes}
        numbers = tuple(sorted(number for place in places for number in by_place.get(place, ())))
        found[numbers, row.school_id] += row.tablets
    return [_Group(*group, count) for group, count in found.items()]


def _most_first(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def tells_networks(settings: Mapping[str, Any]) -> bool:
    """Whether settings give tablets a Wi-Fi network."""
    return bool(settings.get(_NETWORKS))


def closes_in(settings: Mapping[str, Any]) -> bool:
    """Whether settings keep tablets from networks that their profiles do not give."""
    return bool(settings.get(_ONLY_KNOWN))


def require_wifi(change: Change, *, confirmed: int | None, now: datetime) -> None:
    """Refuse a change that takes the only Wi-Fi from tablets, unless their number was said; no statement if none can.

    Raises:
        WifiLostError: so many tablets would lose it, and ``confirmed`` is not their number.
    """
    if not change.may_lose_wifi():
        return
    found = work_out(change, now=now)
    if found.without_wifi and confirmed != found.without_wifi:
        raise WifiLostError(tablets=found.without_wifi, schools=len(found.schools))


def _difference(numbers: Sequence[int], change: Change, now: datetime) -> _Difference:
    before = [change.before[number].timed for number in numbers if number in change.before]
    after = [change.after[number].timed for number in numbers if number in change.after]
    keys, looser, apps, loses_wifi = set[str](), set[str](), set[str](), False
    for at in _instants([*before, *after], now):
        old, new = _at(before, at), _at(after, at)
        if old == new:
            continue
        keys |= {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        looser |= {key for key in layering.looser_keys(old, new) if has_strictness(key)}
        apps |= set(old.get(_APPS, ())) - set(new.get(_APPS, ()))
        loses_wifi = loses_wifi or _loses_wifi(old, new)
    return _Difference(frozenset(keys), frozenset(looser), loses_wifi, frozenset(apps))


def has_strictness(key: str) -> bool:
    """Whether a setting can be looser or stricter at all: a wallpaper cannot."""
    return not isinstance(VOCABULARY[key].rule, Nearest | ByName)


def _instants(timed: Iterable[Timed], now: datetime) -> list[datetime]:
    edges = {edge for one in timed for edge in (one.starts_at, one.ends_at) if edge is not None and edge > now}
    return [now, *sorted(edges)]


def _at(timed: Iterable[Timed], at: datetime) -> Mapping[str, Any]:
    return layering.effective([one.layer for one in timed if one.applies_at(at)]).settings


def _settings(one: Applicable | None) -> Mapping[str, Any]:
    return one.timed.layer.settings if one is not None else {}


def _known_networks(settings: Mapping[str, Any]) -> set[str]:
    return {network["ssid"] for network in settings.get(_NETWORKS, ())}


def _loses_wifi(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a tablet keeps none of the networks it knows, or is closed in where it knows none."""
    had, has = _known_networks(old), _known_networks(new)
    if had:
        return not had & has
    return bool(new.get(_ONLY_KNOWN)) and not has and not old.get(_ONLY_KNOWN)
