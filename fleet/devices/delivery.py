"""The supplier's delivery list: which tablets are expected, and where.

Invariants: one bad line stops all; a serial that is known keeps its row and history, only what the list's columns say
changes, and of a tablet that has enrolled not its model and platform, which it told itself; a retired one is refused.
Headers may be Norwegian or English, the delimiter a semicolon, comma or tab. Columns that mean nothing here (prices,
order numbers) are not read, and are told.
"""

import difflib
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import changed, db, take_turn
from fleet.devices.delivery_plan import DeliveryPlan, Difference, MovesError
from fleet.devices.models import Device, DeviceLife, DeviceState, Platform
from fleet.errors import Problem
from fleet.schools.models import Membership, Person, PersonKind, School, SchoolClass
from fleet.schools.queries import by_name
from fleet.schools.roster.package import Problems, Table, read_table
from fleet.schools.roster.reader import UNSHOWABLE

MAX_BYTES = 16 * 2**20
_SERIAL = re.compile(r"[A-Z0-9][A-Z0-9._/-]{1,63}")
_TEXT_CELL = re.compile(r'="(.*)"')  # how spreadsheets keep leading zeros: ="00123"
_DAMAGED_SERIAL = re.compile(r"\d([.,]\d+)?E\+\d+")  # what spreadsheets make of a long number: 1,23457E+11
_DELIMITERS = (";", ",", "\t")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "serial": (
        "serial", "serial number", "serial no", "serial no.", "serial nr", "s/n", "sn",
        "serienummer", "serienr", "serienr.",
    ),
    "model": ("model", "model name", "modell", "modellnavn", "type", "product", "produkt"),
    "platform": ("platform", "plattform", "os", "operating system", "operativsystem"),
    "asset_tag": (
        "asset tag", "asset", "tag", "asset number",
        "inventarnummer", "inventarnr", "inventarnr.", "merkelapp", "merke",
    ),
    "school": ("school", "school name", "skole", "skolenavn"),
    "class": ("class", "group", "klasse", "gruppe", "basisgruppe"),
    "person": ("pupil", "student", "username", "elev", "brukernavn", "elev-id", "elevid"),
    "cart": ("cart", "trolley", "vogn", "tralle"),
}  # fmt: skip
_PLATFORMS = {
    "ipados": Platform.IPADOS, "ipad": Platform.IPADOS, "ios": Platform.IPADOS,
    "android": Platform.ANDROID, "linux": Platform.LINUX,
}  # fmt: skip
_LONGEST = {"model": 120, "asset_tag": 64, "cart": 64}
# Which of a tablet's columns a column of the list sets.
_SETS = {
    "school": "school_id", "class": "class_id", "person": "person_id", "cart": "cart", "asset_tag": "asset_tag",
    "model": "model", "platform": "platform",
}  # fmt: skip
_TOLD_BY_TABLET = ("model", "platform")
_WITHIN_SCHOOL = ("class_id", "person_id", "cart")


