"""What can be done with tablets, in words: actions, orders and their lives, why some are left out, what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask_babel import ngettext

from fleet.devices.bulk import LeftOut
from fleet.devices.models import Device, DeviceLife
from fleet.devices.queries import profile_state
from fleet.orders import OrderKind, OrderState
from fleet.orders.kinds import moment
from fleet.orders.preview import TakenBack
from fleet.web.formats import ago, local_minute
from fleet.web.texts import translated as _
from fleet.web.words import BAD, GOOD, NEUTRAL, WAITING, Told

STEPS = ("lost", "found", "retire", "reinstate")
MOVE = "move"
# What a list of tablets offers; locating one is offered on its page alone, as it tells where a child is.
OFFERED: tuple[tuple[str, ...], ...] = (
    ("message", "lock-message", "ring", "restart", "report-now", "open-url", "shut-down", "update-system"),
    (MOVE, "found", "reinstate"),
    ("lost", "retire", "clear-passcode", "wipe"),
)
DESTRUCTIVE = frozenset(OFFERED[-1])


@dataclass(frozen=True, slots=True)
class Action:
    """An action: what it is called, what it does, and its icon."""

    title: str
    about: str
    icon: str


def grouped() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what a list of tablets offers, in groups with their titles."""
    titles = (_("Ask the tablets"), _("Where they belong"), hard())
    return [
        (title, [(name, action(name).title) for name in names]) for title, names in zip(titles, OFFERED, strict=True)
    ]


def hard() -> str:
    """Name the group of the actions that one may regret."""
    return _("Careful: hard to undo")


def action(name: str) -> Action:
    """Say what an action is and does."""
    if name in {*STEPS, MOVE}:
        return _place_actions()[name]
    kind = OrderKind(name)
    return Action(order_kind(kind), _order_abouts()[kind], _ICONS.get(kind, "order"))


_ICONS: Mapping[OrderKind, str] = {
    OrderKind.MESSAGE: "message", OrderKind.LOCK_MESSAGE: "lock", OrderKind.RING: "bell", OrderKind.RESTART: "restart",
    OrderKind.REPORT_NOW: "history", OrderKind.OPEN_URL: "link", OrderKind.WIPE: "bin", OrderKind.LOCATE: "pin",
    OrderKind.CLEAR_PASSCODE: "lock", OrderKind.SHUT_DOWN: "cross", OrderKind.UPDATE_SYSTEM: "restart",
}  # fmt: skip


def _place_actions() -> dict[str, Action]:
    return {
        MOVE: Action(
            _("Move"),
            _("The tablets get the profile of the place they come to. They are no pupil's own any more."),
            "arrow",
        ),
        "lost": Action(
            _("Report lost"),
            _(
                "An iPad is locked, an Android tablet closes its apps, and both show a text until they are found. "
                "Other tablets cannot speak to the server any more, and are enrolled anew when they are found."
            ),
            "pin",
        ),
        "found": Action(
            _("Found again"),
            _(
                "An iPad that shows the text opens, and is in use as before. An Android tablet on a delivery list "
                "comes back by itself. Other tablets are expected, and are enrolled anew with a ticket."
            ),
            "check",
        ),
        "retire": Action(
            _("Take out of use"), _("The tablet is not counted any more and cannot speak to the server."), "cross"
        ),
        "reinstate": Action(
            _("Take into use again"), _("The tablet is expected, and is enrolled anew with a ticket."), "check"
        ),
    }  # fmt: skip


def order_kind(one: OrderKind) -> str:
    """Name a kind of order."""
    return {
        OrderKind.MESSAGE: _("Show a message"),
        OrderKind.LOCK_MESSAGE: _("Lock with a message"),
        OrderKind.RING: _("Ring"),
        OrderKind.RESTART: _("Restart"),
        OrderKind.REPORT_NOW: _("Report now"),
        OrderKind.OPEN_URL: _("Open a web page"),
        OrderKind.OPEN_APP: _("Open an app"),
        OrderKind.SHUT_DOWN: _("Turn off"),
        OrderKind.UPDATE_SYSTEM: _("Update the system"),
        OrderKind.WIPE: _("Wipe"),
        OrderKind.LOCATE: _("Locate"),
        OrderKind.CLEAR_PASSCODE: _("Clear the passcode"),
    }[one]


def _order_abouts() -> dict[OrderKind, str]:
    return {
        OrderKind.MESSAGE: _("The text is shown on the screen until somebody closes it."),
        OrderKind.LOCK_MESSAGE: _("The screen is locked and shows the text."),
        OrderKind.RING: _("The tablet plays a sound, so that it can be found in the room."),
        OrderKind.RESTART: _("The tablet restarts. What is not saved may be lost."),
        OrderKind.REPORT_NOW: _("The tablet tells at once how it stands."),
        OrderKind.OPEN_URL: _("The web page is opened on the tablet."),
        OrderKind.OPEN_APP: _("The app is opened on the tablet."),
        OrderKind.SHUT_DOWN: _("The tablet turns off. Somebody has to turn it on again by hand."),
        OrderKind.UPDATE_SYSTEM: _(
            "The tablet fetches the version by itself, and restarts for it at the latest when the time has come. It "
            "needs power and a network."
        ),
        OrderKind.WIPE: _(
            "Everything on the tablet is erased: apps, files and the profile. Nothing can bring it back."
        ),
        OrderKind.LOCATE: _("The tablet tells once where it is. Only one that is reported lost can be asked."),
        OrderKind.CLEAR_PASSCODE: _("Whoever has the tablet in hand can open it and choose a new passcode."),
    }


