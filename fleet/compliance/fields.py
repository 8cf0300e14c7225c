"""The words of conditions: every field that a document has, its kind, an example, and who tells it.

A field that nobody told of a tablet is null, and null is never false: a condition that compares with `false` finds
nothing where nothing is known. What changes all the time is noticed in steps (``steps``): between two reports the
review of a tablet is left out where nothing else has changed either.

Not here: how a document is made (:mod:`fleet.compliance.documents`); a test holds both together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CLOCK_STEPS_S = (30, 60, 120, 300, 3_600)
BATTERY_STEPS_PERCENT = (5, 10, 20, 50)

# Flags and attributes by these names have a meaning to the server, whoever tells them.
NAMED_FLAGS: Mapping[str, str] = {
    "supervised": "iPads tell",
    "device_owner": "Android agents tell",
    "passcode_present": "iPads tell; an agent may, as an attribute",
    "encrypted": "iPads tell; an agent may, as an attribute",
    "rooted": "an agent may tell, as an attribute",
    "bootloader_unlocked": "an agent may tell, as an attribute",
    "battery_service": "iPads tell; an agent may, as an attribute",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a document.

    Args:
        path: such as ``os.version``; ``apps[].id`` is each app's.
        type: ``text``, ``number``, ``yes-no``, ``instant`` or ``texts``.
        example: a value as it may be.
        told_by: who tells it, of channels: apple, headwind, native; or ``server``.
        steps: at which values a change is noticed; empty: at each.
    """

    path: str
    type: str
    example: Any
    told_by: tuple[str, ...] = ("server",)
    steps: tuple[int, ...] = ()


_ALL = ("apple", "headwind", "native")
_LIFE = "enrolled"

FIELDS: Sequence[Field] = (
    Field("tablet.platform", "text", "ipados"),
    Field("tablet.model", "text", "iPad13,18", _ALL),
    Field("tablet.channel", "text", "apple"),
    Field("tablet.life", "text", _LIFE),  # only a rule that asks for it looks at tablets not in use yet: "expected"
    Field("tablet.school_id", "number", 3),
    Field("tablet.has_class", "yes-no", example=True),
    Field("tablet.is_own", "yes-no", example=True),
    Field("tablet.cart", "text", "Vogn 2"),
    Field("tablet.listed_at", "instant", "2026-08-03T09:00:00+00:00"),
    Field("tablet.enrolled_at", "instant", "2026-08-14T10:12:00+00:00"),
    Field("tablet.agent_version", "text", "1.0", ("headwind", "native")),
    Field("os.version", "text", "18.4", _ALL),
    Field("os.minimum", "text", "18.0"),
    Field("apps[].id", "text", "no.example.app", _ALL),
    Field("apps[].version", "text", "2.1", _ALL),
    Field("apps[].is_hidden", "yes-no", example=True, told_by=("headwind",)),
    Field("missing", "texts", ["no.example.app"]),
    Field("blocked", "texts", ["no.example.game"]),
    *(
        Field(f"flags.{name}", "yes-no", example=True, told_by=told_by)
        for name, told_by in (
            ("supervised", ("apple",)),
            ("device_owner", ("headwind",)),
            ("passcode_present", ("apple", "native")),
            ("encrypted", ("apple", "native")),
            ("rooted", ("native",)),
            ("bootloader_unlocked", ("native",)),
            ("battery_service", ("apple", "native")),
        )
    ),
    Field("attributes.kernel", "text", "6.1.0", ("native",)),  # whatever an agent tells
    Field("storage.total_bytes", "number", 64_000_000_000, ("apple", "native")),
    Field("storage.free_bytes", "number", 41_000_000_000, ("apple", "native")),
    Field("storage.free_percent", "number", 64, ("apple", "native")),
    Field("storage.keep_free_percent", "number", 10),
    Field("battery.percent", "number", 83, _ALL, BATTERY_STEPS_PERCENT),
    Field("battery.health_percent", "number", 91, ("native",)),
    Field("clock.offset_s", "number", 4, ("native",), CLOCK_STEPS_S),
    Field("profile.is_pending", "yes-no", example=False),
    Field("profile.reports_without", "number", 0),
    Field("profile.wanted_since", "instant", "2026-09-14T06:15:00+00:00"),
    Field("profile.applied_since", "instant", "2026-09-14T06:16:00+00:00", _ALL),
    Field("profile.settled_since", "instant", "2026-09-14T06:16:00+00:00"),
    Field("profile.failed", "texts", ["camera.allowed"], _ALL),
    Field("profile.failed_count", "number", 1, _ALL),
    Field("wanted.required", "texts", ["no.example.app"]),
    Field("wanted.blocked", "texts", ["no.example.game"]),
    Field("wanted.passcode", "yes-no", example=True),
    Field("certificate.expires_at", "instant", "2027-08-14T10:12:00+00:00", ("apple", "native")),
)

# What stands below them may be anything.
OPEN_GROUPS = frozenset({"flags", "attributes"})


def _shape() -> Mapping[str, Any]:
    """Return the fields as a tree: an object by its names, a list by its one item, None where anything may be."""
    tree: dict[str, Any] = {}
    for one in FIELDS:
        group, _, name = one.path.partition(".")
        if group in OPEN_GROUPS:
            tree[group] = None
        elif not name:
            tree[group] = ["text"]
        elif group.endswith("[]"):
            tree.setdefault(group.removesuffix("[]"), [{}])[0][name] = "value"
        else:
            tree.setdefault(group, {})[name] = ["text"] if one.type == "texts" else "value"
    return tree


SHAPE = _shape()