class _Reader:
    """Reads a list against what is known; collects problems."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        living = db.session.scalars(select(School).where(School.ended_at.is_(None)).order_by(School.name)).all()
        self._schools = by_name((name, one) for one in living for name in (one.name, one.source_id))
        self._names = [school.name for school in living]
        self._school_names = {one.id: one.name for one in db.session.execute(select(School.id, School.name))}
        titles = db.session.execute(select(SchoolClass.id, SchoolClass.title))
        self._class_titles = {one.id: one.title for one in titles}
        classes = db.session.scalars(select(SchoolClass).where(SchoolClass.ended_at.is_(None))).all()
        self._titles: dict[int, list[str]] = {}
        for one in classes:
            self._titles.setdefault(one.school_id, []).append(one.title)
        self._classes = {
            school.id: by_name((one.title, one.id) for one in classes if one.school_id == school.id)
            for school in living
        }
        self._read_pupils()

    def _read_pupils(self) -> None:
        columns = (Person.id, Person.username, Person.source_id, Person.school_id)
        is_pupil = (Person.ended_at.is_(None), Person.kind == PersonKind.PUPIL)
        pupils = db.session.execute(select(*columns).where(*is_pupil)).all()
        self._pupils = by_name((name, one.id) for one in pupils for name in (one.username, one.source_id))
        self._schools_of = {one.id: {one.school_id} for one in pupils}
        guests = (
            select(Membership.person_id, SchoolClass.school_id)
            .join(SchoolClass, SchoolClass.id == Membership.class_id)
            .where(Membership.ended_at.is_(None), SchoolClass.ended_at.is_(None))
            .distinct()
        )
        for person_id, school_id in db.session.execute(guests):
            self._schools_of.get(person_id, set()).add(school_id)

    def fault(self, line: int, column: str, code: str, found: str | None, expected: str) -> None:
        """Note a problem."""
        self._problems.add(Problem(self._file, line, column, code, found, expected))

    def row(self, line: int, cells: Mapping[str, str]) -> dict[str, Any]:
        """Return a line's values; notes what is wrong."""
        school = self._school(line, cells["school"])
        row: dict[str, Any] = {
            "serial": self._serial(line, cells["serial"]),
            "platform": self._platform(line, cells.get("platform")),
            "school_id": school.id if school is not None else None,
            "class_id": self._class(line, cells.get("class"), school),
            "person_id": self._person(line, cells.get("person"), school),
        }
        for name, longest in _LONGEST.items():
            value = cells.get(name, "")
            if len(value) > longest:
                self.fault(line, name, "too-long", value, f"at most {longest} characters")
            if UNSHOWABLE.search(value):
                self.fault(line, name, "control-character", None, "one line of letters, digits and signs")
            row[name] = value or None
        return row

    def _serial(self, line: int, told: str) -> str:
        serial = told.upper()
        if _DAMAGED_SERIAL.fullmatch(serial):
            expected = "the whole number; a spreadsheet has rounded it, so format that column as text"
            self.fault(line, "serial", "rounded-serial", told, expected)
        elif not _SERIAL.fullmatch(serial):
            self.fault(line, "serial", "bad-serial", told, "letters, digits and . _ / -, at least two")
        return serial

    def _platform(self, line: int, told: str | None) -> Platform | None:
        if told is None:
            return Platform.IPADOS
        found = _PLATFORMS.get(told.casefold())
        if found is None:
            self.fault(line, "platform", "unknown-platform", told, f"one of {', '.join(_PLATFORMS)}")
        return found

    def _school(self, line: int, told: str) -> School | None:
        found = self._schools.get(told.casefold(), [])
        if len(found) > 1:
            self.fault(line, "school", "ambiguous-school", told, "the school's id: several have this name")
        elif not found:
            near = _near(told, self._names) or self._names[:5]
            self.fault(line, "school", "unknown-school", told, f"a school: {', '.join(near)}")
        return found[0] if len(found) == 1 else None

    def _class(self, line: int, told: str | None, school: School | None) -> int | None:
        if not told or school is None:
            return None
        found = self._classes[school.id].get(told.casefold(), [])
        if len(found) > 1:
            self.fault(line, "class", "ambiguous-class", told, f"a title that one class of {school.name} has")
        elif not found:
            here = self._titles.get(school.id, [])
            near = _near(told, here) or here[:5]
            self.fault(line, "class", "unknown-class", told, f"a class of {school.name}: {', '.join(near)}")
        return found[0] if len(found) == 1 else None

    def _person(self, line: int, told: str | None, school: School | None) -> int | None:
        """Return the pupil; what stands in the cell is not repeated, as it may be a name."""
        if not told or school is None:
            return None
        found = self._pupils.get(told.casefold(), [])
        if len(found) > 1:
            self.fault(line, "pupil", "ambiguous-pupil", None, "an id from the roster: several have this user name")
        elif not found:
            self.fault(line, "pupil", "unknown-pupil", None, "a pupil's user name or id from the roster")
        elif self._schools_of[found[0]].isdisjoint({school.id, None}):
            self.fault(line, "pupil", "foreign-pupil", None, f"a pupil of {school.name}")
        return found[0] if len(found) == 1 else None

    def differences(self, device: Any, stands: Mapping[str, Any], says: Mapping[str, Any]) -> list[Difference]:
        """Return what a line says otherwise of a tablet than what stands."""

        def shown(name: str, value: Any) -> str | None:
            if value is None or name == "person_id":
                return None if value is None else "set"
            names = {"school_id": self._school_names, "class_id": self._class_titles}.get(name, {})
            return str(names.get(value, value))

        is_used = device.life is not DeviceLife.EXPECTED and device.listed_at is not None
        return [
            Difference(
                device.serial,
                name.removesuffix("_id").replace("person", "pupil"),
                shown(name, stands[name]),
                shown(name, value),
                is_move=is_used and name in ("school_id", *_WITHIN_SCHOOL),
            )
            for name, value in says.items()
            if value != stands[name]
        ]


