"""The help beside a rule's editor: every field and function of the rules' language in words, and examples.

Total over what the language knows; the examples are held to it by a test.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.compliance.fields import FIELDS, Field
from fleet.compliance.functions import SIGNATURES
from fleet.web.texts import translated as _

# JMESPath's signs are no functions, and those who write a rule look for them in the same place.
_SIGNS: Mapping[str, Callable[[], str]] = {
    "a && b": lambda: _("both hold"),
    "a || b": lambda: _("one of them holds"),
    "!(a)": lambda: _("it does not hold, or nobody has told it"),
    "a == b, a != b, a < b": lambda: _("compares numbers; texts are compared with == and !="),
    "`20`, 'text', `true`, `null`": lambda: _("a number, a text, yes, and what nobody has told"),
    "apps[?version == '1.0'].id": lambda: _("of a list those for which something holds, and of each its id"),
}
_FUNCTIONS: Mapping[str, Callable[[], str]] = {
    "abs": lambda: _("the number without its sign"),
    "avg": lambda: _("the mean of the numbers"),
    "ceil": lambda: _("rounded up"),
    "common": lambda: _("the texts that stand in both lists"),
    "contains": lambda: _("whether the list has the thing, or the text the other text"),
    "days_since": lambda: _("whole days since an instant"),
    "days_until": lambda: _("whole days until an instant; below 0 where it is over"),
    "ends_with": lambda: _("whether the text ends so"),
    "floor": lambda: _("rounded down"),
    "join": lambda: _("the texts as one, with something between them"),
    "lacking": lambda: _("the wanted texts that are not there"),
    "length": lambda: _("how many things the list has, or how many characters the text"),
    "map": lambda: _("the list of what the expression gives for each thing"),
    "matches_any": lambda: _("the texts that are like one of the patterns; * stands for anything"),
    "max": lambda: _("the greatest"),
    "min": lambda: _("the least"),
    "minus": lambda: _("the first number less the second"),
    "not_null": lambda: _("the first that somebody has told"),
    "older": lambda: _("whether a version comes before another: 16.10 comes after 16.9"),
    "plus": lambda: _("both numbers together"),
    "sort": lambda: _("the list in order"),
    "starts_with": lambda: _("whether the text begins so"),
    "sum": lambda: _("the numbers together"),
    "to_number": lambda: _("the text as a number"),
    "to_string": lambda: _("the thing as a text"),
    "type": lambda: _("what kind of thing it is"),
}
EXAMPLES: Mapping[str, Callable[[], str]] = {
    "older(os.version, '17.0')": lambda: _("The system is older than 17.0"),
    "battery.percent < `10` && flags.supervised": lambda: _("Nearly flat, and supervised"),
    'matches_any(apps[].id, `["com.example.*"]`)': lambda: _("Has apps whose id begins so: a finding for each"),
    "apps[?id == 'no.example.reader' && older(version, '2.0')].id": lambda: _("Has an old version of an app"),
    "lacking(wanted.required, apps[].id)": lambda: _("Required apps that are not there: a finding for each"),
    "days_since(tablet.enrolled_at) > `1460`": lambda: _("Came in more than four years ago"),
    "tablet.platform == 'android' && tablet.has_class == `false`": lambda: _(
        "An Android tablet that stands in no class"
    ),
}

_GROUPS: Mapping[str, Callable[[], str]] = {
    "tablet": lambda: _("The tablet itself"),
    "os": lambda: _("System"),
    "apps": lambda: _("Apps"),
    "flags": lambda: _("What is so and what is not"),
    "attributes": lambda: _("What an agent tells besides"),
    "storage": lambda: _("Storage"),
    "battery": lambda: _("Battery"),
    "clock": lambda: _("Clock"),
    "profile": lambda: _("Its profile"),
    "wanted": lambda: _("What its profile asks for"),
    "certificate": lambda: _("Certificate"),
}
_WITH_APPS = ("missing", "blocked")  # of no group, and looked for there
_FIELDS: Mapping[str, Callable[[], str]] = {
    "tablet.platform": lambda: _("ipados, android or linux"),
    "tablet.model": lambda: _("the model as the tablet tells it"),
    "tablet.channel": lambda: _("how it speaks to the server: apple, headwind or native"),
    "tablet.life": lambda: _("enrolled; expected for tablets that have not come in yet"),
    "tablet.school_id": lambda: _("its school's number"),
    "tablet.has_class": lambda: _("whether it stands in a class"),
    "tablet.is_own": lambda: _("whether it is a pupil's own"),
    "tablet.cart": lambda: _("the cart it stands in"),
    "tablet.listed_at": lambda: _("when it came on a delivery list"),
    "tablet.enrolled_at": lambda: _("when it was enrolled"),
    "tablet.agent_version": lambda: _("the version of its agent"),
    "os.version": lambda: _("the version of its system"),
    "os.minimum": lambda: _("the version its profile asks for at least"),
    "apps[].id": lambda: _("the id of each app that is installed"),
    "apps[].version": lambda: _("its version"),
    "apps[].is_hidden": lambda: _("whether it is there but cannot be opened"),
    "missing": lambda: _("ids of required apps that are not there"),
    "blocked": lambda: _("ids of blocked apps that are there all the same"),
    "flags.supervised": lambda: _("an iPad is supervised"),
    "flags.device_owner": lambda: _("the agent owns the Android tablet"),
    "flags.passcode_present": lambda: _("it has a passcode"),
    "flags.encrypted": lambda: _("its storage is encrypted"),
    "flags.rooted": lambda: _("it is rooted or jailbroken"),
    "flags.bootloader_unlocked": lambda: _("its boot loader is unlocked"),
    "flags.battery_service": lambda: _("it says that its battery needs service"),
    "attributes.kernel": lambda: _("whatever an agent tells, by its name; always a text"),
    "storage.total_bytes": lambda: _("the size of its storage"),
    "storage.free_bytes": lambda: _("how much of it is free"),
    "storage.free_percent": lambda: _("how much of it is free, in whole percent"),
    "storage.keep_free_percent": lambda: _("how much its profile asks to keep free"),
    "battery.percent": lambda: _("its charge"),
    "battery.health_percent": lambda: _("what a full battery holds, of what it held when new"),
    "clock.offset_s": lambda: _("seconds that its clock is ahead; below 0: behind"),
    "profile.is_pending": lambda: _("it does not have the profile it shall have"),
    "profile.reports_without": lambda: _("how often it was heard from without it"),
    "profile.wanted_since": lambda: _("since when it shall have its profile"),
    "profile.applied_since": lambda: _("since when it has the profile it has"),
    "profile.settled_since": lambda: _("the later of both"),
    "profile.failed": lambda: _("settings that it could not put into force"),
    "profile.failed_count": lambda: _("how many those are"),
    "wanted.required": lambda: _("ids of the apps that shall be there"),
    "wanted.blocked": lambda: _("ids of the apps that shall not be there"),
    "wanted.passcode": lambda: _("whether a passcode is asked for"),
    "certificate.expires_at": lambda: _("when its certificate runs out"),
}


@dataclass(frozen=True, slots=True)
class Told:
    """A field in words: its path, what kind of value it has, what it says, and a value as it may be."""

    path: str
    kind: str
    about: str
    example: str


def fields() -> list[tuple[str, str, Sequence[Told]]]:
    """Return the fields of a document by group: the group's name, its title, and its fields."""
    listed = [(_group(one), _told(one)) for one in FIELDS]
    return [
        (name, title(), [told for group, told in listed if group == name])
        for name, title in _GROUPS.items()
        if any(group == name for group, _told in listed)
    ]


