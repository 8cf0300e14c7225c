"""The supplier's delivery list: which tablets are expected, and where.

Invariants: one bad line stops all; a serial that is known keeps its row and history, only its place and tag change; a
retired one is refused. Headers may be Norwegian or English, the delimiter a semicolon, comma or tab.
"""

import csv
import difflib
import io
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import changed, db
from fleet.devices.models import Device, DeviceLife, DeviceState, Platform
from fleet.errors import InvalidFileError, Problem
from fleet.schools.models import Person, PersonKind, School, SchoolClass

MAX_BYTES = 16 * 2**20
MAX_PROBLEMS = 200
_SERIAL = re.compile(r"[A-Z0-9][A-Z0-9._/-]{1,63}")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "serial": ("serial", "serial number", "serienummer", "serienr", "s/n"),
    "model": ("model", "modell", "type"),
    "platform": ("platform", "plattform", "os"),
    "asset_tag": ("asset tag", "asset", "tag", "inventarnummer", "inventarnr", "merkelapp", "merke"),
    "school": ("school", "skole"),
    "class": ("class", "klasse", "gruppe"),
    "person": ("pupil", "student", "elev", "brukernavn", "username"),
    "cart": ("cart", "vogn", "tralle"),
}
_PLATFORMS = {
    "ipados": Platform.IPADOS, "ipad": Platform.IPADOS, "ios": Platform.IPADOS,
    "android": Platform.ANDROID, "linux": Platform.LINUX,
}  # fmt: skip
_PLACES = ("asset_tag", "model", "school_id", "class_id", "person_id", "cart")


@dataclass(slots=True)
class DeliveryPlan:
    """What a list changes: rows to add, rows to change (device id, values, what differs), how many stay."""

    added: list[dict[str, Any]] = field(default_factory=list)
    changed: list[tuple[int, dict[str, Any], list[str]]] = field(default_factory=list)
    unchanged: int = 0

    def counts(self) -> dict[str, int]:
        """Return the numbers."""
        return {"added": len(self.added), "changed": len(self.changed), "unchanged": self.unchanged}


class _Reader:
    """Reads a list against what is known; collects problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        living = db.session.scalars(select(School).where(School.ended_at.is_(None))).all()
        self._schools = {school.name.casefold(): school for school in living}
        self._names = [school.name for school in living]
        found = db.session.scalars(select(SchoolClass).where(SchoolClass.ended_at.is_(None)))
        self._classes = {(one.school_id, one.title.casefold()): one.id for one in found}
        pupils = select(Person.id, Person.username, Person.source_id).where(
            Person.ended_at.is_(None), Person.kind == PersonKind.PUPIL
        )
        self._people: dict[str, int] = {}
        for person_id, username, source_id in db.session.execute(pupils):
            self._people |= {name.casefold(): person_id for name in (username, source_id) if name}

    def fault(self, line: int, column: str | None, code: str, found: str | None, expected: str) -> None:
        """Note a problem."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(self.file, line, column, code, found[:80] if found else found, expected))

    def row(self, line: int, cells: Mapping[str, str]) -> dict[str, Any]:
        """Return a line's values; notes what is wrong."""
        serial = cells.get("serial", "").upper()
        if not _SERIAL.fullmatch(serial):
            self.fault(line, "serial", "bad-serial", serial, "letters, digits and . _ / -, at least two")
        platform = _PLATFORMS.get(cells.get("platform", "").casefold()) if "platform" in cells else Platform.IPADOS
        if platform is None:
            self.fault(line, "platform", "unknown-platform", cells["platform"], f"one of {', '.join(_PLATFORMS)}")
        school = self._schools.get(cells.get("school", "").casefold())
        if school is None:
            near = difflib.get_close_matches(cells.get("school", ""), self._names, n=3, cutoff=0.4)
            self.fault(
                line, "school", "unknown-school", cells.get("school"), f"a school: {', '.join(near or self._names[:5])}"
            )
        return {
            "serial": serial,
            "platform": platform,
            "model": cells.get("model", "")[:120] or None,
            "asset_tag": cells.get("asset_tag", "")[:64] or None,
            "school_id": school.id if school is not None else None,
            "class_id": self._class(line, cells, school),
            "person_id": self._person(line, cells),
            "cart": cells.get("cart", "")[:64] or None,
        }

    def _class(self, line: int, cells: Mapping[str, str], school: School | None) -> int | None:
        title = cells.get("class", "")
        if not title or school is None:
            return None
        found = self._classes.get((school.id, title.casefold()))
        if found is None:
            here = [name for school_id, name in self._classes if school_id == school.id]
            near = difflib.get_close_matches(title.casefold(), here, n=3, cutoff=0.3)
            self.fault(line, "class", "unknown-class", title, f"a class of {school.name}, near: {', '.join(near)}")
        return found

    def _person(self, line: int, cells: Mapping[str, str]) -> int | None:
        name = cells.get("person", "")
        if not name:
            return None
        found = self._people.get(name.casefold())
        if found is None:  # not repeated: it may be a name
            self.fault(line, "pupil", "unknown-pupil", None, "a pupil's user name or id from the roster")
        return found


