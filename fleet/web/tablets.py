"""All tablets one may see: one box that finds anything, filters that live in the address, and the same as a file."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from flask import Response, request, url_for

from fleet import clock
from fleet.access import Permission, Principal
from fleet.compliance import queries as compliance
from fleet.devices import bulk, reported
from fleet.devices import queries as devices
from fleet.devices.models import Device, DeviceLife, Platform
from fleet.devices.queries import SORTS, Filter
from fleet.lessons import occupied
from fleet.schools import finding as places_of
from fleet.schools import queries as schools
from fleet.schools.models import SchoolClass
from fleet.web import csv_export, signed_in, words
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE, show
from fleet.web.texts import translated as _
from fleet.web.values import whole

SIZES = (50, PAGE_SIZE)
_MAX_TEXT = 100
_FILE_PAGE = 1_000  # tablets read at once for a file
_LIVES = {
    "expected": DeviceLife.EXPECTED,
    "pending": DeviceLife.PENDING,
    "lost": DeviceLife.LOST,
    "retired": DeviceLife.RETIRED,
    "enrolled": DeviceLife.ENROLLED,
}
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
STATES = (
    "enrolled", "findings", "waiting", "failed", "apps", "unsupervised", "lesson", "hour", "day", "quiet", "pending",
    "expected", "lost", "retired",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """What an address says; what makes no sense there counts as nothing told."""

    text: str = ""
    school_id: int | None = None
    class_id: int | None = None
    state: str = ""
    app: str = ""
    platform: Platform | None = None
    sort: str = ""
    size: int = SIZES[0]
    page: int = 1

    @classmethod
    def read(cls, args: Mapping[str, str]) -> "Choice":
        """Return what an address' parameters say."""
        state, sort, size = args.get("state", ""), args.get("sort", ""), whole(args.get("size"))
        platforms = {one.value: one for one in Platform}
        return cls(
            text=args.get("q", "").strip()[:_MAX_TEXT],
            school_id=whole(args.get("school")),
            class_id=whole(args.get("class")),
            state=state if state in STATES else "",
            app=args.get("app", "").strip()[:_MAX_TEXT] if state == "apps" else "",
            platform=platforms.get(args.get("platform", "")),
            sort=sort if sort.removeprefix("-") in SORTS else "",
            size=size if size in SIZES else SIZES[0],
            page=whole(args.get("page")) or 1,
        )

    def filter(self, now: datetime) -> Filter:
        """Return which tablets are meant: as in the figures, none that is out of use, unless one asks for those."""
        seen = {"hour": now - _HOUR, "day": now - _DAY}
        return Filter(
            school_id=self.school_id,
            class_id=self.class_id,
            text=self.text or None,
            life=_LIVES.get(self.state),
            platform=self.platform,
            seen_since=seen.get(self.state),
            not_seen_since=now - _DAY if self.state == "quiet" else None,
            has_findings=True if self.state == "findings" else None,
            is_pending=self.state == "waiting",
            is_failed=self.state == "failed",
            within=_within(self, now),
            with_retired=self.state == "retired",
        )

    def told(self, **changes: Any) -> dict[str, Any]:
        """Return the same choice, but for some changes, as an address tells it."""
        one = replace(self, **{"page": 1, **changes})
        values = {
            "q": one.text, "school": one.school_id, "class": one.class_id, "state": one.state, "app": one.app,
            "platform": one.platform, "sort": one.sort, "size": one.size if one.size != SIZES[0] else None,
            "page": one.page if one.page > 1 else None,
        }  # fmt: skip
        return {name: str(value) for name, value in values.items() if value}

    def address(self, **changes: Any) -> str:
        """Return the address of the list with this choice, but for some changes."""
        return url_for("web.tablets", **self.told(**changes))

    def turned(self, column: str) -> str:
        """Return the address of the list by a column; the other way round where it is by that one already."""
        return self.address(sort=f"-{column}" if self.sort == column else column)

    def sorted(self, column: str) -> str:
        """Return how the list is sorted by a column, as ``aria-sort`` has it; empty where it is not."""
        return {column: "ascending", f"-{column}": "descending"}.get(self.sort, "")


def _within(choice: Choice, now: datetime) -> Any:
    """Select the tablets of a state that lessons know of, or tablets tell themselves; None for the other states."""
    match choice.state:
        case "lesson":
            return occupied.tablets(now)
        case "apps":
            return reported.lacking_apps(choice.app or None)
        case "unsupervised":
            return reported.unsupervised()
    return None


