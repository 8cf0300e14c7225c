"""Roster packages made for tests: OneRoster 1.1 and 1.2 and Apple School Manager sets, sound and spoilt.

``Files`` is one list of rows per file, each a mapping of columns to text, so that a test can spoil a single cell; what
no mapping can say (ragged rows, other encodings) is done to the bytes. Names are obviously made up.
"""

import csv
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import select

from fleet.db import Base, db

Rows = list[dict[str, str]]
Files = dict[str, Rows]
HISTORY = {"audit_entry", "roster_import"}  # tables that only grow


def one_roster(*, classes: int = 10, pupils: int = 4, version: str = "1.1", schools: int = 1) -> Files:
    """Return a bulk package: a municipality, schools, and in each so many classes of so many pupils and one teacher."""
    files: Files = {
        "orgs": [{"sourcedId": "kommune", "status": "", "name": "Prøvekommune", "type": "district", "parentSourcedId": ""}],
        "academicSessions": [
            {"sourcedId": "aar", "status": "", "title": "Skoleåret", "type": "schoolYear", "startDate": "2026-08-01",
             "endDate": "2027-07-31", "parentSourcedId": "", "schoolYear": "2027"},
        ],
        "courses": [{"sourcedId": "kurs", "status": "", "title": "Matematikk", "subjectCodes": "MAT"}],
        "classes": [], "users": [], "enrollments": [], "roles": [],
    }  # fmt: skip
    for school in range(1, schools + 1):
        files["orgs"].append(
            {
                "sourcedId": f"s{school}",
                "status": "",
                "name": f"Prøveskole {school}",
                "type": "school",
                "parentSourcedId": "kommune",
            }
        )
        for number in range(1, classes + 1):
            _add_class(files, f"s{school}", number, pupils)
    if version == "1.1":
        del files["roles"]
    else:
        for user in files["users"]:
            del user["role"], user["orgSourcedIds"]
    files["manifest"] = [
        {"propertyName": "oneroster.version", "value": version},
        *({"propertyName": f"file.{name}", "value": "bulk"} for name in files),
    ]
    return files


def _add_class(files: Files, school: str, number: int, pupils: int) -> None:
    name = f"{school}k{number}"
    files["classes"].append(
        {"sourcedId": name, "status": "", "title": f"{number}A", "grades": f"{number},{number + 1}", "courseSourcedId": "kurs",
         "classType": "homeroom" if number % 2 else "scheduled", "schoolSourcedId": school, "termSourcedIds": "aar",
         "subjectCodes": ""},
    )  # fmt: skip
    for place in range(pupils + 1):
        role = "student" if place else "teacher"
        user = f"{name}p{place}"
        files["users"].append(
            {"sourcedId": user, "status": "", "orgSourcedIds": school, "role": role, "username": user,
             "givenName": f"Ærlig {place}", "familyName": f"Øvesen {number}", "email": f"{user}@example.test"},
        )  # fmt: skip
        files["roles"].append(
            {
                "sourcedId": f"r-{user}",
                "status": "",
                "userSourcedId": user,
                "roleType": "primary",
                "role": role,
                "orgSourcedId": school,
            }
        )
        files["enrollments"].append(
            {"sourcedId": f"e-{user}", "status": "", "classSourcedId": name, "schoolSourcedId": school, "userSourcedId": user,
             "role": role, "beginDate": "", "endDate": ""},
        )  # fmt: skip


def apple(*, classes: int = 10, pupils: int = 3) -> Files:
    """Return a set for one school."""
    files: Files = {
        "locations": [{"location_id": "L1", "location_name": "Prøveskole 1"}],
        "courses": [{"course_id": "C1", "course_number": "MAT", "course_name": "Matematikk", "location_id": "L1"}],
        "students": [], "staff": [], "classes": [], "rosters": [],
    }  # fmt: skip
    for number in range(1, classes + 1):
        files["staff"].append(
            {"person_id": f"t{number}", "first_name": "Lærer", "last_name": f"Øvesen {number}", "email_address": f"t{number}@example.test",
             "sis_username": "", "location_id": "L1"},
        )  # fmt: skip
        files["classes"].append(
            {"class_id": f"k{number}", "class_number": f"{number}B", "course_id": "C1", "instructor_id": f"t{number}",
             "instructor_id_2": "", "instructor_id_3": "", "location_id": "L1"},
        )  # fmt: skip
        for place in range(1, pupils + 1):
            pupil = f"k{number}p{place}"
            files["students"].append(
                {"person_id": pupil, "first_name": f"Ærlig {place}", "last_name": "Åsen", "email_address": f"{pupil}@example.test",
                 "sis_username": pupil, "password_policy": "4", "location_id": "L1"},
            )  # fmt: skip
            files["rosters"].append({"roster_id": f"r{pupil}", "class_id": f"k{number}", "student_id": pupil})
    return files


def encoded(files: Files, *, delimiter: str = ",", newline: str = "\r\n", start: str = "") -> dict[str, bytes]:
    """Return the files' bytes by file name."""
    found = {}
    for name, rows in files.items():
        out = io.StringIO()
        writer = csv.writer(out, delimiter=delimiter, lineterminator=newline)
        writer.writerow(rows[0])
        writer.writerows(row.values() for row in rows)
        found[f"{name}.csv"] = (start + out.getvalue()).encode()
    return found


def zipped(path: Path, files: Files | Mapping[str, bytes]) -> Path:
    """Write a zip and return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in _bytes(files).items():
            package.writestr(name, content)
    return path


def folder(path: Path, files: Files | Mapping[str, bytes]) -> Path:
    """Write a folder and return its path."""
    path.mkdir()
    for name, content in _bytes(files).items():
        (path / name).write_bytes(content)
    return path


def _bytes(files: Files | Mapping[str, bytes]) -> dict[str, bytes]:
    plain = {name: content for name, content in files.items() if isinstance(content, bytes)}
    return plain | encoded({name: rows for name, rows in files.items() if not isinstance(rows, bytes)})


def dump(*, without: set[str] = HISTORY) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table, to compare the database before and after."""
    db.session.expire_all()
    return {
        table.name: sorted((tuple(row) for row in db.session.execute(select(table))), key=repr)
        for table in Base.metadata.sorted_tables
        if table.name not in without
    }