def on_android(name: str, number: int) -> str:
    """Say what is otherwise with an action on so many Android tablets; empty where nothing is, or there are none."""
    closes = ngettext(
        "%(num)d Android tablet closes its apps once it has network.",
        "%(num)d Android tablets close their apps once they have network.",
        number,
    )
    told = {
        OrderKind.LOCK_MESSAGE: ngettext(
            "%(num)d Android tablet shows the text over the screen for five minutes; the home button may close it.",
            "%(num)d Android tablets show the text over the screen for five minutes; the home button may close it.",
            number,
        ),
        OrderKind.REPORT_NOW: ngettext(
            "%(num)d Android tablet may take up to 15 minutes.",
            "%(num)d Android tablets may take up to 15 minutes.",
            number,
        ),
        "lost": ngettext(
            "%(num)d Android tablet closes its apps and shows the text once it has network.",
            "%(num)d Android tablets close their apps and show the text once they have network.",
            number,
        ),
        "retire": closes,
    }
    return str(told.get(name, "")) if number else ""


def deadline(told: str) -> str:
    """Say until when something is to be done, from a local date and time without a zone."""
    return local_minute(moment(told))


def order_state(one: OrderState) -> Told:
    """Say where an order is in its life."""
    return {
        OrderState.ASKED: Told(_("Waits for another person's yes"), WAITING),
        OrderState.QUEUED: Told(_("In the queue"), NEUTRAL),
        OrderState.SENT: Told(_("Fetched by the tablet"), NEUTRAL),
        OrderState.DONE: Told(_("Done"), GOOD),
        OrderState.FAILED: Told(_("Failed"), BAD),
        OrderState.REFUSED: Told(_("Refused by the tablet"), BAD),
        OrderState.EXPIRED: Told(_("Not fetched in time"), WAITING),
        OrderState.WITHDRAWN: Told(_("Withdrawn"), NEUTRAL),
        OrderState.DECLINED: Told(_("Declined"), NEUTRAL),
    }[one]


def left_out(why: LeftOut, number: int) -> str:
    """Say why so many tablets are left out."""
    told = {
        LeftOut.FORBIDDEN: ngettext(
            "%(num)d is at a school you do not look after", "%(num)d are at schools you do not look after", number
        ),
        LeftOut.STATE: ngettext(
            "%(num)d is not in a state where this can be done",
            "%(num)d are not in a state where this can be done",
            number,
        ),
        LeftOut.NOT_CARRIED: ngettext("%(num)d cannot carry it out", "%(num)d cannot carry it out", number),
        LeftOut.WAITING: ngettext("%(num)d has it waiting already", "%(num)d have it waiting already", number),
        LeftOut.SAME: ngettext("%(num)d is there already", "%(num)d are there already", number),
    }
    return str(told[why])


def standing(device: Device, place: str) -> str:
    """Say in one sentence how a tablet stands: where it is, whether it has its profile, when it was heard from."""
    school = device.school.name if device.school is not None else ""
    where = _("%(place)s at %(school)s", place=place, school=school) if place and school else place or school
    life = {
        DeviceLife.EXPECTED: _("Expected, not enrolled yet"),
        DeviceLife.PENDING: _("Waits for approval"),
        DeviceLife.ENROLLED: _("In use in %(place)s", place=where) if where else _("In use"),
        DeviceLife.LOST: _("Reported lost"),
        DeviceLife.RETIRED: _("Out of use"),
    }[device.life]
    if device.life is not DeviceLife.ENROLLED:
        return f"{life}: {where}." if where else f"{life}."
    has = {
        "applied": _("has its profile"),
        "failed": _("has its profile, but not all settings"),
        "pending": _("waits for its profile"),
        "unknown": _("has not reported yet"),
    }[profile_state(device.state)]
    seen = device.state.last_seen_at
    heard = _("last heard from %(when)s", when=ago(seen)) if seen is not None else _("never heard from")
    return f"{life}; {has}; {heard}."