def _group(one: Field) -> str:
    return "apps" if one.path in _WITH_APPS else one.path.partition(".")[0].removesuffix("[]")


def _told(one: Field) -> Told:
    kind = {
        "text": _("text"),
        "number": _("number"),
        "yes-no": _("yes or no"),
        "instant": _("instant"),
        "texts": _("list of texts"),
    }[one.type]
    about = _FIELDS[one.path]()
    if one.told_by != ("server",):
        about = _("%(about)s (told by %(who)s)", about=about, who=", ".join(_TELLERS[who]() for who in one.told_by))
    return Told(one.path, kind, about, literal(one.example))


_TELLERS: Mapping[str, Callable[[], str]] = {
    "apple": lambda: "iPad",
    "headwind": lambda: "Android",
    "native": lambda: "Linux",
}


def literal(value: Any) -> str:
    """Return a value as a condition has it."""
    return f"'{value}'" if isinstance(value, str) else f"`{json.dumps(value)}`"


def functions() -> list[tuple[str, str]]:
    """Return the signs and functions of the language, each with what it gives."""
    signs = [(sign, told()) for sign, told in _SIGNS.items()]
    return [*signs, *((how, _FUNCTIONS[name]()) for name, how in SIGNATURES.items())]


def examples() -> list[tuple[str, str]]:
    """Return what one may want to find, each with the condition that finds it."""
    return [(told(), text) for text, told in EXAMPLES.items()]
