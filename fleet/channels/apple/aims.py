"""What an iPad shall have from now on: what to declare, and what a lesson puts on top of it until it ends.

A tablet's schedule says which effective profile holds until when. The last stretch before it changes by itself is made
of two parts: what holds afterwards is declared, and the difference is a profile that the iPad removes by its own clock
(:mod:`fleet.channels.apple.lesson_profile`). So a lesson ends on an iPad that has lost its network. Where what comes
next is stricter in anything, it would hold too early: then the present is declared whole, and the change comes when the
iPad next hears from us.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from fleet.channels.apple.contents import Settings
from fleet.channels.apple.lesson_profile import lesson_profile, standing
from profiles import layering
from profiles.layering import Layer, Level

_NO_IMAGES: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Aim:
    """What an iPad shall have.

    Args:
        profile: digest of the effective profile that holds now.
        declared: the settings to declare.
        lesson: the profile on top, None where there is none.
        ends_at: when that goes away by itself.
        keys: the settings that it carries.
    """

    profile: str
    declared: Mapping[str, Any]
    lesson: bytes | None = None
    ends_at: datetime | None = None
    keys: tuple[str, ...] = ()


def aim(
    entries: Sequence[Mapping[str, Any]],
    settings_of: Callable[[str], Settings],
    *,
    identifier: str,
    title: str,
    images: Mapping[str, bytes] = _NO_IMAGES,
) -> Aim:
    """Return what an iPad shall have.

    Args:
        entries: its schedule from now on, at least one entry.
        settings_of: gives the settings of an effective profile.
        identifier: of the profile on top, in reverse-DNS form.
        title: what the iPad shows as its name.
        images: PNG images by their name, for icons.
    """
    present = entries[0]
    settings = settings_of(present["profile"])
    if present["until"] is None or len(entries) == 1:
        return Aim(present["profile"], settings)
    ends_at = datetime.fromisoformat(present["until"])
    after = settings_of(entries[1]["profile"])
    if not _tightens(settings, after):
        return Aim(present["profile"], settings)
    found = lesson_profile(after, settings, identifier=identifier, title=title, ends_at=ends_at, images=images)
    if found.body is None:
        return Aim(present["profile"], settings)
    declared = standing(after, settings, found.left)
    keys = tuple(sorted(name for name in settings if declared.get(name) != settings[name]))
    return Aim(present["profile"], declared, found.body, ends_at, keys)


def _tightens(present: Settings, after: Settings) -> bool:
    """Whether what holds now is what comes next, and something stricter on top of it."""
    layers = (Layer(Level.MUNICIPALITY, "next", None, after), Layer(Level.DEVICE, "now", None, present))
    return dict(layering.effective(layers).settings) == dict(present)
