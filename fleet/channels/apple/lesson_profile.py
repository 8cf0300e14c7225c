"""What a lesson adds to an iPad: one profile beside the others, which goes away by itself.

How it ends. The profile has a ``RemovalDate``: at that instant iPadOS removes it by its own clock, with or without a
network, and what was under it holds again. Nobody has to send anything, and nothing of the standing profiles was
touched. That is why a lesson is not a new version of them, and why a command installs it: what a declaration names, an
iPad keeps.

How profiles add up. Where several profiles restrict the same thing, iPadOS takes the most restrictive word. All web
filters hold at once: blocked sites unite, and of the only sites those are left that stand in every list. Lists of apps
are restrictions like others. Web shortcuts, networks and printers stand side by side. Some payloads can be there only
once: a lock, a proxy, a home screen, the lock screen's text. As a lesson can only tighten (``profiles.layering``), its
value under "most restrictive wins" is the value that layering gives: so the difference, installed on top, is enough.

Where that does not hold, the profile does not carry the setting and :attr:`LessonProfile.left` names it: a second
payload of a kind that there can be only one of, a network or shortcut that takes another's place, terms of passcodes,
what commands carry, and the one switch whose strict side is Apple's loose one (observing screens unprompted). Those
come and go with the declarations, when the iPad next hears from us: :func:`standing` says what to declare meanwhile.

Source: RemovalDate: mdm/profiles/TopLevel.yaml; ``multiple`` of each payload's schema; restrictions:
https://support.apple.com/guide/mdm/payload-best-practices-mdm8hdx05218; web lists:
https://developer.apple.com/documentation/devicemanagement/webcontentfilter
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from fleet.channels.apple import restrictions
from fleet.channels.apple.contents import Settings
from fleet.channels.apple.payloads import KEYS, Group, payloads, profile_bytes
from profiles.kinds import Records
from profiles.vocabulary import VOCABULARY

_GROUP_OF = {name: group for group, names in KEYS.items() for name in names}
# One payload of the kind is all that an iPad takes: what is there already stays.
_ONLY_ONE = frozenset({Group.KIOSK, Group.PROXY, Group.HOME_SCREEN, Group.LOCK_SCREEN})
_SIDE_BY_SIDE = frozenset({Group.WIFI, Group.WEB_CLIPS, Group.PRINTERS})
_NOT_IN_A_LESSON = frozenset({Group.PASSCODE})
# Of two deferrals the shorter one is the strict one to us, and which one iPadOS takes is not written down.
_UNSURE = frozenset({"os_update.deferral_days"})
_NO_IMAGES: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LessonProfile:
    """A lesson's profile.

    Args:
        body: the profile, unsigned; None where the lesson changes nothing that one can carry.
        left: settings that the lesson changes and the profile does not carry, by name.
    """

    body: bytes | None
    left: tuple[str, ...]


def lesson_profile(
    base: Settings,
    lesson: Settings,
    *,
    identifier: str,
    title: str,
    ends_at: datetime,
    images: Mapping[str, bytes] = _NO_IMAGES,
) -> LessonProfile:
    """Return the profile that makes ``lesson`` hold over ``base`` until the lesson ends.

    Args:
        base: the effective settings without the lesson.
        lesson: the effective settings with it.
        identifier: names the lesson's profile on the iPad, in reverse-DNS form.
        title: what Settings shows.
        ends_at: when the iPad takes it away.
        images: PNG images by their name, for icons.
    """
    changed = sorted(name for name in {*base, *lesson} if base.get(name) != lesson.get(name))
    said: dict[str, Any] = {}
    left = []
    for name in changed:
        value = _share(name, base, lesson)
        if value is None:
            left.append(name)
        else:
            said[name] = value
    # A list of apps has to name web shortcuts where the standing profile has some.
    shortcuts = {"web.bookmarks": lesson["web.bookmarks"]} if lesson.get("web.bookmarks") else {}
    others = [group for group in Group if group is not Group.RESTRICTIONS]
    inside = [
        *payloads(said | shortcuts, identifier=identifier, groups=(Group.RESTRICTIONS,)),
        *payloads(said, identifier=identifier, images=images, groups=others),
    ]
    body = profile_bytes(inside, identifier=identifier, title=title, removal_at=ends_at) if inside else None
    return LessonProfile(body, tuple(left))


def standing(base: Settings, lesson: Settings, left: Collection[str]) -> dict[str, Any]:
    """Return the settings to declare while the lesson's profile is there: with it, the iPad has the lesson's.

    Args:
        base: the effective settings without the lesson.
        lesson: the effective settings with it.
        left: what the lesson's profile does not carry.
    """
    kept = {name: value for name, value in base.items() if name not in left}
    return kept | {name: lesson[name] for name in left if name in lesson}


def _share(name: str, base: Settings, lesson: Settings) -> Any:
    """Return what the profile says of a setting that differs; None where it cannot carry it."""
    group = _GROUP_OF.get(name)
    if group is None or group in _NOT_IN_A_LESSON or name in _UNSURE or name not in lesson:
        return None
    if group in _ONLY_ONE:
        return None if any(other in base for other in KEYS[group]) else lesson[name]
    if group in _SIDE_BY_SIDE:
        return _new_ones(name, base, lesson)
    if name in restrictions.FLAGS:
        loose = restrictions.by_itself(restrictions.FLAGS[name])
        return None if lesson[name] == loose != base.get(name, loose) else lesson[name]
    return lesson[name]


def _new_ones(name: str, base: Settings, lesson: Settings) -> list[Mapping[str, Any]] | None:
    """Return the records that are new, where all others stay as they are: two of one name cannot stand side by side."""
    kind = VOCABULARY[name].kind
    assert isinstance(kind, Records)  # noqa: S101 (tells the type checker; a test goes through all groups)
    known = {record[kind.key]: record for record in base.get(name) or ()}
    kept = [record for record in lesson[name] if record[kind.key] in known]
    if len(kept) < len(known) or any(known[record[kind.key]] != record for record in kept):
        return None
    if name == "web.bookmarks" and "apps.allowed" in base and not known:
        return None  # the standing list of apps names no web shortcuts, and what stands in all lists is left
    return [record for record in lesson[name] if record[kind.key] not in known]
