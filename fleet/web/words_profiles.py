"""What settings, their values and their units are called on pages, and what a value must be like."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from flask_babel import ngettext

from fleet.assignments.models import Scope
from fleet.assignments.places import Named
from fleet.web import app_names
from fleet.web.formats import NOTHING, number, percent
from fleet.web.texts import translated as _
from fleet.web.words import NEUTRAL, Told
from profiles import android
from profiles.key import APPLE, HEADWIND, NATIVE, Key
from profiles.kinds import APP, HOST, TIME, VERSION, Choice, Flag, Items, Kind, Record, Records, Text, Whole
from profiles.rules import OFF_WINS
from profiles.unmet import AT_SET_UP, SINCE, Unmet, Why

_ITEMS_SHOWN = 6
# Settings by what people look for: each area of the vocabulary stands under one theme (a test proves it).
THEMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "apps": ("apps", "kiosk", "home_screen", "games", "media"),
        "web": ("web", "wifi", "proxy", "vpn", "hotspot", "bluetooth"),
        "sharing": ("camera", "screenshots", "sharing", "messages", "video_calls", "location", "classroom", "printing"),
        "writing": ("spelling", "dictionary", "dictation", "writing_tools", "assistant"),
        "look": ("wallpaper", "lock_screen", "sound", "display", "language", "time_zone", "clock"),
        "passcode": ("passcode",),
        "accounts": ("accounts", "cloud", "users", "profiles"),
        "system": ("os", "os_update", "storage", "factory_reset", "device_name", "usb"),
    }
)
_THEME_OF = {area: theme for theme, areas in THEMES.items() for area in areas}


def theme_of(key: str) -> str:
    """Return the theme that a setting stands under."""
    return _THEME_OF[key.partition(".")[0]]


def theme(name: str) -> str:
    """Name a theme."""
    return {
        "apps": _("Apps and home screen"),
        "web": _("Web and networks"),
        "sharing": _("Camera, sharing and messages"),
        "writing": _("Writing and help with it"),
        "look": _("Look, sound and language"),
        "passcode": _("Passcode"),
        "accounts": _("Accounts and cloud"),
        "system": _("System and storage"),
    }[name]


def themes_of(settings: Iterable[str]) -> list[str]:
    """Name the themes that settings are of, the one with the most settings first."""
    counts = Counter(theme_of(name) for name in settings)
    return [theme(name) for name in sorted(counts, key=lambda name: (-counts[name], list(THEMES).index(name)))]


def platforms(key: Key) -> list[str]:
    """Name the kinds of tablets that obey a setting; of iPads it is also said where they do not."""
    ipad = _("iPad (only when it is set up)") if key.name in AT_SET_UP else "iPad"
    is_at_set_up = key.name in android.AT_SET_UP
    on_android = _("Android (only when it is set up)") if is_at_set_up else "Android"
    names = {APPLE: ipad, HEADWIND: on_android, NATIVE: "Linux"}
    found = [names[channel] for channel in (APPLE, HEADWIND, NATIVE) if channel in key.channels]
    return found if key.is_for(APPLE) else [*found, _("not on iPad")]


def unmet(one: Unmet) -> str:
    """Say why a tablet will not have a setting as it stands."""
    return {
        Why.NOT_HERE: _("Does not apply on this kind of tablet."),
        Why.NOT_ON_IPAD: _("Does not apply on iPads."),
        Why.NO_PORT: _("The proxy needs a name and a port, such as proxy.example.no:8080; without them there is none."),
        Why.NO_PASSCODE: _("Counts only where a passcode is required, and none is."),
        Why.TOO_MANY: _("More addresses than a tablet takes well; some may be treated otherwise."),
        Why.CLOCK: _("The clock sets itself, so the time zone cannot be set."),
        Why.NO_NETWORK: _("A network whose name or password no network can have is left out."),
        Why.NEWER_SYSTEM: _newer_system(one.key),
        Why.NOT_SUPERVISED: _("Needs a supervised iPad, and this one is not."),
        Why.AT_SET_UP: _("Only while the tablet is set up; later it changes nothing."),
        **_unmet_on_android(),
    }[Why(one.reason)]


def _newer_system(key: str) -> str:
    if key in SINCE:
        return _("Needs iPadOS %(version)s, and this tablet has an older one.", version=SINCE[key])
    return _("Needs Android %(version)s, and this tablet has an older one.", version=android.SINCE.get(key, ""))


def _unmet_on_android() -> dict[Why, str]:
    return {
        Why.NO_KIOSK: _("The agent cannot hold an app in front. The other apps that we know of are closed instead."),
        Why.CHROME_ONLY: _("Holds in Chrome. Other browsers that we know of are closed where it matters."),
        Why.KNOWN_ONLY: _("Apps that we do not know of are not shown, but are not closed either."),
        Why.NEEDED: _("An app that the tablet itself needs stays open."),
        Why.NO_BROWSER: _("No browser is open, so the shortcuts are left out."),
        Why.COARSE: _("The tablet knows a few steps only, and has the nearest of them."),
        Why.WINDOW_INSTEAD: _("The tablet cannot have both; the hours for updates count."),
        Why.ON_HOME_SCREEN: _("Stands on the home screen, not on the lock screen."),
        Why.NO_ZONE: _("There is no time zone of that name."),
        Why.NO_PACKAGE: _("An app that nobody has uploaded comes only where the tablet has it already."),
        Why.NOT_TOLD: _("The tablet's agent does not tell this, so it cannot be judged."),
    }


def about(key: Key) -> str:
    """Say what a setting does. The catalogues know every such text by its English one."""
    english = key.help["en"]
    return _(english)


def unit(kind: Whole) -> str:
    """Name what a number counts."""
    return {
        "percent": _("percent"),
        "characters": _("characters"),
        "days": _("days"),
        "attempts": _("attempts"),
        "minutes": _("minutes"),
        "page number": _("page number"),
    }[kind.unit]


def counted(kind: Whole, value: int) -> str:
    """Return a number with what it counts."""
    if kind.unit == "percent":
        return percent(value / 100)
    told = {
        "characters": ngettext("%(num)d character", "%(num)d characters", value),
        "days": ngettext("%(num)d day", "%(num)d days", value),
        "attempts": ngettext("%(num)d attempt", "%(num)d attempts", value),
        "minutes": ngettext("%(num)d minute", "%(num)d minutes", value),
    }
    return str(told.get(kind.unit, number(value)))


def word(told: str) -> str:
    """Say one of a setting's choices; ages and what else needs no word stand as they are."""
    return {
        "always": _("from all websites"),
        "visited-sites": _("from websites one visits"),
        "never": _("from none"),
        "any": _("anything"),
        "letters-and-digits": _("letters and digits"),
        "complex": _("letters, digits and signs"),
        "open": _("open, no password"),
        "wpa2": "WPA2",
        "wpa3": "WPA3",
        "enterprise": _("sign-in with the person's account"),
    }.get(told, told)