def heading(name: str, number: int) -> str:
    """Say what is to be done with how many tablets."""
    told = {
        MOVE: ngettext("Move %(num)d tablet", "Move %(num)d tablets", number),
        "lost": ngettext("Report %(num)d tablet lost", "Report %(num)d tablets lost", number),
        "found": ngettext("%(num)d tablet is found again", "%(num)d tablets are found again", number),
        "retire": ngettext("Take %(num)d tablet out of use", "Take %(num)d tablets out of use", number),
        "reinstate": ngettext("Take %(num)d tablet into use again", "Take %(num)d tablets into use again", number),
        "message": ngettext("Show a message on %(num)d tablet", "Show a message on %(num)d tablets", number),
        "lock-message": ngettext("Lock %(num)d tablet with a message", "Lock %(num)d tablets with a message", number),
        "ring": ngettext("Ring %(num)d tablet", "Ring %(num)d tablets", number),
        "restart": ngettext("Restart %(num)d tablet", "Restart %(num)d tablets", number),
        "report-now": ngettext("Ask %(num)d tablet to report now", "Ask %(num)d tablets to report now", number),
        "open-url": ngettext("Open a web page on %(num)d tablet", "Open a web page on %(num)d tablets", number),
        "open-app": ngettext("Open an app on %(num)d tablet", "Open an app on %(num)d tablets", number),
        "shut-down": ngettext("Turn off %(num)d tablet", "Turn off %(num)d tablets", number),
        "update-system": ngettext(
            "Update the system of %(num)d tablet", "Update the system of %(num)d tablets", number
        ),
        "wipe": ngettext("Wipe %(num)d tablet", "Wipe %(num)d tablets", number),
        "locate": ngettext("Locate %(num)d tablet", "Locate %(num)d tablets", number),
        "clear-passcode": ngettext(
            "Clear the passcode of %(num)d tablet", "Clear the passcode of %(num)d tablets", number
        ),
    }
    return str(told[name])


def done(name: str, number: int, *, asks: bool = False) -> str:
    """Say what was done with so many tablets."""
    if asks:
        return str(
            ngettext(
                "Asked for on %(num)d tablet. It waits for another person's yes.",
                "Asked for on %(num)d tablets. They wait for another person's yes.",
                number,
            )
        )
    told: Mapping[str, str] = {
        MOVE: ngettext("%(num)d tablet is moved.", "%(num)d tablets are moved.", number),
        "lost": ngettext("%(num)d tablet is reported lost.", "%(num)d tablets are reported lost.", number),
        "found": ngettext("%(num)d tablet is found again.", "%(num)d tablets are found again.", number),
        "retire": ngettext("%(num)d tablet is out of use.", "%(num)d tablets are out of use.", number),
        "reinstate": ngettext("%(num)d tablet is expected again.", "%(num)d tablets are expected again.", number),
    }
    queued = ngettext("The order is queued for %(num)d tablet.", "The order is queued for %(num)d tablets.", number)
    return str(told.get(name, queued))


def comes_back(name: str) -> str:
    """Say what it means to take a step back that has ended tablets' enrolments."""
    return {
        "lost": _("When found again, iPads are in use as before; others are enrolled anew with a ticket."),
        "retire": _("When taken into use again, they are expected and are enrolled anew with a ticket."),
    }[name]


def put_back(number: int) -> str:
    """Say how many tablets are where they were."""
    return str(ngettext("%(num)d tablet is back where it was.", "%(num)d tablets are back where they were.", number))


def stays_there(number: int) -> str:
    """Say how many tablets were not put back."""
    return str(
        ngettext(
            "%(num)d tablet stays where it is: it was moved since, or its former place is no more.",
            "%(num)d tablets stay where they are: they were moved since, or their former place is no more.",
            number,
        )
    )


def stays_as_is(number: int) -> str:
    """Say how many tablets' steps were not taken back."""
    return str(
        ngettext(
            "%(num)d tablet stays as it is: it was changed since.",
            "%(num)d tablets stay as they are: they were changed since.",
            number,
        )
    )


def withdrawn(number: int) -> str:
    """Say how many orders were taken back."""
    return str(ngettext("%(num)d order is withdrawn.", "%(num)d orders are withdrawn.", number))


def taken_back(found: TakenBack) -> str:
    """Say how many orders that were queued together were taken back, and for which it was too late."""
    told = [withdrawn(found.number)] if found.number else []
    if found.done and found.kind in {OrderKind.MESSAGE, OrderKind.LOCK_MESSAGE}:
        told.append(ngettext("Too late: shown on %(num)d tablet.", "Too late: shown on %(num)d tablets.", found.done))
    elif found.done:
        told.append(ngettext("Too late: done on %(num)d tablet.", "Too late: done on %(num)d tablets.", found.done))
    if found.ended:
        told.append(ngettext("%(num)d order had ended already.", "%(num)d orders had ended already.", found.ended))
    return " ".join(map(str, told))


def states() -> Sequence[tuple[str, str]]:
    """Return the states that a list of orders can be narrowed to, with their words."""
    return [("open", _("All that have not ended")), *((one.value, order_state(one).words) for one in OrderState)]


def channel(told: str) -> str:
    """Name a way in which tablets talk to us; one that we have not is called as it was told."""
    return {"native": _("our own agent"), "apple": _("Apple"), "headwind": _("Android (Headwind)")}.get(told, told)