def _records(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return header and lines of a CSV file.

    Raises:
        InvalidFileError: too large, not UTF-8, or no CSV.
        OSError: it cannot be read.
    """

    def refuse(code: str, line: int | None, expected: str) -> InvalidFileError:
        return InvalidFileError([Problem(path.name, line, None, code, None, expected)])

    if path.stat().st_size > MAX_BYTES:
        raise refuse("too-large", None, f"at most {MAX_BYTES} bytes")
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse("not-utf8", content.count(b"\n", 0, error.start) + 1, "text in UTF-8 (CSV UTF-8)") from None
    first = text.partition("\n")[0]
    delimiter = max(";,\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise refuse("bad-csv", reader.line_num, f"quoted fields that end ({error})") from None
    if "\0" in text or not lines:
        raise refuse("empty" if not lines else "nul", None, "a header and lines of text")
    return lines[0][1], [(line, cells) for line, cells in lines[1:] if any(cells)]


def _header(file: str, header: Sequence[str]) -> dict[int, str]:
    """Return which column stands where.

    Raises:
        InvalidFileError: serial or school is missing, or a column stands twice.
    """
    places: dict[int, str] = {}
    for place, title in enumerate(header):
        name = next((key for key, words in _COLUMNS.items() if title.casefold().replace("_", " ") in words), None)
        if name in places.values():
            raise InvalidFileError([Problem(file, 1, title, "duplicate-column", title, "each column once")])
        if name is not None:
            places[place] = name
    missing = [name for name in ("serial", "school") if name not in places.values()]
    if missing:
        raise InvalidFileError(
            [
                Problem(file, 1, name, "missing-column", None, f"a column called {', '.join(_COLUMNS[name])}")
                for name in missing
            ]
        )
    return places


def propose(path: Path, *, by: Principal) -> DeliveryPlan:
    """Read a list and return what importing it would change; changes nothing.

    Raises:
        InvalidFileError: with everything that is wrong.
        ForbiddenError: ``by`` may not import tablets for a school of the list.
        OSError: the file cannot be read.
    """
    header, lines = _records(path)
    places = _header(path.name, header)
    reader = _Reader(path.name)
    rows: dict[str, dict[str, Any]] = {}
    for line, cells in lines:
        if len(cells) != len(header):
            reader.fault(line, None, "ragged-row", str(len(cells)), f"{len(header)} fields, as in the first line")
            continue
        row = reader.row(line, {name: cells[place] for place, name in places.items()})
        if row["serial"] in rows:
            reader.fault(line, "serial", "duplicate-serial", row["serial"], "each serial once")
        rows[row["serial"]] = row
    plan = _compare(rows, reader)
    if reader.problems:
        raise InvalidFileError(reader.problems)
    for school_id in {row["school_id"] for row in rows.values()}:
        require(by, Permission.IMPORT_DEVICES, school_id=school_id)
    return plan


def _compare(rows: Mapping[str, dict[str, Any]], reader: _Reader) -> DeliveryPlan:
    known: dict[str, Device] = {}
    serials = list(rows)
    for start in range(0, len(serials), 500):
        found = db.session.scalars(select(Device).where(Device.serial.in_(serials[start : start + 500])))
        known |= {device.serial: device for device in found}
    plan = DeliveryPlan()
    for serial, row in rows.items():
        device = known.get(serial)
        if device is None:
            plan.added.append(row)
        elif device.life is DeviceLife.RETIRED:
            reader.fault(0, "serial", "retired", serial, "a tablet that is not retired; reinstate it first")
        else:
            differs = [name for name in _PLACES if getattr(device, name) != row[name]]
            if differs or device.listed_at is None:
                plan.changed.append((device.id, {name: row[name] for name in _PLACES}, differs))
            else:
                plan.unchanged += 1
    return plan


def import_list(path: Path, *, by: Principal, now: datetime) -> DeliveryPlan:
    """Import a list; returns what changed.

    Raises:
        InvalidFileError: with everything that is wrong; nothing was changed.
        ForbiddenError: ``by`` may not import tablets for a school of the list.
        OSError: the file cannot be read.
    """
    plan = propose(path, by=by)
    ids: list[int] = [device_id for device_id, _, _ in plan.changed]
    if plan.added:
        fresh = [
            {**row, "uid": secrets.token_hex(16), "life": DeviceLife.EXPECTED, "listed_at": now, "created_at": now}
            for row in plan.added
        ]
        db.session.execute(insert(Device), fresh)
        added = list(db.session.scalars(select(Device.id).where(~Device.state.has())))
        db.session.execute(insert(DeviceState), [{"device_id": device_id} for device_id in added])
        ids += added
    if plan.changed:
        rows = [{"id": device_id, **values, "listed_at": now} for device_id, values, _ in plan.changed]
        db.session.execute(update(Device), rows)
    db.session.expire_all()
    counts = plan.counts()
    audit.record(
        by, "devices.imported", subject="delivery-list", now=now,
        file_name=path.name[:255], added=counts["added"], changed=counts["changed"],
    )  # fmt: skip
    changed("device", ids, now=now)
    return plan