def is_serial(told: str) -> bool:
    """Whether a tablet can have this serial, in capitals."""
    return _SERIAL.fullmatch(told) is not None


def _near(told: str, known: list[str]) -> list[str]:
    """Return the names that resemble ``told``, whatever their case, as they are written."""
    folded = {name.casefold(): name for name in known}
    return [folded[name] for name in difflib.get_close_matches(told.casefold(), list(folded), n=3, cutoff=0.4)]


def _table(path: Path, problems: Problems) -> Table:
    """Return the file's lines; notes lines that are not as wide as the header.

    Raises:
        InvalidFileError: there is no reading it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        problems.add(Problem(path.name, None, None, "too-large", None, f"at most {MAX_BYTES} bytes"))
        raise problems.error()
    first = content.partition(b"\n")[0]
    delimiter = max(_DELIMITERS, key=lambda mark: first.count(mark.encode()))
    table = read_table(path.name, content, problems, delimiter=delimiter)
    if table is None:
        raise problems.error()
    return table


def _cell(told: str) -> str:
    found = _TEXT_CELL.fullmatch(told)
    return found[1].strip() if found is not None else told


def _header(table: Table, problems: Problems) -> tuple[dict[str, str], list[str]]:
    """Return which of the file's columns holds what, and those that mean nothing; notes what is missing or double."""
    meant: dict[str, str] = {}
    ignored = []
    for title in table.columns:
        plain = " ".join(_cell(title).casefold().replace("_", " ").split())
        name = next((name for name, words in _COLUMNS.items() if plain in words), None)
        if name is None:
            ignored.append(title)
        elif name in meant:
            problems.add(Problem(table.name, 1, title, "duplicate-column", title, f"one column beside {meant[name]}"))
        else:
            meant[name] = title
    for name in ("serial", "school"):
        if name not in meant:
            near = difflib.get_close_matches(_COLUMNS[name][-1], ignored, n=1) or _near(name, ignored)
            expected = f"a column called {', '.join(_COLUMNS[name])}"
            problems.add(Problem(table.name, 1, name, "missing-column", near[0] if near else None, expected))
    return meant, [title for title in ignored if title]


def propose(path: Path, *, by: Principal) -> DeliveryPlan:
    """Read a list and return what importing it would change; changes nothing.

    Raises:
        InvalidFileError: with everything that is wrong.
        ForbiddenError: ``by`` may not import tablets for a school of the list, or for one a tablet would leave.
        OSError: the file cannot be read.
    """
    problems = Problems()
    table = _table(path, problems)
    meant, ignored = _header(table, problems)
    if not {"serial", "school"} <= meant.keys():
        raise problems.error()
    reader = _Reader(path.name, problems)
    rows: dict[str, tuple[int, dict[str, Any]]] = {}
    for line, cells in table.rows:
        row = reader.row(line, {name: _cell(cells[title]) for name, title in meant.items()})
        if row["serial"] in rows and _SERIAL.fullmatch(row["serial"]):
            first = rows[row["serial"]][0]
            reader.fault(
                line, "serial", "duplicate-serial", row["serial"], f"each serial once; line {first} has it too"
            )
        rows.setdefault(row["serial"], (line, row))
    if not rows:
        problems.add(Problem(path.name, None, None, "empty", None, "a line for each tablet after the header"))
    plan, schools = _compare(rows, {_SETS[name] for name in meant if name in _SETS}, reader)
    if problems.count:
        schools.discard(None)  # a line whose school is unknown, which is told
    # Before what is wrong is told: that tells which classes and pupils a school has.
    for school_id in sorted(schools, key=lambda one: one or 0):
        require(by, Permission.IMPORT_DEVICES, school_id=school_id)
    problems.raise_if_any()
    plan.ignored = ignored
    return plan


