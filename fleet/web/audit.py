"""The audit: who did what with what, found by what, who and when; a page at a time, and all of it as a file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from flask import Response, request

from fleet import audit as lines_of
from fleet import clock, orders
from fleet.access import Permission, Principal, require
from fleet.assignments import publishing
from fleet.audit import Filter
from fleet.devices import queries as devices
from fleet.errors import NotFoundError
from fleet.people import queries as people
from fleet.schools import finding as places
from fleet.web import csv_export, signed_in, words_audit
from fleet.web.audit_lines import told
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE, show
from fleet.web.texts import translated as _
from fleet.web.values import date_of, whole
from fleet.web.words_audit import ACTIONS, AREAS

_MAX_TEXT = 100
_FILE_PAGE = 1_000  # lines read at once for a file, which may be three years long
_SCHOOLS = 10_000  # as no municipality has them
_SUBJECT = re.compile(r"[a-z-]+:\S+")
_KINDS = ("account", "cli", "job", "device", "system")


@dataclass(frozen=True, slots=True)
class Choice:
    """What an address says; what makes no sense there counts as nothing told."""

    text: str = ""
    who: str = ""
    kind: str = ""
    action: str = ""
    since: date | None = None
    until: date | None = None
    before: int | None = None

    @classmethod
    def read(cls) -> "Choice":
        """Return what the address' parameters say."""
        args = request.args
        action, kind = args.get("action", ""), args.get("kind", "")
        known = action in ACTIONS or action.removesuffix(".") in AREAS
        return cls(
            text=args.get("q", "").strip()[:_MAX_TEXT],
            who=args.get("who", "").strip()[:_MAX_TEXT],
            kind=kind if kind in _KINDS else "",
            action=action if known else "",
            since=date_of(args.get("from")),
            until=date_of(args.get("until")),
            before=whole(args.get("before")),
        )

    @property
    def is_narrowed(self) -> bool:
        """Whether it leaves anything out."""
        return bool(replace(self, before=None) != Choice())

    def told(self, before: int | None = None) -> dict[str, str]:
        """Return the same choice as an address tells it, from a line on."""
        values = {
            "q": self.text, "who": self.who, "kind": self.kind, "action": self.action, "from": self.since,
            "until": self.until, "before": before,
        }  # fmt: skip
        return {name: str(value) for name, value in values.items() if value}

    def filter(self, by: Principal) -> Filter:
        """Return which lines are meant; the last day counts whole."""
        return Filter(
            action=self.action or None,
            subjects=_subjects(self.text, by) if self.text else None,
            actors=self._actors(by),
            since=_midnight(self.since) if self.since is not None else None,
            until=_midnight(self.until + timedelta(days=1)) if self.until is not None else None,
        )

    def _actors(self, by: Principal) -> Sequence[tuple[str, str | None]] | None:
        if not self.who:
            return [(self.kind, None)] if self.kind else None
        if self.kind not in {"", "account"}:  # nobody else has a name
            return []
        return [("account", str(number)) for number in people.matching(people.Filter(text=self.who), by=by)]


@web.get("/audit")
def audit() -> str:
    """Show the audit, newest first."""
    by, choice = signed_in.by(), Choice.read()
    require(by, Permission.READ_AUDIT)
    found = lines_of.lines(choice.filter(by), by=by, limit=PAGE_SIZE + 1, before=choice.before)
    shown = found[:PAGE_SIZE]
    return show(
        "audit",
        lines=told(shown),
        choice=choice,
        older=shown[-1].id if len(found) > PAGE_SIZE else None,
        actions=words_audit.choices(),
        kinds=words_audit.kinds(),
    )


@web.get("/audit.csv")
def audit_file() -> Response:
    """Return the same lines as a file."""
    by, choice = signed_in.by(), Choice.read()
    require(by, Permission.READ_AUDIT)
    header = [
        _("Time"), _("Who"), _("Account"), _("What"), _("Action"), _("On what"), _("Subject"), _("Details"),
    ]  # fmt: skip
    name = f"hendelseslogg-{clock.now().astimezone(signed_in.timezone()):%Y-%m-%d}.csv"
    return csv_export.respond(name, header, _rows(choice.filter(by), by))


def _rows(wanted: Filter, by: Principal) -> Iterator[Sequence[object]]:
    zone, before = signed_in.timezone(), None
    while found := lines_of.lines(wanted, by=by, limit=_FILE_PAGE, before=before):
        for one in told(found):
            entry = one.entry
            details = "; ".join(f"{name}: {value}" for name, value in one.details)
            at = f"{entry.at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
            actor = f"{entry.actor_kind}:{entry.actor_id}".rstrip(":")
            yield [at, one.who, actor, one.action, entry.action, one.what, entry.subject, details]
        before = found[-1].id


def _midnight(on: date) -> datetime:
    return datetime.combine(on, time(), signed_in.timezone())


def _subjects(text: str, by: Principal) -> list[str]:
    """Return how the audit names what a text may mean: a tablet and its orders, a school, a person, a profile."""
    if _SUBJECT.fullmatch(text):
        return [text]
    found = [f"serial:{text.upper()}"]  # one whose enrolment was refused
    try:
        device = devices.find_device(text, by=by)
    except NotFoundError:
        pass
    else:
        of_tablet = orders.listed(orders.Filter(device_id=device.id), by=by)
        return [*found, f"device:{device.id}", *(f"order:{one.id}" for one in of_tablet)]
    for school in places.schools_called(text, by=by, limit=_SCHOOLS).rows:
        found += [f"{kind}:{school.id}" for kind in ("school", "calendar", "bells")]
    found += [f"account:{number}" for number in people.matching(people.Filter(text=text), by=by)]
    try:
        return [*found, f"profile:{publishing.find(text.casefold()).id}"]
    except NotFoundError:
        return found
