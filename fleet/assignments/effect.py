"""What a change of assignments would do to tablets, worked out before it is done: nothing is stored.

The change is what stands before and what would stand after it. As in :mod:`fleet.assignments.materialise`, each
distinct combination of layers is worked out once, and the number of statements does not depend on the number of
tablets. Counted are tablets in use, at every instant from now on at which their layers change. Lessons are left out:
they only tighten, and end. A change that takes the only Wi-Fi from tablets waits for an explicit yes,
as nobody could take it back from here: such tablets are not heard from any more.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select

from fleet.assignments.materialise import Applicable, applicable_to, reached, standing
from fleet.assignments.timeline import Timed
from fleet.db import db
from fleet.devices.models import Device, DeviceLife
from fleet.errors import BrakedError
from profiles import layering
from profiles.rules import ByName, Nearest
from profiles.vocabulary import VOCABULARY

NEW = 0  # the number of an assignment that is only thought of
_NETWORKS, _ONLY_KNOWN, _APPS = "wifi.networks", "wifi.only_known", "apps.required"
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
        without_wifi: the tablets that lose the only Wi-Fi they know, by number.
        lost_apps: on how many tablets an app need not be installed any more, by app.
    """

    concerned: int
    tablets: int
    schools: Mapping[int | None, int]
    settings: Sequence[SettingEffect]
    without_wifi: Sequence[int]
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


@dataclass(frozen=True, slots=True)
class _Difference:
    """What a change does to one combination of layers."""

    keys: frozenset[str]
    looser: frozenset[str]
    loses_wifi: bool
    apps: frozenset[str]


def work_out(change: Change, *, now: datetime) -> Effect:
    """Return what a change does; three statements."""
    touched = change.touched()
    in_use = (Device.life.in_(_IN_USE), reached(touched))
    rows = db.session.execute(select(Device.id, Device.school_id).where(*in_use))
    schools = {row.id: row.school_id for row in rows}
    everything = {**change.before, **change.after}
    ids = applicable_to(select(Device.id).where(*in_use), everything.values(), now) if schools else {}
    differences = {combination: _difference(combination, change, now) for combination in set(ids.values())}
    changed, keys, looser, apps = Counter[int | None](), Counter[str](), Counter[str](), Counter[str]()
    without_wifi = []
    for device_id, combination in ids.items():
        found = differences[combination]
        if found.keys:
            changed[schools[device_id]] += 1
        keys.update(found.keys)
        looser.update(found.looser)
        apps.update(found.apps)
        if found.loses_wifi:
            without_wifi.append(device_id)
    numbers = {one.id for one in touched}
    return Effect(
        concerned=sum(1 for combination in ids.values() if not numbers.isdisjoint(combination)),
        tablets=changed.total(),
        schools=dict(changed.most_common()),
        settings=[SettingEffect(key, count, looser[key]) for key, count in sorted(keys.items(), key=_most_first)],
        without_wifi=sorted(without_wifi),
        lost_apps=dict(apps.most_common()),
    )


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
    lost = found.without_wifi
    if lost and confirmed != len(lost):
        raise WifiLostError(tablets=len(lost), schools=len(found.schools))


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