def _compare(
    rows: Mapping[str, tuple[int, dict[str, Any]]], given: set[str], reader: _Reader
) -> tuple[DeliveryPlan, set[int | None]]:
    """Return what differs, and the schools it concerns.

    Args:
        rows: line and values by serial.
        given: the tablet's columns that the list has something to say on.
        reader: takes problems.
    """
    plan, schools = DeliveryPlan(), {row["school_id"] for _, row in rows.values()}
    everyone = db.session.execute(select(*Device.__table__.columns))
    known = {device.serial: device for device in everyone if device.serial in rows}
    for serial, (line, row) in rows.items():
        device = known.get(serial)
        if device is None:
            plan.added.append(row)
            continue
        schools.add(device.school_id)
        if device.life is DeviceLife.RETIRED:
            reader.fault(line, "serial", "retired", serial, "a tablet that is not retired; reinstate it first")
            continue
        says = {name: row[name] for name in given}
        if device.school_id != row["school_id"]:  # the old school's class, pupil and cart stay behind
            says |= {name: row[name] for name in _WITHIN_SCHOOL}
        if device.life is not DeviceLife.EXPECTED:
            says = {name: value for name, value in says.items() if name not in _TOLD_BY_TABLET}
        stands = {name: getattr(device, name) for name in _SETS.values()}
        plan.differences += reader.differences(device, stands, says)
        if stands != stands | says or device.listed_at is None:
            plan.changed.append({"id": device.id, "listed_at": device.listed_at, **stands, **says})
        else:
            plan.unchanged += 1
    return plan, schools


def import_list(path: Path, *, allow_moves: bool = False, by: Principal, now: datetime) -> DeliveryPlan:
    """Import a list; returns what changed.

    Args:
        path: the list.
        allow_moves: whether tablets in use may be moved to where the list has them.
        by: who imports.
        now: the instant.

    Raises:
        InvalidFileError: with everything that is wrong; nothing was changed.
        MovesError: tablets in use would be moved, and nobody said that they may; nothing was changed.
        ForbiddenError: ``by`` may not import tablets for a school of the list, or for one a tablet would leave.
        OSError: the file cannot be read.
    """
    take_turn("assignments")
    plan = propose(path, by=by)
    if plan.moved and not allow_moves:
        raise MovesError(kind="tablets", moves=len(plan.moved), serials=plan.moved[:5])
    carry_out(plan, path.name, by=by, now=now)
    return plan


def carry_out(plan: DeliveryPlan, name: str, *, by: Principal, now: datetime) -> None:
    """Change what a plan says; the caller has the turn, and has asked whether ``by`` may.

    Args:
        plan: what changes.
        name: of the list, for the audit.
        by: whose list it is.
        now: the instant.
    """
    ids: list[int] = [row["id"] for row in plan.changed]
    if plan.added:
        fresh = [
            {**row, "uid": secrets.token_hex(16), "life": DeviceLife.EXPECTED, "listed_at": now, "created_at": now}
            for row in plan.added
        ]
        # render_nulls: else every row whose empty columns differ from the previous one's is a statement of its own.
        db.session.execute(insert(Device), fresh, execution_options={"render_nulls": True})
        added = list(db.session.scalars(select(Device.id).where(~Device.state.has())))
        db.session.execute(insert(DeviceState), [{"device_id": device_id} for device_id in added])
        ids += added
    if plan.changed:
        db.session.execute(update(Device), [{**row, "listed_at": row["listed_at"] or now} for row in plan.changed])
    db.session.expire_all()
    counts = plan.counts()
    if ids:
        audit.record(
            by, "devices.imported", subject="delivery-list", now=now,
            file_name=name[:255], added=counts["added"], changed=counts["changed"],
        )  # fmt: skip
        changed("device", ids, now=now)


def history(*, by: Principal, limit: int = 50) -> Sequence[audit.AuditEntry]:
    """Return the newest imports' lines first: all of them for who imports everywhere, else one's own."""
    query = select(audit.AuditEntry).where(audit.AuditEntry.action == "devices.imported")
    if by.school_ids(Permission.IMPORT_DEVICES) is not None:
        query = query.where(audit.AuditEntry.actor_kind == by.kind, audit.AuditEntry.actor_id == by.id)
    return db.session.scalars(query.order_by(audit.AuditEntry.id.desc()).limit(limit)).all()