@web.get("/tablets")
def tablets() -> str:
    """Show the tablets."""
    by, now, choice = signed_in.by(), clock.now(), Choice.read(request.args)
    wanted = choice.filter(now)
    count = devices.count(wanted, by=by)
    pages = max(1, -(-count // choice.size))
    choice = replace(choice, page=min(choice.page, pages))  # rows go while one reads: the last page moves
    offset = (choice.page - 1) * choice.size
    shown = devices.devices(wanted, by=by, limit=choice.size, offset=offset, sort=choice.sort or "school")
    return show(
        "tablets",
        rows=shown,
        places=places(shown, by),
        kinds=compliance.kinds_of([one.id for one in shown if one.state.has_findings]),
        choice=choice,
        count=count,
        pages=pages,
        sizes=SIZES,
        states=STATES,
        platforms=list(Platform),
        schools=schools.visible(by),
        of_class=_class(choice.class_id, by),
        may_act=may_act(by),
        may_enrol=by.school_ids(Permission.MANAGE_TICKETS) != frozenset(),
    )


def may_act(by: Principal) -> bool:
    """Whether somebody may do anything with any tablet from its list."""
    asked = (Permission.ORDER_GENTLE, Permission.MANAGE_DEVICES)
    return any(by.school_ids(permission) != frozenset() for permission in asked)


def places(shown: Collection[Device], by: Principal) -> dict[int, str]:
    """Return the class or cart that each tablet stands in, or its pupil's basic classes, by tablet; one statement."""
    titles = devices.class_titles(shown, on=by.today)
    told = {
        one.id: one.school_class.title if one.school_class else one.cart or ", ".join(titles.get(one.id, ()))
        for one in shown
    }
    return {number: title for number, title in told.items() if title}


def _class(class_id: int | None, by: Principal) -> SchoolClass | None:
    return places_of.seen_class(class_id, by=by) if class_id is not None else None


@web.get("/tablets.csv")
def tablets_file() -> Response:
    """Give the tablets that a filter finds as a file for a spreadsheet, named by what is in it and the day.

    Pupils' names stay here: files are passed on and forgotten in folders. What was searched for may be such a name too.
    """
    by, now, choice = signed_in.by(), clock.now(), Choice.read(request.args)
    sort = choice.sort or "school"
    found = devices.ids(choice.filter(now), by=by, sort=sort)
    header = [
        _("Serial"), _("Asset tag"), _("Model"), _("System"), _("Version"), _("School"), _("Class or cart"),
        _("Pupil's user name"),
        _("State"), _("Profile"), _("Findings"), _("Last heard from"), _("Battery"), _("Free storage"),
    ]  # fmt: skip
    name = csv_export.named("nettbrett", *_narrowed(choice, by), on=now.astimezone(signed_in.timezone()).date())
    return csv_export.respond(name, header, _lines(found, sort, by))


def _narrowed(choice: Choice, by: Principal) -> list[str]:
    """Return what a choice narrows the list to, in words."""
    of_class = _class(choice.class_id, by)
    told = [
        of_class.title if of_class is not None else "",
        schools.visible(by).get(choice.school_id, "") if choice.school_id is not None else "",
        words.platform(choice.platform) if choice.platform is not None else "",
        words.filter_state(choice.state) if choice.state else "",
        choice.app,
    ]
    return [one for one in told if one]


def _lines(ids: Sequence[int], sort: str, by: Principal) -> Iterator[list[Any]]:
    """Read tablets in parts: which they are is settled before, so that none is left out or told twice meanwhile."""
    for start in range(0, len(ids), _FILE_PAGE):
        found = bulk.chosen(ids[start : start + _FILE_PAGE], by=by, sort=sort)
        where = places(found, by)
        kinds = compliance.kinds_of([one.id for one in found if one.state.has_findings])
        for one in found:
            yield _line(one, where, kinds.get(one.id, ()))


def _line(device: Device, where: Mapping[int, str], kinds: Sequence[str]) -> list[Any]:
    state = device.state
    version = (state.facts or {}).get("os_version", "")
    seen = state.last_seen_at.astimezone(signed_in.timezone()) if state.last_seen_at is not None else None
    return [
        device.serial,
        device.asset_tag or "",
        device.model or "",
        words.platform(device.platform),
        f"{words.platform(device.platform)} {version}" if version else "",
        device.school.name if device.school is not None else "",
        where.get(device.id, ""),
        device.person.username or "" if device.person is not None else "",
        words.life(device.life).words,
        words.profile(device).words if device.life is DeviceLife.ENROLLED else "",
        ", ".join(words.finding_title(kind) for kind in kinds),
        f"{seen:%Y-%m-%d %H:%M}" if seen is not None else "",
        f"{state.battery_percent} %" if state.battery_percent is not None else "",
        round(state.storage_free_bytes / 1e9, 1) if state.storage_free_bytes is not None else "",
    ]