def flag_words(key: Key | None) -> tuple[str, str]:
    """Return what yes and no mean for a setting."""
    if key is not None and key.rule is OFF_WINS:
        return _("Allowed"), _("Blocked")
    return _("On"), _("Off")


def field(name: str) -> str:
    """Name a field of a setting that has several."""
    return {
        "ssid": _("The network's name"),
        "security": _("Security"),
        "password": _("Password"),
        "hidden": _("Hidden network"),
        "auto_join": _("Join by itself"),
        "title": _("Title"),
        "url": _("Address"),
        "icon": _("Picture"),
        "page": _("Page"),
        "apps": _("Apps"),
        "name": _("Name"),
        "address": _("Address"),
        "from": _("From"),
        "until": _("Until"),
    }[name]


def value(key: Key, told: Any) -> str:
    """Show what a setting says; what is secret in it is not shown."""
    kind = key.kind
    if told is None:
        return NOTHING
    if isinstance(kind, Flag):
        return flag_words(key)[0 if told else 1]
    if isinstance(kind, Items | Records):
        items = _items(kind, told) if isinstance(kind, Items) else [_record(kind, one) for one in told]
        return _listed(items) or _("none at all")
    return _single(kind, told)


def in_force(key: Key, told: Any) -> str:
    """Show a setting's value as a tablet has it, in the same words and lists in full; a secret one is not shown."""
    if told is None:
        return _("taken out, because it is blocked")
    if key.secret:
        return _("hidden")
    return ", ".join(_items(key.kind, told)) if isinstance(key.kind, Items) and told else value(key, told)


def _items(kind: Items, told: Sequence[str]) -> Sequence[str]:
    """Name what a list has: apps by what they are called too, where the catalogue knows them."""
    return [app_names.called(one) for one in told] if kind.item is APP else told


def _single(kind: Kind, told: Any) -> str:
    if isinstance(kind, Whole):
        return counted(kind, told)
    if isinstance(kind, Record):
        return f"{told['from']}–{told['until']}"  # noqa: RUF001 (a stretch of time)
    if kind is APP:
        return app_names.called(told)
    return word(told) if isinstance(kind, Choice) else str(told)


def _record(kind: Records, told: Mapping[str, Any]) -> str:
    if "security" in told:
        return f"{told[kind.key]} ({word(told['security'])})"
    if "apps" in told:
        return _(
            "page %(number)s: %(apps)s",
            number=told["page"],
            apps=_listed([app_names.called(one) for one in told["apps"]]) or NOTHING,
        )
    return str(told[kind.key])


def _listed(items: Sequence[str]) -> str:
    shown = ", ".join(items[:_ITEMS_SHOWN])
    more = len(items) - _ITEMS_SHOWN
    return _("%(items)s and %(number)s more", items=shown, number=more) if more > 0 else shown


def expected(kind: Kind) -> str:
    """Say what a value must be like."""
    if isinstance(kind, Whole):
        return _(
            "Write a whole number from %(lowest)s to %(highest)s.",
            lowest=number(kind.lowest), highest=number(kind.highest),
        )  # fmt: skip
    if isinstance(kind, Choice | Flag):
        return _("Choose one of those that are offered.")
    known = {
        id(APP): _("An app's id looks like no.school.app."),
        id(HOST): _("A web address looks like nrk.no or *.udir.no/skole."),
        id(TIME): _("A time looks like 08:30."),
        id(VERSION): _("A version looks like 18.4."),
    }
    if id(kind) in known:
        return known[id(kind)]
    if isinstance(kind, Text):
        return _("Write a text of at most %(number)s characters.", number=number(kind.longest))
    return _("This is not what the setting can be.")


def direction(told: str) -> Told:
    """Say which way a change goes."""
    return {
        "looser": Told(_("looser"), "warning"),
        "tighter": Told(_("stricter"), "info"),
        "changed": Told(_("changed"), NEUTRAL),
    }[told]


def place(scope: Scope, named: Named, *, within: bool = False) -> str:
    """Name where a profile is assigned, by itself or ``within`` a sentence."""
    if scope is Scope.MUNICIPALITY:
        return _("the whole municipality") if within else _("The whole municipality")
    return f"{named.name}, {named.school}" if named.school else str(named.name)
